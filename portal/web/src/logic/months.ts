// Calendar months written 2026-07, as the API writes them. They sort as text.

export type Month = string;

export function isMonth(text: string): boolean {
  return /^\d{4}-(0[1-9]|1[0-2])$/.test(text);
}

export function isDay(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text) === true;
}

/** A count of months since year 0, so that months can be added and subtracted. */
export function index(month: Month): number {
  return Number(month.slice(0, 4)) * 12 + Number(month.slice(5)) - 1;
}

export function at(index: number): Month {
  return `${String(Math.floor(index / 12)).padStart(4, "0")}-${String((index % 12) + 1).padStart(2, "0")}`;
}

export function add(month: Month, n: number): Month {
  return at(index(month) + n);
}

/** Both ends included. */
export interface Range {
  from: Month;
  to: Month;
}

export function ending(to: Month, months: number): Range {
  return { from: add(to, 1 - months), to };
}

export function length(r: Range): number {
  return index(r.to) - index(r.from) + 1;
}

export function months(r: Range): Month[] {
  return Array.from({ length: length(r) }, (_, i) => add(r.from, i));
}

/** Where a day lies on an axis on which a month's own number is its middle. */
export function position(day: string): number {
  const month = day.slice(0, 7);
  const days = new Date(Date.UTC(Number(day.slice(0, 4)), Number(day.slice(5, 7)), 0)).getUTCDate();
  return index(month) - 0.5 + (Number(day.slice(8, 10)) - 1) / days;
}
