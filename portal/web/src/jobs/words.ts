import { isKey, type Key } from "../catalogue";
import type { Format } from "../logic/format";
import type { Job, Run } from "./api";

/** A word of the node in the reader's language; as it is where the catalogue does not know it. */
export function word(format: Format, family: "state" | "cause" | "days" | "missed" | "overlap" | "kind", code: string): string {
  const key = {
    state: `jobs.state.${code}`, cause: `jobs.cause.${code}`, days: `jobs.days.${code}`,
    missed: `jobs.missed.${code}`, overlap: `jobs.overlap.${code}`, kind: `jobs.kind.${code}`,
  }[family];
  return isKey(key) ? format.t(key) : code.replaceAll("_", " ");
}

/** 0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function duration(format: Format, seconds: number): string {
  const say = (key: Key, n: number, digits = 0) => format.t(key, { n: format.number(n, digits) });
  const two = (big: Key, small: Key, unit: number, part: number) => {
    const parts = Math.round(seconds / part);
    const whole = Math.floor((parts * part) / unit);
    const rest = parts - (whole * unit) / part;
    return rest ? `${say(big, whole)} ${say(small, rest)}` : say(big, whole);
  };
  if (seconds > 0 && seconds < 0.05) return format.t("jobs.seconds", { n: `<${format.number(0.1, 1)}` });
  if (seconds < 9.95) return say("jobs.seconds", Math.max(0, seconds), 1);
  if (seconds < 59.5) return say("jobs.seconds", seconds);
  if (seconds < 3570) return two("jobs.minutes", "jobs.seconds", 60, seconds < 600 ? 1 : 60);
  if (seconds < 86_370) return two("jobs.hours", "jobs.minutes", 3600, 60);
  return two("jobs.daysLong", "jobs.hours", 86_400, 3600);
}

/** How long a run's present or last attempt has taken; null when none was made. */
export function seconds(run: Run, now: number): number | null {
  if (!run.started) return null;
  if (run.outcome === "running") return Math.max(0, (now - Date.parse(run.started)) / 1000);
  return run.finished && run.finished >= run.started ? (Date.parse(run.finished) - Date.parse(run.started)) / 1000 : null;
}

/** "in 5 min", or "now" for what is just due. */
export function until(format: Format, at: string, now: number): string {
  const left = (Date.parse(at) - now) / 1000;
  return left < 1 ? format.t("jobs.now") : format.t("jobs.in", { age: format.age(left) });
}

/** When a job is due, in a few words. */
export function schedule(format: Format, job: Job): string {
  const t = format.t;
  const list = (names: string[]) => names.join(format.language === "en" ? ", " : "、");
  if (job.schedule) return job.schedule;
  if (job.every) return t("jobs.every", { every: span(format, job.every) });
  if (job.after?.length) return t("jobs.after", { names: list(job.after) });
  return t("jobs.byHand");
}

/** Go's 1h30m0s in words. */
export function span(format: Format, text: string): string {
  let total = 0;
  for (const [, n = "", unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)) total += Number(n) * { h: 3600, m: 60, s: 1, ms: 0.001 }[unit as "h" | "m" | "s" | "ms"];
  return total < 10 ? format.t("jobs.seconds", { n: format.number(total) }) : duration(format, total);
}

/** The due time in a run's id is in the job's zone; people read the county's. */
export const dueOf = (format: Format, run: Pick<Run, "due">) => format.time(new Date(run.due));

/** How a state looks: its dot. */
export function tone(state: string): string {
  switch (state) {
    case "ok":
      return "good";
    case "failed":
      return "bad";
    case "running":
      return "busy";
    case "waiting":
    case "paused":
      return "wait";
  }
  return "still";
}
