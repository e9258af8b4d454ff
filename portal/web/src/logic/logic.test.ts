import { describe, expect, it } from "vitest";
import type { Result, Row, Unit } from "../api";
import { translator, type Language } from "../catalogue";
import { baselineOf, compare, offset } from "./compare";
import { Format } from "./format";
import { add, ending, index, isMonth, months, position } from "./months";
import { series, windowOf } from "./series";
import { format, parse, periodOf, start, type ViewState } from "./state";
import { csv, figure, words } from "./table";

const ok = (value: number): Row => ({ key: "", value, count: 100, state: "ok" });
const without = (state: Row["state"]): Row => ({ key: "", value: null, count: 3, state });
const say = (language: Language) => new Format(language, translator(language), "Asia/Shanghai");

describe("months", () => {
  it("add across years", () => {
    expect(add("2026-01", -1)).toBe("2025-12");
    expect(add("2025-12", 1)).toBe("2026-01");
    expect(add("2026-09", -24)).toBe("2024-09");
    expect(months(ending("2026-02", 3))).toEqual(["2025-12", "2026-01", "2026-02"]);
  });
  it("are checked", () => {
    expect(["2026-07", "2026-13", "2026-00", "2026-7", "26-07", ""].map(isMonth)).toEqual([true, false, false, false, false, false]);
  });
  it("place a day within its month, whose number is its middle", () => {
    expect(position("2026-03-01") - index("2026-03")).toBeCloseTo(-0.5);
    expect(position("2026-03-16") - index("2026-03")).toBeCloseTo(-0.016, 2);
    expect(position("2026-02-28") - index("2026-02")).toBeCloseTo(0.464, 2);
  });
});

describe("the baseline", () => {
  const quarter = { from: "2026-07", to: "2026-09" };
  it("is the same months a year before, or the months just before", () => {
    expect(baselineOf(quarter, "year")).toEqual({ from: "2025-07", to: "2025-09" });
    expect(baselineOf(quarter, "preceding")).toEqual({ from: "2026-04", to: "2026-06" });
    expect(baselineOf({ from: "2025-10", to: "2026-09" }, "preceding")).toEqual({ from: "2024-10", to: "2025-09" });
  });
  it("never overlaps the period", () => {
    for (const n of [1, 3, 6, 12, 13, 24]) {
      const period = ending("2026-09", n);
      expect(baselineOf(period, "year").to < period.from).toBe(true);
      expect(baselineOf(period, "preceding").to < period.from).toBe(true);
      expect(offset(period, "year") % 12).toBe(0); // the same months of a year
    }
  });
});

describe("compare", () => {
  const time = { unit: "seconds" as Unit, better: "down" as const };
  const rate = { unit: "share" as Unit, better: "up" as const };
  it.each([
    ["less time", ok(50), ok(100), time, -0.5, "better"],
    ["more time", ok(150), ok(100), time, 0.5, "worse"],
    ["time that would be shown as 0%", ok(100.4), ok(100), time, 0.004, "same"],
    ["a higher rate where up is better", ok(0.93), ok(0.87), rate, 6, "better"],
    ["a lower rate where up is better", ok(0.87), ok(0.93), rate, -6, "worse"],
    ["a lower rate where down is better", ok(0.14), ok(0.31), { ...rate, better: "down" as const }, -17, "better"],
    ["a rate that would be shown as 0.0", ok(0.9304), ok(0.93), rate, 0.04, "same"],
  ])("%s", (_, now, before, definition, amount, verdict) => {
    const difference = compare(now, before, definition)!;
    expect(difference.amount).toBeCloseTo(amount, 6);
    expect(difference.verdict).toBe(verdict);
    expect(difference.kind).toBe(definition.unit === "share" ? "points" : "relative");
  });
  it.each(["suppressed", "not_estimable", "undefined", "empty"] as const)("says nothing where a figure is %s", (state) => {
    expect(compare(without(state), ok(1), time)).toBeNull();
    expect(compare(ok(1), without(state), time)).toBeNull();
    expect(compare(ok(1), undefined, time)).toBeNull();
    expect(compare({ ...ok(1), state }, ok(2), time)).toBeNull(); // a value beside such a state must not be used
  });
  it("divides by no zero", () => expect(compare(ok(1), ok(0), time)).toBeNull());
});

describe("the series", () => {
  const result = (rows: [string, number][]): Result => ({ metric: "m", version: 1, by: "month", from: "", to: "", as_of: "", rows: rows.map(([key, value]) => ({ ...ok(value), key })) });
  it("pairs months with their counterparts, and leaves gaps", () => {
    const points = series(result([["2026-09", 2], ["2025-09", 4], ["2026-08", 3]]), { from: "2026-08", to: "2026-09" }, 12);
    expect(points.map((p) => [p.month, p.row?.value, p.baselineMonth, p.baseline?.value])).toEqual([
      ["2026-08", 3, "2025-08", undefined], ["2026-09", 2, "2025-09", 4],
    ]);
  });
  it("shows a year at least, and reads what it compares with", () => {
    expect(windowOf({ from: "2026-07", to: "2026-09" }, 12)).toEqual({ shown: { from: "2025-10", to: "2026-09" }, read: { from: "2024-10", to: "2026-09" } });
    expect(windowOf(ending("2026-09", 24), 24).shown.from).toBe("2024-10");
  });
});

