import type { Transition } from "./api";

// A directly-follows graph in layers, from the beginning of cases at the top to their end at the bottom. Edges that go up go back.

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
  const ids = [...new Set(follows.flatMap((f) => [idOf(f.from, begin), idOf(f.to, end)]))];
  const at = (id: string) => (id === begin ? -1 : id === end ? Infinity : (order.get(id) ?? 1e6));
  ids.sort((a, b) => (at(a) === at(b) ? (a < b ? -1 : 1) : at(a) - at(b)));
  const rank = new Map(ids.map((id, i) => [id, i]));
  const links = follows.map((transition) => {
    const from = idOf(transition.from, begin);
    const to = idOf(transition.to, end);
    const again = rank.get(from)! >= rank.get(to)!;
    return { transition, from, to, again, top: again ? to : from, bottom: again ? from : to };
  });
  const down = links.filter((l) => l.from !== l.to); // what goes back has its place as if it went down, and is drawn upwards

  // The layer of a node is the longest way to it.
  const layer = new Map<string, number>();
  for (const id of ids) layer.set(id, Math.max(-1, ...down.filter((l) => l.bottom === id).map((l) => layer.get(l.top)!)) + 1);
  if (layer.has(end)) layer.set(end, Math.max(layer.get(end)!, ...ids.filter((id) => id !== end).map((id) => layer.get(id)! + 1)));

  // An edge over several layers has a place of its own in each, so that it passes between the boxes.
  interface Cell { key: string; width: number; up: string[]; down: string[] }
  const cells = new Map<string, Cell>(ids.map((id) => [id, { key: id, width: width(id), up: [], down: [] }]));
  const layers: string[][] = [];
  const put = (key: string, at: number) => (layers[at] ??= []).push(key);
  for (const id of ids) put(id, layer.get(id)!);
  const ways = new Map<(typeof links)[number], string[]>();
  for (const l of down) {
    const way = [l.top];
    for (let at = layer.get(l.top)! + 1; at < layer.get(l.bottom)!; at++) {
      const key = `\u0002${l.from}\u0002${l.to}\u0002${at}`;
      cells.set(key, { key, width: dummyWidth, up: [], down: [] });
      put(key, at);
      way.push(key);
    }
    way.push(l.bottom);
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
    const downwards = sweep % 2 === 0;
    for (const l of downwards ? layers : [...layers].reverse()) {
      const middle = new Map(l.map((key) => {
        const near = downwards ? cells.get(key)!.up : cells.get(key)!.down;
        return [key, near.length ? near.reduce((sum, n) => sum + place.get(n)! / Math.max(1, layers.find((o) => o.includes(n))!.length - 1 || 1), 0) / near.length : place.get(key)! / Math.max(1, l.length)];
      }));
      l.sort((a, b) => middle.get(a)! - middle.get(b)! || place.get(a)! - place.get(b)!);
      l.forEach((key, i) => place.set(key, i));
    }
  }

  const widths = layers.map((l) => l.reduce((sum, key) => sum + cells.get(key)!.width + gapX, -gapX));
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
  const sideX = (l: (typeof links)[number], of: "top" | "bottom") => {
    const next = (o: (typeof links)[number]) => x.get(ways.get(o)!.at(of === "top" ? 1 : -2)!)!;
    const mine = down.filter((o) => o[of] === l[of]).sort((a, b) => next(a) - next(b) || Number(a.again) - Number(b.again));
    return spread(box.get(l[of])!, mine.indexOf(l), mine.length);
  };
  let right = 0;
  const edges: Edge[] = links.map((l) => {
    const common = { transition: l.transition, from: l.from, to: l.to, again: l.again };
    if (l.from === l.to) { // beside its own box
      const node = box.get(l.from)!;
      const side = node.x + node.width / 2;
      right = Math.max(right, side + 60);
      return { ...common, points: [{ x: side, y: node.y + height / 3 }, { x: side + 24, y: node.y }, { x: side, y: node.y - height / 3 }], label: { x: side + 26, y: node.y } };
    }
    const way = ways.get(l)!;
    const points = way.map((key, i) => {
      if (i === 0) return { x: sideX(l, "top"), y: box.get(key)!.y + height / 2 };
      if (i === way.length - 1) return { x: sideX(l, "bottom"), y: box.get(key)!.y - height / 2 };
      return { x: x.get(key)!, y: yOfLayer(layer.get(l.top)! + i) };
    });
    // The label stands where the edge is alone: in a layer that it passes, else between its ends, those that go back a little lower.
    const [a, b] = way.length > 2 ? [points[1]!, points[1]!] : [points[0]!, points[1]!];
    const label = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 + (l.again && way.length === 2 ? 14 : 0) };
    return { ...common, points: l.again ? points.reverse() : points, label };
  });
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

/** A smooth curve through the points; one that comes back to its own box goes round its side. */
export function curve({ points, from, to }: Pick<Edge, "points" | "from" | "to">): string {
  const p = (n: number) => n.toFixed(1);
  const [a, b, c] = points;
  if (from === to && a && b && c) return `M${p(a.x)} ${p(a.y)}C${p(b.x)} ${p(a.y + 6)} ${p(b.x)} ${p(c.y - 6)} ${p(c.x)} ${p(c.y)}`;
  let d = `M${p(points[0]!.x)} ${p(points[0]!.y)}`;
  for (let i = 1; i < points.length; i++) {
    const start = points[i - 1]!;
    const stop = points[i]!;
    const bend = (stop.y - start.y) / 2;
    d += `C${p(start.x)} ${p(start.y + bend)} ${p(stop.x)} ${p(stop.y - bend)} ${p(stop.x)} ${p(stop.y)}`;
  }
  return d;
}
