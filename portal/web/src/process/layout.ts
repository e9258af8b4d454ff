import type { Transition } from "./api";

// A directly-follows graph in layers, from the beginning of cases at the top to their end at the bottom. Edges that go up are rework.

export const begin = "\u0001begin";
export const end = "\u0001end";

export interface Node {
  id: string; // the activity, or begin or end
  x: number; // middle
  y: number;
  width: number;
  height: number;
}

export interface Edge {
  transition: Transition;
  from: string;
  to: string;
  again: boolean; // it goes back to an activity that was done before, or stays
  points: { x: number; y: number }[]; // that the curve goes through, from the edge of one node to that of the other
  label: { x: number; y: number };
}

export interface Layout {
  nodes: Node[];
  edges: Edge[];
  width: number;
  height: number;
}

const gapX = 28;
const gapY = 66;
const dummyWidth = 16;

/**
 * Places activities and transitions. order tells about where in a case an activity comes (of any two, the smaller is the earlier);
 * widths are those of the boxes.
 */
export function layout(follows: Transition[], order: Map<string, number>, width: (id: string) => number, height = 40): Layout {
  const idOf = (activity: string, otherwise: string) => (activity === "" ? otherwise : activity);
  const links = follows.map((transition) => ({ transition, from: idOf(transition.from, begin), to: idOf(transition.to, end) }));
  const ids = [...new Set(links.flatMap((l) => [l.from, l.to]))];
  const at = (id: string) => (id === begin ? -1 : id === end ? Infinity : (order.get(id) ?? 1e6));
  ids.sort((a, b) => (at(a) === at(b) ? (a < b ? -1 : 1) : at(a) - at(b)));
  const rank = new Map(ids.map((id, i) => [id, i]));
  const forward = links.filter((l) => rank.get(l.from)! < rank.get(l.to)!);

  // The layer of a node is the longest way to it.
  const layer = new Map<string, number>();
  for (const id of ids) layer.set(id, Math.max(-1, ...forward.filter((l) => l.to === id).map((l) => layer.get(l.from)!)) + 1);
  const last = Math.max(0, ...layer.values());
  if (layer.has(end)) layer.set(end, Math.max(last, ...ids.filter((id) => id !== end).map((id) => layer.get(id)! + 1)));

  // An edge over several layers has a place of its own in each, so that it passes between the boxes.
  interface Cell { key: string; width: number; up: string[]; down: string[] }
  const cells = new Map<string, Cell>(ids.map((id) => [id, { key: id, width: width(id), up: [], down: [] }]));
  const layers: string[][] = [];
  const put = (key: string, at: number) => (layers[at] ??= []).push(key);
  for (const id of ids) put(id, layer.get(id)!);
  const ways = new Map<(typeof links)[number], string[]>();
  for (const l of forward) {
    const way = [l.from];
    for (let at = layer.get(l.from)! + 1; at < layer.get(l.to)!; at++) {
      const key = `\u0002${l.from}\u0002${l.to}\u0002${at}`;
      cells.set(key, { key, width: dummyWidth, up: [], down: [] });
      put(key, at);
      way.push(key);
    }
    way.push(l.to);
    for (let i = 0; i + 1 < way.length; i++) {
      cells.get(way[i]!)!.down.push(way[i + 1]!);
      cells.get(way[i + 1]!)!.up.push(way[i]!);
    }
    ways.set(l, way);
  }

  // Each layer is put in the order of the middles of its neighbours, down and up a few times.
  const place = new Map<string, number>();
  const number = () => layers.forEach((l) => l.forEach((key, i) => place.set(key, i)));
  number();
  for (let sweep = 0; sweep < 8; sweep++) {
    const down = sweep % 2 === 0;
    for (const l of down ? layers : [...layers].reverse()) {
      const middle = new Map(l.map((key) => {
        const near = down ? cells.get(key)!.up : cells.get(key)!.down;
        return [key, near.length ? near.reduce((sum, n) => sum + place.get(n)! / Math.max(1, layers.find((o) => o.includes(n))!.length - 1 || 1), 0) / near.length : place.get(key)! / Math.max(1, l.length)];
      }));
      l.sort((a, b) => middle.get(a)! - middle.get(b)! || place.get(a)! - place.get(b)!);
      l.forEach((key, i) => place.set(key, i));
    }
  }

  const widths = layers.map((l) => l.reduce((sum, key) => sum + cells.get(key)!.width + gapX, -gapX));
  const again = links.filter((l) => !forward.includes(l));
  const widest = Math.max(...widths, 0);
  const margin = 14;
  const x = new Map<string, number>();
  layers.forEach((l, i) => {
    let left = margin + (widest - widths[i]!) / 2;
    for (const key of l) {
      x.set(key, left + cells.get(key)!.width / 2);
      left += cells.get(key)!.width + gapX;
    }
  });
  const y = (id: string) => margin + height / 2 + layer.get(id)! * (height + gapY);
  const nodes = ids.map((id) => ({ id, x: x.get(id)!, y: y(id), width: width(id), height }));
  const box = new Map(nodes.map((n) => [n.id, n]));
  const yOfLayer = (at: number) => margin + height / 2 + at * (height + gapY);

  // Where several edges leave or reach a box they are spread over its side.
  const spread = (node: Node, index: number, of: number) => node.x + (of < 2 ? 0 : (index / (of - 1) - 0.5) * Math.min(node.width * 0.6, of * 16));
  const sideX = (l: (typeof links)[number], of: "from" | "to") => {
    const mine = forward.filter((o) => o[of] === l[of]).sort((a, b) => x.get(ways.get(a)!.at(of === "from" ? 1 : -2)!)! - x.get(ways.get(b)!.at(of === "from" ? 1 : -2)!)!);
    return spread(box.get(l[of])!, mine.indexOf(l), mine.length);
  };
  let right = 0;
  const edges: Edge[] = forward.map((l) => {
    const way = ways.get(l)!;
    const points = way.map((key, i) => {
      if (i === 0) return { x: sideX(l, "from"), y: box.get(key)!.y + height / 2 };
      if (i === way.length - 1) return { x: sideX(l, "to"), y: box.get(key)!.y - height / 2 };
      return { x: x.get(key)!, y: yOfLayer(layer.get(l.from)! + i) };
    });
    const [a, b] = way.length > 2 ? [points[1]!, points[1]!] : [points[0]!, points[1]!];
    return { transition: l.transition, from: l.from, to: l.to, again: false, points, label: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 } };
  });
  // Rework goes round the right of everything between its ends; each on a way of its own.
  again.sort((a, b) => Math.abs(layer.get(a.from)! - layer.get(a.to)!) - Math.abs(layer.get(b.from)! - layer.get(b.to)!));
  const beside = new Map<number, number>(); // layer -> how far to the right it is taken
  for (const l of again) {
    const from = box.get(l.from)!;
    const to = box.get(l.to)!;
    if (l.from === l.to) { // beside its own box
      const edge = from.x + from.width / 2;
      edges.push({
        transition: l.transition, from: l.from, to: l.to, again: true,
        points: [{ x: edge, y: from.y + height / 3 }, { x: edge + 24, y: from.y }, { x: edge, y: from.y - height / 3 }], label: { x: edge + 26, y: from.y },
      });
      right = Math.max(right, edge + 60);
      continue;
    }
    const span = [layer.get(l.from)!, layer.get(l.to)!].sort((a, b) => a - b) as [number, number];
    let out = 0;
    for (let at = span[0]; at <= span[1]; at++) {
      out = Math.max(out, beside.get(at) ?? Math.max(...layers[at]!.map((key) => x.get(key)! + cells.get(key)!.width / 2)));
    }
    out += 26;
    const labelRoom = 46;
    for (let at = span[0]; at <= span[1]; at++) beside.set(at, out + labelRoom);
    right = Math.max(right, out + labelRoom + 12);
    edges.push({
      transition: l.transition, from: l.from, to: l.to, again: true,
      points: [{ x: from.x + from.width / 2, y: from.y + 6 }, { x: out, y: (from.y + to.y) / 2 }, { x: to.x + to.width / 2, y: to.y - 6 }],
      label: { x: out, y: (from.y + to.y) / 2 },
    });
  }
  return { nodes, edges, width: Math.max(widest + 2 * margin, right), height: 2 * margin + height + Math.max(0, ...layer.values()) * (height + gapY) };
}