describe("figures in words", () => {
  it.each([
    [276480, "seconds", "3.2 天", "3.2 days"],
    [18000, "seconds", "5.0 小时", "5.0 h"],
    [172799, "seconds", "48.0 小时", "48.0 h"],
    [172800, "seconds", "2.0 天", "2.0 days"],
    [1500, "seconds", "25 分钟", "25 min"],
    [0, "seconds", "0 分钟", "0 min"],
    [4.62, "working_days", "4.6 个工作日", "4.6 working days"],
    [0.9312, "share", "93.1%", "93.1%"],
    [1, "share", "100.0%", "100.0%"],
    [1234, "cases", "1,234 件", "1,234 cases"],
    [1.234, "visits", "1.23 次", "1.23 visits"],
    [12.25, "points", "12.3 分", "12.3 points"],
  ] as const)("%d %s", (n, unit, zh, en) => {
    expect(say("zh-CN").value(n, unit)).toBe(zh);
    expect(say("en").value(n, unit)).toBe(en);
  });
  it("says why there is no figure", () => {
    expect(say("en").row(without("suppressed"), "share")).toBe("Too few to publish");
    expect(say("zh-CN").row(without("not_estimable"), "seconds")).toBe("尚不可估计");
    expect(say("en").row(undefined, "seconds")).toBe("No data");
    expect(say("en").row(without("undefined"), "share")).toBe("No figure");
  });
  it("says what a figure lacks, whether there is one or not", () => {
    expect(say("en").warnings({ ...ok(0.99), coverage: 0.62, warnings: ["low_coverage", "stopped"] })).toEqual(["Only 62.0% of what departments report is in it", "A department has stopped delivering"]);
    expect(say("zh-CN").warnings({ ...without("empty"), warnings: ["stopped"] })).toEqual(["有部门已停止归集"]);
    expect(say("en").warnings({ ...ok(0.99), coverage: 0.99 })).toEqual([]);
  });
  it("says differences", () => {
    expect(say("en").difference({ kind: "relative", amount: -0.384, verdict: "better" })).toBe("−38%");
    expect(say("en").difference({ kind: "points", amount: 1.42, verdict: "better" })).toBe("+1.4 p.p.");
    expect(say("zh-CN").difference({ kind: "points", amount: -4.2, verdict: "worse" })).toBe("−4.2 个百分点");
    expect(say("en").difference({ kind: "points", amount: 0.01, verdict: "same" })).toBe("0.0 p.p.");
  });
  it("says times in the county's zone, and months", () => {
    expect(say("zh-CN").month("2026-07")).toBe("2026年7月");
    expect(say("en").month("2026-07")).toBe("Jul 2026");
    expect(say("en").time(new Date("2026-10-07T17:30:00Z"))).toContain("01:30");
    expect(say("en").ago(14)).toBe("14 s ago");
    expect(say("zh-CN").ago(2800)).toBe("47 分钟前");
  });
});

describe("the address", () => {
  it("keeps every choice", () => {
    const all: ViewState = { lang: "en", theme: "dark", months: 6, end: "2026-03", compare: "preceding", metric: "repeat_rate", department: "health", item: "11MZ00101", view: "wall", tables: ["trend", "item"] };
    expect(parse(format(all))).toEqual(all);
    expect(format(all)).toBe("?lang=en&theme=dark&period=6m_2026-03&compare=preceding&metric=repeat_rate&department=health&item=11MZ00101&view=wall&table=trend,item");
  });
  it("is empty at the start", () => {
    expect(format(start)).toBe("");
    expect(parse("")).toEqual(start);
  });
  it("survives being mangled", () => {
    expect(parse("?lang=fr&theme=pink&period=999m_2026-99&compare=never&metric=../x&department=%3Cscript%3E&view=x&table=a,trend")).toEqual({ ...start, tables: ["trend"] });
  });
  it("gives the last complete months unless told otherwise, and nothing after them", () => {
    expect(periodOf(start, "2026-09")).toEqual({ from: "2026-07", to: "2026-09" });
    expect(periodOf({ ...start, months: 1, end: "2026-02" }, "2026-09")).toEqual({ from: "2026-02", to: "2026-02" });
    expect(periodOf({ ...start, end: "2030-01" }, "2026-09")).toEqual({ from: "2026-07", to: "2026-09" });
  });
});

describe("the CSV", () => {
  it("is for Excel, quotes, and runs no formula", () => {
    const text = csv({ caption: "", head: ["name", "value"], units: ["", "share"], rows: [[words('a "b", c'), figure("−38%", -0.38)], [words("=1+1"), figure("–", null)], [words("＝x"), figure("", undefined)], [words(" @y"), figure("2", 2)]] });
    expect(text).toBe('\ufeffname,value (share)\r\n"a ""b"", c",-0.38\r\n\'=1+1,\r\n\'＝x,\r\n\' @y,2\r\n');
  });
});
