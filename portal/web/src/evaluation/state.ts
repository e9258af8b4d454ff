import { languages, type Language } from "../catalogue";
import { themes, type Theme } from "../logic/state";

export const figures = ["months", "curves"] as const;
export type FigureName = (typeof figures)[number];

/** What somebody chose to see of the evaluations; all of it is in the address. */
export interface EvaluationState {
  lang: Language | null; // null: as the browser prefers
  theme: Theme;
  intervention: string; // that is open; "" for the list
  tables: FigureName[]; // charts that are shown as tables
}

export const start: EvaluationState = { lang: null, theme: "auto", intervention: "", tables: [] };

const nameShape = /^[\p{L}\p{N}_.:-]{1,64}$/u;

/** Reads an address. What it does not understand is as at the start. */
export function parse(search: string): EvaluationState {
  const p = new URLSearchParams(search);
  const name = p.get("intervention") ?? "";
  const tables = (p.get("tables") ?? "").split(",");
  return {
    lang: languages.find((l) => l === p.get("lang")) ?? null,
    theme: themes.find((theme) => theme === p.get("theme")) ?? start.theme,
    intervention: nameShape.test(name) ? name : "",
    tables: figures.filter((f) => tables.includes(f)),
  };
}

/** Writes an address; what is as at the start is left out. */
export function format(s: EvaluationState): string {
  const p = new URLSearchParams();
  if (s.lang) p.set("lang", s.lang);
  if (s.theme !== start.theme) p.set("theme", s.theme);
  if (s.intervention) p.set("intervention", s.intervention);
  if (s.tables.length) p.set("tables", s.tables.join(","));
  const text = p.toString().replaceAll("%2C", ",");
  return text ? `?${text}` : "";
}