/** About where in a case each activity comes: the mean of its first places, weighted by cases. What no listed variant holds is unknown. */
export function places(variants: { trace: string[]; cases: number }[]): Map<string, number> {
  const sums = new Map<string, { at: number; cases: number }>();
  for (const v of variants) {
    const seen = new Set<string>();
    v.trace.forEach((activity, i) => {
      if (seen.has(activity)) return;
      seen.add(activity);
      const sum = sums.get(activity) ?? { at: 0, cases: 0 };
      sums.set(activity, { at: sum.at + i * v.cases, cases: sum.cases + v.cases });
    });
  }
  return new Map([...sums].map(([activity, s]) => [activity, s.at / s.cases]));
}

/** A smooth curve down or up through the points. */
export function curve(points: { x: number; y: number }[], again: boolean): string {
  const p = (n: number) => n.toFixed(1);
  const [a, b, c] = points;
  if (again && a && b && c) {
    const reach = b.x + (b.x - Math.max(a.x, c.x)) * 0.15;
    return `M${p(a.x)} ${p(a.y)}C${p(reach)} ${p(a.y)} ${p(b.x)} ${p(a.y)} ${p(b.x)} ${p(b.y)}C${p(b.x)} ${p(c.y)} ${p(reach)} ${p(c.y)} ${p(c.x)} ${p(c.y)}`;
  }
  let d = `M${p(points[0]!.x)} ${p(points[0]!.y)}`;
  for (let i = 1; i < points.length; i++) {
    const from = points[i - 1]!;
    const to = points[i]!;
    const bend = (to.y - from.y) / 2;
    d += `C${p(from.x)} ${p(from.y + bend)} ${p(to.x)} ${p(to.y - bend)} ${p(to.x)} ${p(to.y)}`;
  }
  return d;
}
