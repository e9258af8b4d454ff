import type { Format } from "../logic/format";
import type { Claim, Interval, Unit, Where } from "./api";

/** A figure in the unit of the evaluation: times are in days here, not in seconds. */
export function value(format: Format, n: number | null | undefined, unit: Unit): string {
  if (n === null || n === undefined) return format.t("evaluation.notEstimable");
  if (unit === "share") return format.value(n, "share");
  if (unit === "days") return format.t("unit.days", { n: format.number(n, 2) });
  if (unit === "working_days") return format.t("unit.workingDays", { n: format.number(n, 2) });
  return format.value(n, unit);
}

/** A ratio after / before in the words of the claim: .5 is better by half. */
export function gainOf(claim: Claim, ratio: number): number {
  if (claim === "speed_up") return 1 / ratio - 1;
  return claim === "ratio_up" ? ratio - 1 : 1 - ratio;
}

/** A gain as a percentage. The ends of intervals are rounded outwards: what is written never claims more than what is. */
export function percent(format: Format, gain: number, round: (n: number) => number = Math.round): string {
  const tenths = round(gain * 1000 + (round === Math.floor ? 1e-9 : round === Math.ceil ? -1e-9 : 0)) / 1000;
  return new Intl.NumberFormat(format.language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(tenths === 0 ? 0 : tenths).replace("-", "\u2212");
}

/** 55.9% (95% interval 52.2% to 59.1%). */
export function gainText(format: Format, gain: Interval): string {
  return format.t("evaluation.interval", { value: percent(format, gain.value), low: percent(format, gain.low, Math.floor), high: percent(format, gain.high, Math.ceil) });
}

/** The interval of a gain from one of ratios. A fall of the ratio turns its ends around. */
export function gains(claim: Claim, ratio: Interval): Interval {
  const ends = [gainOf(claim, ratio.low), gainOf(claim, ratio.high)];
  return { value: gainOf(claim, ratio.value), low: Math.min(...ends), high: Math.max(...ends) };
}

const groups = ["departments", "divisions", "items", "kinds", "channels"] as const;

/** Which cases, by their groups; names says what a code is called. */
export function where(format: Format, of: Where, names: (group: string, code: string) => string): string {
  const [colon, separator, between] = format.language === "en" ? [": ", ", ", "; "] : ["：", "、", "；"];
  const parts = groups.filter((g) => of[g]?.length).map((g) => `${format.t(`evaluation.group.${g}`)}${colon}${of[g]!.map((code) => names(g, code)).join(separator)}`);
  return parts.length ? parts.join(between) : format.t("evaluation.everything");
}

/** Where an interval lies on a scale from -1 to 1: positions of its ends and its middle, in percent. What lies beyond is cut. */
export function onScale(gain: Interval): { low: number; value: number; high: number } {
  const at = (n: number) => Math.max(0, Math.min(100, 50 + 50 * n));
  return { low: at(gain.low), value: at(gain.value), high: at(gain.high) };
}
