import type { Result, Row } from "../api";
import { add, ending, length, months, type Month, type Range } from "./months";

/** A month of the chart with its counterpart in the baseline. */
export interface Point {
  month: Month;
  row: Row | undefined;
  baselineMonth: Month;
  baseline: Row | undefined;
}

/** The chart shows the period and enough before it to see where it came from: a year at least. */
export function windowOf(period: Range, offset: number): { shown: Range; read: Range } {
  const shown = ending(period.to, Math.max(12, length(period)));
  return { shown, read: { from: add(shown.from, -offset), to: shown.to } };
}

/** Pairs each month with the one `offset` months before it. A month without cases may be missing from the result. */
export function series(result: Result, shown: Range, offset: number): Point[] {
  const rows = new Map(result.rows.map((row) => [row.key, row]));
  return months(shown).map((month) => {
    const baselineMonth = add(month, -offset);
    return { month, row: rows.get(month), baselineMonth, baseline: rows.get(baselineMonth) };
  });
}

