import type { Definition, Row, Unit } from "../api";
import { add, length, type Range } from "./months";

export type Baseline = "year" | "preceding";

/** How many months before each month of the period its counterpart in the baseline lies. */
export function offset(period: Range, baseline: Baseline): number {
  return baseline === "year" ? 12 * Math.ceil(length(period) / 12) : length(period);
}

export function baselineOf(period: Range, baseline: Baseline): Range {
  const n = offset(period, baseline);
  return { from: add(period.from, -n), to: add(period.to, -n) };
}

export type Verdict = "better" | "worse" | "same";

/** A difference to the baseline: relative for times, in percentage points for shares. */
export interface Difference {
  kind: "relative" | "points";
  amount: number; // -0.38 is 38% less; in points, -4.2 is 4.2 percentage points less
  verdict: Verdict;
}

/** The value of a row where it has one that may be shown. */
export function shown(row: Row | undefined): number | null {
  return row?.state === "ok" ? row.value : null;
}

/** Null where either figure is missing, suppressed or not estimable: then there is nothing to compare. */
export function compare(current: Row | undefined, baseline: Row | undefined, definition: { unit: Unit; better: Definition["better"] }): Difference | null {
  const now = shown(current);
  const before = shown(baseline);
  if (now === null || before === null) return null;
  const kind = definition.unit === "share" ? "points" : "relative";
  if (kind === "relative" && before === 0) return null;
  const amount = kind === "points" ? (now - before) * 100 : (now - before) / before;
  return { kind, amount, verdict: verdictOf(kind, amount, definition.better) };
}

// What would be shown as 0 is no difference: 0.5% of a time, 0.05 percentage points of a share.
function verdictOf(kind: Difference["kind"], amount: number, better: "up" | "down"): Verdict {
  if (Math.abs(amount) < (kind === "points" ? 0.05 : 0.005)) return "same";
  return amount > 0 === (better === "up") ? "better" : "worse";
}
