// What the portal's API answers; /openapi.json describes it.

export interface Text {
  zh: string;
  en: string;
}

export interface County {
  division: string;
  name_zh: string;
  name_en: string;
  time_zone: string;
  version: string;
  as_of: string | null;
  first_month: string;
  last_month: string;
  empty: boolean;
  generation: number;
  review?: boolean; // identities are reviewed at /review
  jobs?: boolean; // jobs are shown at /jobs
  evaluation?: boolean; // what the county did is judged at /evaluation
  catalogue?: boolean; // what can be shared is shown at /catalogue
  requests?: boolean; // departments ask each other for data at /sharing
  supervision?: boolean; // supervisors search the log of accesses at /supervision
  window?: boolean; // clerks see at /window what an applicant need not hand in
}

export type Unit = "share" | "seconds" | "working_days" | "cases" | "papers" | "visits" | "points";

export interface Definition {
  name: string;
  version: number;
  label: Text;
  description: Text;
  kind: string;
  unit: Unit;
  better: "up" | "down";
  dimensions: string[];
  minimum_cell: number;
  maximum_open?: number;
  beside?: string;
  leaves_out?: Text;
  theme?: string;
  view: string;
  grade?: string;
  coverage?: string;
  formula?: string;
  inputs?: string[];
  from?: string;
  where?: string;
  time?: string;
  numerator?: string;
  denominator?: string;
  duration?: string;
  event?: string;
  refused?: string;
}

export type RowState = "ok" | "suppressed" | "not_estimable" | "undefined" | "empty";

/** Why a figure may be wrong although it is there: too little of the truth is in it. */
export type Warning = "low_coverage" | "stopped";

export interface Row {
  key: string;
  value: number | null;
  numerator?: number;
  denominator?: number;
  p90?: number;
  lower?: number; // the 95% interval of value
  upper?: number;
  p90_lower?: number;
  p90_upper?: number;
  before?: Row; // of what it is compared with
  count: number;
  open?: number;
  closed_only?: number;
  state: RowState;
  coverage?: number; // of what the departments report
  warnings?: Warning[];
}

export interface Result {
  metric: string;
  version: number;
  by: string;
  from: string;
  to: string;
  as_of: string;
  known?: string;
  coverage?: Coverage;
  compared?: { from: string; to: string; known?: string; coverage?: Coverage };
  restated?: Restated[];
  rows: Row[];
}

export interface Label {
  key: string;
  zh: string;
  en: string;
}

export interface Labels {
  departments: Label[];
  items: Label[];
}

export interface Intervention {
  name: string;
  kind: string;
  title: Text;
  starts_on: string;
  department?: string;
  item?: string;
  metric?: string;
  claim?: string;
}

export interface Flow {
  state: string;
  problem?: string;
  lag_messages: number;
  lag_rows: number;
  oldest_unloaded_seconds: number;
  last_load_at: string | null;
  loaded_rows: number;
  quarantined: number;
  by_owner: { department: string; owner_zh: string; owner_en: string; rows: number }[];
  sources: { name: string; kind: string; state: string; last_change_at: string | null; problem?: string }[];
  drift: { source: string; dataset: string; column: string; code: string; reaction: string; since: string; message: string }[];
  engines: { name: string; state: string; problem?: string }[];
  generation: number;
}

/** A request that the portal could not answer. detail is its sentence, or "" where the portal was not reached at all. */
export class Failure extends Error {
  constructor(
    readonly detail: string,
    readonly code = detail ? "" : "unreachable",
    readonly detailZh = "",
  ) {
    super(detail || code);
  }
}

const timeout = 45_000; // a little more than the portal gives itself for one figure

export function getJSON<T>(url: string, signal: AbortSignal): Promise<T> {
  return ask<T>(url, signal, {});
}

/** What people sign in to. The header is one that pages of other sites cannot send. */
export interface Door {
  session: string; // address
  header: string;
}

/** Who has signed in. */
export interface Session {
  name: string;
  expires_at: string;
  sign_out?: string; // where the provider that let them in ends its own session
}

/** How people sign in beside local accounts: by the county's OpenID Connect provider, or not at all. */
export interface SignInWays {
  oidc: (Text & { origin: string }) | null;
}

/** Where a browser begins to sign in by the provider; it comes back to the page that it is on. */
export function signOnURL(door: Door, origin: string, here: { pathname: string; search: string }): string {
  return `${origin}${door.session}/oidc?back=${encodeURIComponent(here.pathname + here.search)}`;
}

/** Changes something behind a door. */
export function change<T = void>(door: Door, method: "POST" | "DELETE", url: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { [door.header]: "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return ask<T>(url, new AbortController().signal, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
}

async function ask<T>(url: string, signal: AbortSignal, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, { ...init, signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]), headers: { Accept: "application/json", ...init.headers } });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Failure("");
  }
  if (!response.ok) {
    const problem: { detail?: string; detail_zh?: string; code?: string } = await response.json().catch(() => ({}));
    throw new Failure(problem.detail ?? `HTTP ${response.status}`, problem.code, problem.detail_zh);
  }
  if (response.status === 204) return undefined as T;
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Failure("");
  }
}

export interface MetricQuery {
  metric: string;
  by?: "month" | "department" | "item";
  from: string;
  to: string;
  department?: string | undefined;
  item?: string | undefined;
}

/** The address of a figure. Parameters come in one order, so that equal questions have equal addresses. */
export function metricURL(q: MetricQuery): string {
  const parameters = new URLSearchParams();
  if (q.by) parameters.set("by", q.by);
  parameters.set("from", q.from);
  parameters.set("to", q.to);
  if (q.department) parameters.set("department", q.department);
  if (q.item) parameters.set("item", q.item);
  return `/api/v1/metrics/${encodeURIComponent(q.metric)}?${parameters}`;
}

/** What is made of a figure, event by event. */
export interface Events {
  metric: string;
  version: number;
  of: string; // the metric whose events they are: of a derived one the one that it is derived from
  view: string;
  from: string;
  to: string;
  as_of: string;
  figure: Row;
  columns: { name: string; type: "text" | "number" | "day" | "time" }[];
  skip: number;
  more: boolean;
  rows: FigureEvent[];
}

export interface FigureEvent {
  at: string;
  fields: string[];
  numerator: number;
  denominator: number;
  duration?: number;
  ended?: boolean;
}

export interface Coverage {
  state: "ok" | "low" | "stopped" | "unknown";
  value: number | null;
  captured: number;
  reported: number;
  stopped?: string[];
  unreported?: string[];
}

export interface Restated {
  dataset: string;
  change: string;
  records: number;
}
