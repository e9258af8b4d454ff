// What the review's part of the API answers; /openapi.json describes it.

import type { Door } from "../api";

export type About = "person" | "organisation";
export const abouts: readonly About[] = ["person", "organisation"];

export type Decision = "same" | "different" | "unsure";
export const decisions: readonly Decision[] = ["same", "different", "unsure"];

export interface Item {
  about: About;
  a: string;
  b: string;
  weight: number; // thousandths of a bit
  probability: number;
  settles: number;
  doubts?: string[];
}

export interface Queue {
  total: number;
  items: Item[];
}

export interface Named {
  name: string;
  zh: string;
  en: string;
}

export interface SourceRecord {
  id: string;
  dataset: string;
  role: string;
  values: string[] | null; // by field; "" where it says nothing
}

export interface Side {
  record: SourceRecord;
  party: string;
  neighbours?: SourceRecord[];
  members: number;
}

export interface Step {
  comparison: string;
  level: string;
  weight: number;
  rarity?: number;
  source?: number;
}

export interface Explanation {
  model: string;
  prior: number;
  steps: Step[];
  doubts?: string[];
  weight: number;
  conflict?: boolean;
}

export interface Verdict {
  decision: Decision;
  reviewer: string;
  reason: string;
  at: string;
}

export interface Case extends Item {
  fields: Named[];
  left: Side;
  right: Side;
  explanation?: Explanation;
  together: boolean;
  verdict?: Verdict;
}

export interface Wording {
  comparisons: Named[];
  doubts: Named[];
  link: number;
  review: number;
}

export const door: Door = { session: "/api/v1/review/session", header: "X-Shire-Review" };
export const verdictsURL = "/api/v1/review/verdicts";
export const queueURL = (about: About) => `/api/v1/review/queue?about=${about}&limit=100`;
export const modelURL = (about: About) => `/api/v1/review/model?about=${about}`;
export const caseURL = (about: About, a: string, b: string) => `/api/v1/review/cases/${a}/${b}?about=${about}`;
export const verdictURL = (about: About, a: string, b: string) => `${verdictsURL}/${about}/${a}/${b}`;

export const keyOf = (pair: { a: string; b: string }) => `${pair.a}/${pair.b}`;
