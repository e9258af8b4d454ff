import { languages, type Language } from "../catalogue";
import type { Baseline } from "./compare";
import { ending, isMonth, type Month, type Range } from "./months";

export type Theme = "auto" | "light" | "dark";
export const themes: readonly Theme[] = ["auto", "light", "dark"];
export const periodLengths = [1, 3, 6, 12] as const;
export type PanelName = "trend" | "department" | "item";

/** What a reader chose. All of it is in the address, so that a view can be sent to somebody else. */
export interface ViewState {
  lang: Language | null; // null: as the browser prefers
  theme: Theme;
  months: number; // length of the period
  end: Month | null; // null: the last complete month, whichever that is on the day of reading
  compare: Baseline;
  metric: string;
  department: string;
  item: string;
  view: "page" | "wall";
  tables: PanelName[]; // panels shown as tables
}

export const start: ViewState = {
  lang: null,
  theme: "auto",
  months: 3,
  end: null,
  compare: "year",
  metric: "citizen_time",
  department: "",
  item: "",
  view: "page",
  tables: [],
};

const panels: readonly PanelName[] = ["trend", "department", "item"];

/** Reads an address. What it does not understand is as at the start: an old or mangled link still opens. */
export function parse(search: string): ViewState {
  const p = new URLSearchParams(search);
  const one = <T extends string>(name: string, allowed: readonly T[], otherwise: T): T => {
    const value = p.get(name) as T | null;
    return value !== null && allowed.includes(value) ? value : otherwise;
  };
  const [length = "", end = ""] = (p.get("period") ?? "").split("_");
  const months = /^\d{1,2}m$/.test(length) ? Number(length.slice(0, -1)) : start.months;
  const code = (name: string) => (/^[\p{L}\p{N}_.:-]{1,64}$/u.test(p.get(name) ?? "") ? p.get(name)! : "");
  return {
    lang: languages.find((l) => l === p.get("lang")) ?? null,
    theme: one("theme", themes, start.theme),
    months: months >= 1 && months <= 24 ? months : start.months,
    end: isMonth(end) ? end : null,
    compare: one("compare", ["year", "preceding"], start.compare),
    metric: /^[a-z_]{1,64}$/.test(p.get("metric") ?? "") ? p.get("metric")! : start.metric,
    department: code("department"),
    item: code("item"),
    view: one("view", ["page", "wall"], start.view),
    tables: panels.filter((name) => (p.get("table") ?? "").split(",").includes(name)),
  };
}

/** Writes an address; what is as at the start is left out. */
export function format(s: ViewState): string {
  const p = new URLSearchParams();
  if (s.lang) p.set("lang", s.lang);
  if (s.theme !== start.theme) p.set("theme", s.theme);
  if (s.months !== start.months || s.end) p.set("period", `${s.months}m${s.end ? `_${s.end}` : ""}`);
  if (s.compare !== start.compare) p.set("compare", s.compare);
  if (s.metric !== start.metric) p.set("metric", s.metric);
  if (s.department) p.set("department", s.department);
  if (s.item) p.set("item", s.item);
  if (s.view !== start.view) p.set("view", s.view);
  if (s.tables.length) p.set("table", s.tables.join(","));
  const text = p.toString().replaceAll("%2C", ",");
  return text ? `?${text}` : "";
}

export function periodOf(s: ViewState, last: Month): Range {
  return ending(s.end && s.end <= last ? s.end : last, s.months);
}
