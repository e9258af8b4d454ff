import { languages, type Language } from "../catalogue";
import { isDay, isMonth, type Month } from "../logic/months";
import { themes, type Theme } from "../logic/state";

export type Measure = "count" | "time";
export const edgeCounts = [12, 25, 50] as const;

/** What a reader chose to see of how cases go; all of it is in the address. */
export interface ProcessState {
  lang: Language | null; // null: as the browser prefers
  theme: Theme;
  item: string;
  department: string;
  channel: string;
  months: number;
  end: Month | null; // null: the last complete month
  known: string; // as known at the end of this day; "": now
  measure: Measure; // of the graph
  edges: number; // that the graph draws, the commonest first
  table: boolean; // the graph as a table
}

export const start: ProcessState = { lang: null, theme: "auto", item: "", department: "", channel: "", months: 3, end: null, known: "", measure: "count", edges: 25, table: false };

/** Reads an address. What it does not understand is as at the start. */
export function parse(search: string): ProcessState {
  const p = new URLSearchParams(search);
  const code = (name: string) => (/^[\p{L}\p{N}_.:-]([\p{L}\p{N} _.:-]{0,62}[\p{L}\p{N}_.:-])?$/u.test(p.get(name) ?? "") ? p.get(name)! : "");
  const [length = "", end = ""] = (p.get("period") ?? "").split("_");
  const months = /^\d{1,2}m$/.test(length) ? Number(length.slice(0, -1)) : start.months;
  return {
    lang: languages.find((l) => l === p.get("lang")) ?? null,
    theme: themes.find((theme) => theme === p.get("theme")) ?? start.theme,
    item: code("item"), department: code("department"), channel: code("channel"),
    months: months >= 1 && months <= 24 ? months : start.months,
    end: isMonth(end) ? end : null,
    known: isDay(p.get("known") ?? "") ? p.get("known")! : "",
    measure: p.get("by") === "time" ? "time" : "count",
    edges: edgeCounts.find((n) => String(n) === p.get("edges")) ?? start.edges,
    table: p.get("table") === "graph",
  };
}

/** Writes an address; what is as at the start is left out. */
export function format(s: ProcessState): string {
  const p = new URLSearchParams();
  if (s.lang) p.set("lang", s.lang);
  if (s.theme !== start.theme) p.set("theme", s.theme);
  if (s.item) p.set("item", s.item);
  if (s.department) p.set("department", s.department);
  if (s.channel) p.set("channel", s.channel);
  if (s.months !== start.months || s.end) p.set("period", `${s.months}m${s.end ? `_${s.end}` : ""}`);
  if (s.known) p.set("known", s.known);
  if (s.measure !== start.measure) p.set("by", s.measure);
  if (s.edges !== start.edges) p.set("edges", String(s.edges));
  if (s.table) p.set("table", "graph");
  const text = p.toString().replaceAll("%3A", ":");
  return text ? `?${text}` : "";
}
