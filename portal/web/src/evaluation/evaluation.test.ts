import { describe, expect, it } from "vitest";
import { translator } from "../catalogue";
import { Format } from "../logic/format";
import { detailURL, evaluationURL, type Result } from "./api";
import { curvesTable, monthsTable, reach } from "./charts";
import { format, parse, start, type EvaluationState } from "./state";
import { gainOf, gains, gainText, onScale, percent, value, where } from "./words";

const say = (language: "zh-CN" | "en") => new Format(language, translator(language), "Asia/Shanghai");

describe("the address", () => {
  it("keeps every choice", () => {
    const all: EvaluationState = { lang: "en", theme: "dark", intervention: "data_link", tables: ["months", "curves"] };
    expect(parse(format(all))).toEqual(all);
    expect(format(all)).toBe("?lang=en&theme=dark&intervention=data_link&tables=months,curves");
  });
  it("is empty at the start, and survives being mangled", () => {
    expect(format(start)).toBe("");
    expect(parse("?lang=fr&theme=pink&intervention=%3Cscript%3E&tables=x,y")).toEqual(start);
    expect(parse(`?intervention=${"x".repeat(65)}`)).toEqual(start);
  });
  it("asks the portal", () => {
    expect(detailURL("a/b")).toBe("/api/v1/interventions/a%2Fb");
    expect(evaluationURL("data_link")).toBe("/api/v1/interventions/data_link/evaluation");
  });
});

describe("gains", () => {
  it("are in the words of the claim", () => {
    expect(gainOf("time_down", 0.45)).toBeCloseTo(0.55);
    expect(gainOf("speed_up", 0.5)).toBe(1);
    expect(gainOf("ratio_up", 1.5)).toBe(0.5);
    expect(gains("time_down", { value: 0.45, low: 0.4, high: 0.5 })).toEqual({ value: 0.55, low: 0.5, high: 0.6 });
    expect(gains("ratio_up", { value: 1.5, low: 1.2, high: 2 }).low).toBeCloseTo(0.2);
  });
  it("are rounded outwards, so that nothing more is claimed than is", () => {
    expect(gainText(say("en"), { value: 0.5589, low: 0.49996, high: 0.59001 })).toBe("55.9% (95% interval 49.9% to 59.1%)");
    expect(gainText(say("zh-CN"), { value: 0.085, low: -0.1297, high: 0.243 })).toBe("8.5%（95% 区间 −13.0% 至 24.3%）");
    expect(percent(say("en"), 0.5, Math.floor)).toBe("50.0%");
    expect(percent(say("en"), -0.0001)).toBe("0.0%");
  });
  it("lie on a scale that is cut at its ends", () => {
    expect(onScale({ value: 0.5, low: 0, high: 3 })).toEqual({ low: 50, value: 75, high: 100 });
    expect(onScale({ value: -2, low: -9, high: -1 })).toEqual({ low: 0, value: 0, high: 0 });
  });
});

describe("words", () => {
  it("give figures their unit", () => {
    expect(value(say("en"), 2, "working_days")).toBe("2.00 working days");
    expect(value(say("zh-CN"), undefined, "days")).toBe("无法估计");
    expect(value(say("en"), 0.1234, "share")).toBe("12.3%");
    expect(value(say("en"), 1.25, "visits")).toBe("1.25 visits");
  });
  it("say which cases, by their names", () => {
    const names = (group: string, code: string) => (group === "departments" && code === "health" ? "卫健局" : code);
    expect(where(say("zh-CN"), { departments: ["health"], items: ["1", "2"] }, names)).toBe("部门：卫健局；事项：1、2");
    expect(where(say("en"), {}, names)).toBe("all");
  });
});

describe("tables", () => {
  const result = {
    metric: { unit: "working_days" },
    before: { curve: [{ duration: 2, survival: 0.8 }, { duration: 6, survival: 0.4 }, { duration: 30, survival: 0.01 }] },
    after: { curve: [{ duration: 1, survival: 0.4 }] },
    months: [
      { month: "2026-01", state: "ok", cases: 12, value: 6, closed_only: 6, adjusted: 5.5, expected: 6.25 },
      { month: "2026-02", state: "suppressed", cases: 0 },
    ],
  } as unknown as Result;
  it("show the trap beside the figure, and nothing of what is too small", () => {
    const table = monthsTable(result, say("en"));
    expect(table.head).toHaveLength(7);
    expect(table.rows[0]!.map((c) => c.text)).toEqual(["Jan 2026", "estimable", "12", "6.00 working days", "6.00 working days", "5.50 working days", "6.25 working days"]);
    expect(table.rows[1]!.slice(2).every((c) => c.raw === null || c.raw === undefined)).toBe(true);
  });
  it("read the curves", () => {
    expect(curvesTable(result, say("en")).rows.map((r) => r.map((c) => c.raw))).toEqual([
      [undefined, 2, 1], [undefined, 6, 1], [undefined, 6, 1], [undefined, 30, undefined], [undefined, 30, undefined],
    ]);
    expect(reach([...result.before!.curve!, ...result.after!.curve!])).toBe(7);
    expect(reach([])).toBe(1);
  });
});
