import { describe, expect, it } from "vitest";
import type { Definition } from "../api";
import { Format } from "../logic/format";
import { isDay } from "../logic/months";
import { translator } from "../catalogue";
import { eventsURL, figureURL } from "./api";
import { breakdownOf, eventsPerPage, format, inOrder, parse, start, type FiguresState } from "./state";
import { byTheme } from "./themes";
import { columnName, dimensionName, valueName } from "./words";

const period = { from: "2026-07", to: "2026-09" };
const dimensions = ["channel", "department", "item"];

describe("the address", () => {
  it.each<Partial<FiguresState>>([
    {}, { metric: "on_time_rate", months: 12, end: "2026-06" }, { lang: "en", theme: "dark", compare: "year", tables: ["trend", "by"] },
    { metric: "legal_time", known: "2026-08-15", compare: "known", where: { department: "Customer contact", item: "11MZ00101" }, by: "channel" },
    { metric: "overdue", part: "counted", skip: 3 * eventsPerPage },
  ])("says all that was chosen: %j", (change) => {
    const state = { ...start, ...change };
    expect(parse(format(state))).toEqual(state);
  });
  it("opens although it is mangled", () => {
    expect(parse("?metric=A%20B&period=999m_2026-13&compare=known&known=2026-02-31&is.x y=1&is.item=%3Cb%3E&by=%27&part=half&skip=-4&table=pie&lang=fr")).toEqual(start);
  });
  it("pages by whole pages", () => expect(parse(`?skip=${eventsPerPage + 3}`).skip).toBe(eventsPerPage));
  it("knows days", () => expect(["2026-08-15", "2026-02-29", "2024-02-29", "2026-8-1", "", "now"].map(isDay)).toEqual([true, false, true, false, false, false]));
});

describe("what is asked", () => {
  const view = { ...start, where: { item: "a", department: "hall", topic: "roads" } };
  it("keeps the filters that the metric knows", () => {
    expect(figureURL("on_time_rate", period, "", view, dimensions, true)).toBe("/api/v1/metrics/on_time_rate?from=2026-07&to=2026-09&compare=previous&department=hall&item=a");
  });
  it("does not filter the dimension that is broken down", () => {
    expect(figureURL("on_time_rate", period, "department", view, dimensions, true)).toBe("/api/v1/metrics/on_time_rate?by=department&from=2026-07&to=2026-09&compare=previous&item=a");
  });
  it("is as it was known then, unless then and now are compared", () => {
    const then = { ...start, known: "2026-08-15" };
    const both = { ...then, compare: "known" as const };
    expect(figureURL("m", period, "", then, dimensions, true)).toContain("compare=previous&known=2026-08-15");
    expect(figureURL("m", period, "", both, dimensions, true)).toContain("compare=known&known=2026-08-15");
    expect(figureURL("m", period, "month", both, dimensions, false)).not.toContain("known");
    expect(eventsURL("m", period, then, dimensions)).toContain("known=2026-08-15");
    expect(eventsURL("m", period, both, dimensions)).not.toContain("known"); // those of the figure of now
  });
  it("pages through the events of a part", () => {
    expect(eventsURL("m", period, { ...view, part: "rest", skip: 40 }, dimensions)).toBe("/api/v1/metrics/m/events?from=2026-07&to=2026-09&part=rest&skip=40&limit=20&department=hall&item=a");
  });
});

describe("the breakdown", () => {
  it("goes down: department, item, then the rest", () => {
    expect(inOrder(["channel", "department", "item", "kind"])).toEqual(["department", "item", "channel", "kind"]);
    expect(breakdownOf(start, dimensions)).toBe("department");
    expect(breakdownOf({ ...start, where: { department: "hall" } }, dimensions)).toBe("item");
    expect(breakdownOf({ ...start, where: { department: "hall", item: "a", channel: "online" } }, dimensions)).toBe("department");
  });
  it("is what was chosen, where the metric has it", () => {
    expect(breakdownOf({ ...start, by: "channel" }, dimensions)).toBe("channel");
    expect(breakdownOf({ ...start, by: "topic" }, dimensions)).toBe("department");
  });
});

describe("themes", () => {
  const named = (name: string, theme?: string) => ({ name, theme }) as Definition;
  it("hold every metric once, what nobody placed at the end", () => {
    const groups = byTheme([named("zebra", "time"), named("citizen_time", "time"), named("own"), named("odd", "weather"), named("repeat_rate", "papers")]);
    expect(groups.map((g) => [g.theme, g.metrics.map((d) => d.name)])).toEqual([["time", ["citizen_time", "zebra"]], ["papers", ["repeat_rate"]], ["other", ["odd", "own"]]]);
  });
});

describe("words", () => {
  const say = (language: "zh-CN" | "en") => new Format(language, translator(language), "Asia/Shanghai");
  const labels = { departments: [{ key: "hall", zh: "政务服务中心", en: "Service hall" }], items: [{ key: "a", zh: "出生登记", en: "" }] };
  it("name what the county names, and common codes", () => {
    expect(valueName(say("en"), labels, "department", "hall")).toBe("Service hall");
    expect(valueName(say("en"), labels, "item_code", "a")).toBe("出生登记"); // departments name items in one language
    expect(valueName(say("zh-CN"), labels, "channel", "online")).toBe("网上");
    expect(valueName(say("en"), labels, "category", "noise")).toBe("noise");
    expect(valueName(say("en"), labels, "channel", "")).toBe("not given");
  });
  it("leave unknown columns as they are", () => {
    expect([dimensionName(say("en"), "held_in"), dimensionName(say("en"), "shoe_size"), columnName(say("zh-CN"), "applied_at"), columnName(say("zh-CN"), "shoe_size")]).toEqual(["held in", "shoe size", "申请", "shoe size"]);
  });
});
