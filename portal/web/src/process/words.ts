import { isKey } from "../catalogue";
import type { Format } from "../logic/format";
import { begin, end } from "./layout";

/** The name of an activity: the department's own word, or ours for common codes. */
export function activityName(format: Format, activity: string): string {
  if (activity === begin || activity === "") return format.t("process.begin");
  if (activity === end) return format.t("process.end");
  const key = `activity.${activity}`;
  return isKey(key) ? format.t(key) : activity;
}

/** A duration, coarsely: 12 min, 3.5 h, 6.2 days. */
export function short(format: Format, seconds: number): string {
  if (seconds < 60) return format.t("age.seconds", { n: format.number(Math.max(0, seconds)) });
  return format.value(seconds, "seconds");
}
