import type { Intervention, Text } from "../api";

// What the portal's API answers on interventions; /openapi.json describes it.

export type Word = "at_least_half_shown" | "better" | "no_change_shown" | "worse" | "not_estimable";
export type Claim = "time_down" | "speed_up" | "ratio_down" | "ratio_up";
export type Unit = "days" | "working_days" | "share" | "visits" | "points";

export interface Interval {
  value: number;
  low: number;
  high: number;
}

export interface Verdict {
  word: Word;
  version: number; // of the registration that was judged
  evaluated_at: string;
  gain?: Interval;
}

export interface Registered {
  version: number;
  registered_at: string;
  hash: string;
  seen_at?: string;
  late: boolean; // registered after its result had been seen
  claim: Claim;
  metric: string;
  verdict?: Verdict;
}

export interface Listed extends Intervention {
  registered?: Registered;
}

export interface Where {
  departments?: string[];
  divisions?: string[];
  items?: string[];
  kinds?: string[];
  channels?: string[];
}

export interface Definition {
  name: string;
  title: Text;
  what: Text;
  scope: Where;
  since: string;
  starts?: Record<string, string>;
  claim: Claim;
  metric: string;
  metric_version: number;
  cohort: Where;
  exclusions?: { where: Where; from?: string; to?: string; why: string }[];
  windows: { before: number; after: number; settling: number };
  registered_at: string;
}

export interface Detail extends Listed {
  definition?: Definition;
  versions: Registered[];
}

export interface Quantile {
  value: number;
  low: number;
  high: number | null;
}

export interface Step {
  duration: number;
  survival: number;
}

export interface Period {
  cases: number;
  ended: number;
  median?: Quantile;
  p90?: Quantile;
  closed_only?: number;
  curve?: Step[];
  value?: number; // of a ratio
}

export interface Month {
  month: string;
  state: "ok" | "too_young" | "not_estimable" | "suppressed" | "empty";
  cases: number;
  value?: number;
  closed_only?: number;
  adjusted?: number;
  expected?: number;
}

export interface Result {
  intervention: Definition;
  hash: string;
  late: boolean;
  metric: { name: string; version: number; label: Text; unit: Unit };
  as_of: string;
  from: string;
  start: string;
  to: string;
  verdict: Word;
  because: Text;
  estimator: string;
  gain?: Interval;
  before?: Period;
  after?: Period;
  raw?: number; // ratios after / before
  closed_only?: number;
  case_mix?: { before?: number; after?: number; ratio?: number };
  months?: Month[];
  time_series?: { controlled: boolean; effect: Interval; newey_west: Interval };
  differences?: { effect: Interval; trend?: { per_month: Interval; p: number }; placebos?: { months_earlier: number; effect: Interval; p: number }[]; refuted: boolean };
  notes?: Text[];
}

export interface Evaluation {
  evaluated_at: string;
  result_hash: string;
  verdict: Text;
  estimator: Text;
  claim: Text;
  result: Result;
}

export const listURL = "/api/v1/interventions";
export const detailURL = (name: string) => `${listURL}/${encodeURIComponent(name)}`;
export const evaluationURL = (name: string) => `${detailURL(name)}/evaluation`;
