import { isKey } from "../catalogue";
import type { Format } from "../logic/format";
import type { About, Decision, Named } from "./api";

export function percent(format: Format, share: number): string {
  return new Intl.NumberFormat(format.language, { style: "percent", maximumFractionDigits: share > 0.1 && share < 0.9 ? 0 : 1 }).format(share);
}

/** +4.8, −5.2 */
export function bits(format: Format, n: number): string {
  return new Intl.NumberFormat(format.language, { signDisplay: "exceptZero", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(n).replace("-", "\u2212");
}

/** What a model calls something; its name where the model has no words. */
export function titleOf(format: Format, list: Named[] | undefined, name: string): string {
  const found = list?.find((n) => n.name === name);
  return found ? format.text(found) || name : name.replaceAll("_", " ");
}

/** A level of agreement in words. Models may have levels that the catalogue does not know. */
export function levelOf(format: Format, level: string): string {
  const key = `level.${level}`;
  return isKey(key) ? format.t(key) : level.replaceAll("_", " ");
}

export function decisionOf(format: Format, about: About, decision: Decision): string {
  return format.t(about === "person" ? `verdict.person.${decision}` : `verdict.organisation.${decision}`);
}
