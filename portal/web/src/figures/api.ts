import type { Range } from "../logic/months";
import { eventsPerPage, type FiguresState } from "./state";

// Parameters come in one order, so that equal questions have equal addresses.

/** The filters that a metric knows: a list of all figures keeps those that some have and others have not. */
export function filtersOf(view: FiguresState, dimensions: readonly string[]): [string, string][] {
  return Object.keys(view.where).filter((d) => dimensions.includes(d)).sort().map((d) => [d, view.where[d]!]);
}

/** The address of a figure with what it is compared with. */
export function figureURL(metric: string, range: Range, by: string, view: FiguresState, dimensions: readonly string[], compare: boolean): string {
  const p = new URLSearchParams();
  if (by) p.set("by", by);
  p.set("from", range.from);
  p.set("to", range.to);
  if (compare) p.set("compare", view.compare);
  if (view.known && (compare || view.compare !== "known")) p.set("known", view.known);
  for (const [d, value] of filtersOf(view, dimensions)) if (d !== by) p.set(d, value);
  return `/api/v1/metrics/${encodeURIComponent(metric)}?${p}`;
}

export function eventsURL(metric: string, range: Range, view: FiguresState, dimensions: readonly string[]): string {
  const p = new URLSearchParams({ from: range.from, to: range.to });
  if (view.known && view.compare !== "known") p.set("known", view.known);
  if (view.part) p.set("part", view.part);
  if (view.skip) p.set("skip", String(view.skip));
  p.set("limit", String(eventsPerPage));
  for (const [d, value] of filtersOf(view, dimensions)) p.set(d, value);
  return `/api/v1/metrics/${encodeURIComponent(metric)}/events?${p}`;
}
