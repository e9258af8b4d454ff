import { languages, type Language } from "../catalogue";
import { themes, type Theme } from "../logic/state";
import { filters, sorts, type Filter, type Outcome, type Sort } from "./api";

/** What somebody chose to see of the jobs; all of it is in the address. */
export interface JobsState {
  lang: Language | null; // null: as the browser prefers
  theme: Theme;
  view: "list" | "timeline";
  hours: 24 | 168; // of the timeline
  filter: Filter | "";
  q: string;
  sort: Sort;
  page: number; // of the list; from 1
  job: string; // that is open; "" for the list
  run: string; // of it that is open; "" for none
  runs: number; // page of its runs; from 1
  outcome: Outcome | ""; // of its runs
}

export const start: JobsState = { lang: null, theme: "auto", view: "list", hours: 24, filter: "", q: "", sort: "name", page: 1, job: "", run: "", runs: 1, outcome: "" };

export const outcomes: readonly Outcome[] = ["waiting", "running", "ok", "failed", "cancelled", "skipped"];

const jobShape = /^[a-z][\p{L}\p{N}_.:-]{0,127}$/u;

/** Reads an address. What it does not understand is as at the start. */
export function parse(search: string): JobsState {
  const p = new URLSearchParams(search);
  const one = <T extends string>(name: string, allowed: readonly T[], otherwise: T | ""): T | "" => allowed.find((a) => a === p.get(name)) ?? otherwise;
  const number = (name: string) => (/^[1-9]\d{0,3}$/.test(p.get(name) ?? "") ? Number(p.get(name)) : 1);
  const job = jobShape.test(p.get("job") ?? "") ? p.get("job")! : "";
  const run = p.get("run") ?? "";
  return {
    lang: languages.find((l) => l === p.get("lang")) ?? null,
    theme: themes.find((theme) => theme === p.get("theme")) ?? start.theme,
    view: p.get("view") === "timeline" ? "timeline" : "list",
    hours: p.get("hours") === "168" ? 168 : 24,
    filter: one("state", filters, ""),
    q: (p.get("q") ?? "").slice(0, 64),
    sort: one("sort", sorts, start.sort) || start.sort,
    page: number("page"),
    job,
    run: job && run.startsWith(`${job}@`) && run.length <= 256 ? run : "",
    runs: job ? number("runs") : 1,
    outcome: job ? one("outcome", outcomes, "") : "",
  };
}

/** Writes an address; what is as at the start is left out. */
export function format(s: JobsState): string {
  const p = new URLSearchParams();
  if (s.lang) p.set("lang", s.lang);
  if (s.theme !== start.theme) p.set("theme", s.theme);
  if (s.view !== start.view) p.set("view", s.view);
  if (s.hours !== start.hours) p.set("hours", String(s.hours));
  if (s.filter) p.set("state", s.filter);
  if (s.q) p.set("q", s.q);
  if (s.sort !== start.sort) p.set("sort", s.sort);
  if (s.page > 1) p.set("page", String(s.page));
  if (s.job) p.set("job", s.job);
  if (s.run) p.set("run", s.run);
  if (s.runs > 1) p.set("runs", String(s.runs));
  if (s.outcome) p.set("outcome", s.outcome);
  const text = p.toString().replaceAll("%40", "@").replaceAll("%3A", ":");
  return text ? `?${text}` : "";
}
