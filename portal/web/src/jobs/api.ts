// What the part of the API that is about jobs answers; /openapi.json describes it.

import type { Door } from "../api";

export type Outcome = "waiting" | "running" | "ok" | "failed" | "cancelled" | "skipped";
export type JobState = Outcome | "paused" | "never";
export type Only = "none" | "failed" | "completed";

export interface Run {
  id: string;
  job: string;
  due: string;
  from: string;
  to: string; // equal to from where the run has no data interval
  cause: "schedule" | "missed" | "after" | "hand" | "backfill";
  outcome: Outcome;
  attempt: number;
  not_before?: string;
  started: string | null;
  finished: string | null;
  message?: string; // in English
  counts?: Record<string, number>;
  cancelling?: boolean;
  backfill?: string;
  missed?: number;
  event: number;
  parameters?: Record<string, string>;
}

export interface Backfill {
  id: string;
  from: string;
  to: string;
  reverse?: boolean;
  only?: Only;
  most: number;
  total: number;
  passed: number;
  left: number;
  outcomes?: Partial<Record<Outcome, number>>;
  paused?: boolean;
  created: string;
  finished: string | null;
  outcome: "running" | "ok" | "failed" | "cancelled";
}

export interface Job {
  name: string;
  kind: string;
  source?: string;
  owner?: string;
  schedule?: string;
  every?: string;
  after?: string[];
  time_zone: string;
  days: string;
  missed: string;
  overlap: string;
  state: JobState;
  next: string | null;
  paused?: { at: string; reason?: string };
  active: Run[];
  waiting: number;
  running: number;
  last?: Run;
  last_ok: string | null;
  silent_since?: string;
  backfills?: Backfill[];
  parameters?: Record<string, string>;
}

export const filters = ["running", "waiting", "failed", "paused", "silent"] as const;
export type Filter = (typeof filters)[number];
export const sorts = ["name", "next", "last"] as const;
export type Sort = (typeof sorts)[number];

export interface JobList {
  total: number;
  matching: number;
  counts: Record<Filter, number>;
  items: Job[];
}

export interface RunList {
  items: Run[];
  more: boolean;
}

export interface Brief {
  id: string;
  due: string;
  outcome: Outcome;
  seconds: number;
}

export interface Recent {
  job: string;
  runs: Brief[]; // the oldest first
}

export interface Block {
  from: string;
  to: string;
  outcome: Outcome;
  runs: number;
  failed: number;
  run: string;
}

export interface Lane {
  job: string;
  blocks: Block[];
  since: string | null; // earlier runs are not looked at
}

export interface Timeline {
  from: string;
  to: string;
  lanes: Lane[];
}

export interface Due {
  job: string;
  due: string;
  problem?: string; // in English
  paused?: boolean;
}

export interface Line {
  at: string;
  attempt: number;
  text: string;
}

export interface LogPage {
  first: number;
  lines: Line[];
  total: number;
}

export interface Order {
  from: string;
  to?: string;
  reverse?: boolean;
  only?: Only | undefined;
  most?: number;
  parameters?: Record<string, string>;
}

export interface Plan {
  from: string;
  to: string;
  total: number;
  runs: number;
  first: string[];
}

export const door: Door = { session: "/api/v1/operators/session", header: "X-Shire-Jobs" };

export const perPage = 50;

export function listURL(q: { filter: Filter | ""; q: string; sort: Sort; page: number }): string {
  const p = new URLSearchParams();
  if (q.filter) p.set("state", q.filter);
  if (q.q) p.set("q", q.q);
  if (q.sort !== "name") p.set("sort", q.sort);
  if (q.page > 1) p.set("offset", String((q.page - 1) * perPage));
  p.set("limit", String(perPage));
  return `/api/v1/jobs?${p}`;
}

const some = (names: string[]) => names.map((name) => `job=${encodeURIComponent(name)}`).join("&");

export const recentURL = (names: string[]) => `/api/v1/runs/recent?${some(names)}`;
export const timelineURL = (names: string[], hours: number) => `/api/v1/runs/timeline?${some(names)}&hours=${hours}`;
export const nextURL = (job: string, n: number) => `/api/v1/jobs/next?${job ? `job=${encodeURIComponent(job)}&` : ""}n=${n}`;
export const jobURL = (name: string) => `/api/v1/jobs/${encodeURIComponent(name)}`;
export const runsURL = (name: string, page: number, outcome: Outcome | "") =>
  `${jobURL(name)}/runs?limit=${perPage}${page > 1 ? `&offset=${(page - 1) * perPage}` : ""}${outcome ? `&outcome=${outcome}` : ""}`;
export const runURL = (id: string) => `/api/v1/runs/${encodeURIComponent(id)}`;
export const backfillsURL = (name: string) => `${jobURL(name)}/backfills`;

export const isOver = (outcome: Outcome) => outcome !== "waiting" && outcome !== "running";
