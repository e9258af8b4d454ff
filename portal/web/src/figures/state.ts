import { languages, type Language } from "../catalogue";
import { ending, isDay, isMonth, type Month, type Range } from "../logic/months";
import { themes, type Theme } from "../logic/state";

export type Comparison = "previous" | "year" | "known";
export const comparisons: readonly Comparison[] = ["previous", "year", "known"];
export type Part = "" | "counted" | "rest";
export type FigurePanel = "trend" | "by";
const panels: readonly FigurePanel[] = ["trend", "by"];

/** What a reader chose to see of the figures; all of it is in the address. */
export interface FiguresState {
  lang: Language | null; // null: as the browser prefers
  theme: Theme;
  metric: string; // "": the list of all
  months: number;
  end: Month | null; // null: the last complete month
  compare: Comparison;
  known: string; // as known at the end of this day; "": now
  where: Record<string, string>; // dimension -> value
  by: string; // dimension of the breakdown; "": the first that is not filtered
  part: Part; // of the events
  skip: number; // events left out from the top
  tables: FigurePanel[];
}

export const start: FiguresState = {
  lang: null, theme: "auto", metric: "", months: 3, end: null, compare: "previous", known: "", where: {}, by: "", part: "", skip: 0, tables: [],
};

export const eventsPerPage = 20;

const code = /^[\p{L}\p{N}_.:-]([\p{L}\p{N} _.:-]{0,62}[\p{L}\p{N}_.:-])?$/u;
const name = /^[a-z][a-z0-9_]{0,63}$/;

/** Reads an address. What it does not understand is as at the start: an old or mangled link still opens. */
export function parse(search: string): FiguresState {
  const p = new URLSearchParams(search);
  const [length = "", end = ""] = (p.get("period") ?? "").split("_");
  const months = /^\d{1,2}m$/.test(length) ? Number(length.slice(0, -1)) : start.months;
  const where: Record<string, string> = {};
  for (const [key, value] of p) if (key.startsWith("is.") && name.test(key.slice(3)) && code.test(value)) where[key.slice(3)] = value;
  const known = isDay(p.get("known") ?? "") ? p.get("known")! : "";
  const compare = comparisons.find((c) => c === p.get("compare")) ?? start.compare;
  const skip = /^\d{1,4}$/.test(p.get("skip") ?? "") ? Number(p.get("skip")) : 0;
  return {
    lang: languages.find((l) => l === p.get("lang")) ?? null,
    theme: themes.find((theme) => theme === p.get("theme")) ?? start.theme,
    metric: name.test(p.get("metric") ?? "") ? p.get("metric")! : "",
    months: months >= 1 && months <= 24 ? months : start.months,
    end: isMonth(end) ? end : null,
    compare: compare === "known" && !known ? start.compare : compare,
    known, where,
    by: name.test(p.get("by") ?? "") ? p.get("by")! : "",
    part: (["counted", "rest"] as const).find((part) => part === p.get("part")) ?? "",
    skip: skip - (skip % eventsPerPage),
    tables: panels.filter((panel) => (p.get("table") ?? "").split(",").includes(panel)),
  };
}

/** Writes an address; what is as at the start is left out. */
export function format(s: FiguresState): string {
  const p = new URLSearchParams();
  if (s.lang) p.set("lang", s.lang);
  if (s.theme !== start.theme) p.set("theme", s.theme);
  if (s.metric) p.set("metric", s.metric);
  if (s.months !== start.months || s.end) p.set("period", `${s.months}m${s.end ? `_${s.end}` : ""}`);
  if (s.compare !== start.compare) p.set("compare", s.compare);
  if (s.known) p.set("known", s.known);
  for (const key of Object.keys(s.where).sort()) p.set(`is.${key}`, s.where[key]!);
  if (s.by) p.set("by", s.by);
  if (s.part) p.set("part", s.part);
  if (s.skip) p.set("skip", String(s.skip));
  if (s.tables.length) p.set("table", s.tables.join(","));
  const text = p.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text ? `?${text}` : "";
}

export function periodOf(s: FiguresState, last: Month): Range {
  return ending(s.end && s.end <= last ? s.end : last, s.months);
}

/** The dimension that a figure is broken down by: what was chosen, or the first that is not filtered to one value. */
export function breakdownOf(s: FiguresState, dimensions: readonly string[]): string {
  if (dimensions.includes(s.by)) return s.by;
  const order = inOrder(dimensions);
  return order.find((d) => !(d in s.where)) ?? order[0] ?? "";
}

/** Dimensions as readers go down them: the department, what it does, then the rest. */
export function inOrder(dimensions: readonly string[]): string[] {
  const first = ["department", "item", "material", "category"];
  return [...first.filter((d) => dimensions.includes(d)), ...dimensions.filter((d) => !first.includes(d))];
}
