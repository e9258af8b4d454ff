import type { Row, Text, Unit } from "../api";
import type { Key, Language, Translate } from "../catalogue";
import type { Difference } from "./compare";

const minute = 60;
const hour = 3600;
const day = 86400;

/** Says figures for people, in one language and the county's time zone. */
export class Format {
  constructor(
    readonly language: Language,
    readonly t: Translate,
    readonly zone: string,
  ) {}

  text(text: Text): string {
    return this.language === "en" ? text.en || text.zh : text.zh || text.en;
  }

  number(n: number, digits = 0): string {
    return new Intl.NumberFormat(this.language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(n);
  }

  /** A figure with its unit: 3.2 days, 5.0 h, 4.6 working days, 93.1%. */
  value(n: number, unit: Unit): string {
    const { amount, key } = this.parts(n, unit);
    return key ? this.t(key, { n: amount }) : amount;
  }

  /** A figure where the unit stands elsewhere, once for all: in narrow rows "working days" leaves no room for names. */
  brief(n: number, unit: Unit): string {
    return unit === "working_days" ? this.number(n, 1) : this.value(n, unit);
  }

  /** What has to stand elsewhere with `brief`; "" where a figure says its unit itself. */
  unitNote(unit: Unit): string {
    return unit === "working_days" ? this.t("unit.workingDaysName") : "";
  }

  /** A figure taken apart, so that a card can set the number larger than its unit. key is "" where there is no unit. */
  parts(n: number, unit: Unit): { amount: string; key: Key | "" } {
    if (unit === "share") {
      return { amount: new Intl.NumberFormat(this.language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(n), key: "" };
    }
    if (unit === "working_days") return { amount: this.number(n, 1), key: "unit.workingDays" };
    if (unit === "cases" || unit === "papers") return { amount: this.number(n), key: `unit.${unit}` };
    if (unit === "visits" || unit === "points") return { amount: this.number(n, unit === "visits" ? 2 : 1), key: `unit.${unit === "visits" ? "visits" : "marks"}` };
    if (n < hour) return { amount: this.number(n / minute), key: "unit.minutes" };
    if (n < 2 * day) return { amount: this.number(n / hour, 1), key: "unit.hours" };
    return { amount: this.number(n / day, 1), key: "unit.days" };
  }

  /** A row's figure, or in words why there is none. */
  row(row: Row | undefined, unit: Unit): string {
    if (!row) return this.t("state.empty");
    return row.state === "ok" && row.value !== null ? this.value(row.value, unit) : this.t(`state.${row.state === "ok" ? "empty" : row.state}`);
  }

  /** What has to be said beside a row's figure: that too little of the truth is in it. */
  warnings(row: Row): string[] {
    const share = row.coverage === undefined ? "" : this.value(row.coverage, "share");
    return (row.warnings ?? []).map((warning) => this.t(`warning.${warning}`, { share }));
  }

  /** −38%, +1.4 p.p. */
  difference(d: Difference): string {
    if (d.kind === "points") {
      return this.t("unit.points", { n: signed(new Intl.NumberFormat(this.language, { signDisplay: "exceptZero", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(d.amount)) });
    }
    return signed(new Intl.NumberFormat(this.language, { style: "percent", signDisplay: "exceptZero", maximumFractionDigits: 0 }).format(d.amount));
  }

  /** 2026-07 as 2026年7月 or Jul 2026. */
  month(month: string, style: "long" | "short" = "long"): string {
    const date = new Date(`${month}-01T00:00:00Z`);
    if (style === "long") return new Intl.DateTimeFormat(this.language, { year: "numeric", month: "short", timeZone: "UTC" }).format(date);
    return new Intl.DateTimeFormat(this.language, { month: "short", timeZone: "UTC" }).format(date);
  }

  range(from: string, to: string): string {
    return from === to ? this.month(from) : `${this.month(from)} – ${this.month(to)}`;
  }

  day(day: string): string {
    return new Intl.DateTimeFormat(this.language, { year: "numeric", month: "short", day: "numeric", timeZone: "UTC" }).format(new Date(`${day}T00:00:00Z`));
  }

  time(at: Date): string {
    return new Intl.DateTimeFormat(this.language, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false, timeZone: this.zone }).format(at);
  }

  /** How long ago something was, coarsely. */
  ago(seconds: number): string {
    return this.span("ago", seconds);
  }

  age(seconds: number): string {
    return this.span("age", seconds);
  }

  private span(kind: "ago" | "age", seconds: number): string {
    const s = Math.max(0, seconds);
    if (s < 90) return this.t(`${kind}.seconds`, { n: this.number(s) });
    if (s < 90 * minute) return this.t(`${kind}.minutes`, { n: this.number(s / minute) });
    if (s < 36 * hour) return this.t(`${kind}.hours`, { n: this.number(s / hour) });
    return this.t(`${kind}.days`, { n: this.number(s / day) });
  }
}

// Both languages give a hyphen, which is too short beside figures.
function signed(text: string): string {
  return text.replace("-", "\u2212");
}
