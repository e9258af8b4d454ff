import type { Restated } from "../api";
import type { Range } from "../logic/months";
import type { ProcessState } from "./state";

/** How the cases of a cohort went. Seconds are wall-clock time. */
export interface Process {
  item: string;
  from: string;
  to: string;
  as_of: string;
  known?: string; // absent: as it is known now
  cases: number;
  steps: number;
  variants: number;
  repeating: number; // cases that repeat an activity
  extra_steps: number;
  mean_seconds: number;
  working_seconds: number;
  waiting_seconds: number;
  untold_seconds: number;
  listed_variants: { trace: string[]; cases: number; share: number; extra_steps: number; median_seconds: number }[];
  follows: Transition[];
  rework: { activity: string; cases: number; extra_steps: number; directly: number }[];
  activities: { activity: string; steps: number; cases: number; working_seconds: number; waiting_seconds: number; untold_seconds: number }[];
  restated?: Restated[]; // with known: what has changed since
}

/** One activity directly following another; an empty one is the case's beginning or end. */
export interface Transition {
  from: string;
  to: string;
  count: number;
  cases: number;
  mean_seconds: number; // from start to start
  median_seconds: number;
  waiting_seconds: number; // added up
}

export function processURL(view: ProcessState, period: Range): string {
  const p = new URLSearchParams();
  if (view.item) p.set("item", view.item);
  if (view.department) p.set("department", view.department);
  if (view.channel) p.set("channel", view.channel);
  p.set("from", period.from);
  p.set("to", period.to);
  if (view.known) p.set("known", view.known);
  return `/api/v1/process?${p}`;
}
