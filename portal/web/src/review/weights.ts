import type { Explanation, Wording } from "./api";

/** One row of the waterfall: what it adds, and from where to where the sum goes with it, in bits. */
export interface Row {
  kind: "prior" | "step" | "doubt" | "sum";
  name: string; // of the comparison or the doubt
  level: string; // of a step
  bits: number;
  rarity: number; // the part of bits that comes from how rare the value is
  source: number; // and from how reliable the two sources are
  from: number;
  to: number;
}

export interface Waterfall {
  rows: Row[];
  min: number; // of the scale, in bits
  max: number;
  link: number | null; // null where the model's thresholds are not known
  review: number | null;
  ruledOut: boolean; // the model neither links such a pair nor asks about it
}

const bit = 1000;
const never = -1_000_000; // in bits thousandfold less than any sum; the model's "never" is far below

export function waterfall(e: Explanation, wording: Wording | null): Waterfall {
  const rows: Row[] = [{ kind: "prior", name: "", level: "", bits: e.prior / bit, rarity: 0, source: 0, from: 0, to: e.prior / bit }];
  let sum = e.prior;
  for (const s of e.steps) {
    rows.push({ kind: "step", name: s.comparison, level: s.level, bits: s.weight / bit, rarity: (s.rarity ?? 0) / bit, source: (s.source ?? 0) / bit, from: sum / bit, to: (sum + s.weight) / bit });
    sum += s.weight;
  }
  const ruledOut = e.weight <= never;
  // Doubts take away what would have linked the pair without a person.
  for (const name of e.doubts ?? []) {
    const to = ruledOut ? sum : Math.min(sum, e.weight);
    rows.push({ kind: "doubt", name, level: "", bits: (to - sum) / bit, rarity: 0, source: 0, from: sum / bit, to: to / bit });
    sum = to;
  }
  rows.push({ kind: "sum", name: "", level: "", bits: (ruledOut ? sum : e.weight) / bit, rarity: 0, source: 0, from: 0, to: (ruledOut ? sum : e.weight) / bit });
  const known = wording !== null && wording.link !== wording.review;
  const link = known ? wording.link / bit : null;
  const review = known ? wording.review / bit : null;
  const ends = [0, link ?? 0, review ?? 0, ...rows.flatMap((r) => [r.from, r.to])];
  const margin = (Math.max(...ends) - Math.min(...ends)) * 0.03 || 1;
  return { rows, min: Math.min(...ends) - margin, max: Math.max(...ends) + margin, link, review, ruledOut };
}

/** Where a number of bits is on the scale, in percent from its left end. */
export function place(w: Waterfall, bits: number): number {
  return ((bits - w.min) / (w.max - w.min)) * 100;
}

/** A row's bar on the scale, in percent. */
export function bar(w: Waterfall, row: Row): { left: number; width: number } {
  const left = place(w, Math.min(row.from, row.to));
  return { left, width: place(w, Math.max(row.from, row.to)) - left };
}
