import type { Definition } from "../api";

/** What metrics are about, in the order in which readers find them; "other" is for those that say nothing. */
export const themes = ["time", "promise", "visits", "papers", "satisfaction", "incidents", "councils", "training", "data", "other"] as const;
export type MetricTheme = (typeof themes)[number];

// Those that say most of their theme come first; the rest follow by name.
const first = ["citizen_time", "legal_time", "on_time_rate", "overdue", "one_visit_rate", "repeat_rate", "avoidable_rate", "papers_spared", "satisfaction_rate", "incident_time"];

export function byTheme(definitions: readonly Definition[]): { theme: MetricTheme; metrics: Definition[] }[] {
  const rank = (d: Definition) => (first.includes(d.name) ? first.indexOf(d.name) : first.length);
  const themeOf = (d: Definition) => themes.find((theme) => theme === d.theme) ?? "other";
  return themes
    .map((theme) => ({ theme, metrics: definitions.filter((d) => themeOf(d) === theme).sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1)) }))
    .filter((group) => group.metrics.length > 0);
}
