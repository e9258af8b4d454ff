import { describe, expect, it } from "vitest";
import { translator } from "../catalogue";
import { Format } from "../logic/format";
import { listURL, recentURL, runsURL, type Job, type Line, type Run } from "./api";
import { heights, place, ticks } from "./lanes";
import { append, earlier, empty, end, fromPage, most, prepend, type Logbook } from "./logbook";
import { format, parse, start, type JobsState } from "./state";
import { duration, schedule, seconds, span, until, word } from "./words";

const say = (language: "zh-CN" | "en") => new Format(language, translator(language), "Asia/Shanghai");

describe("the address", () => {
  it("keeps every choice", () => {
    const all: JobsState = { lang: "en", theme: "dark", view: "timeline", hours: 168, filter: "failed", q: "民政 & co", sort: "next", page: 3, job: "daily", run: "daily@2026-11-01T06:00:00+08:00", runs: 2, outcome: "skipped" };
    expect(parse(format(all))).toEqual(all);
  });
  it("is empty at the start", () => {
    expect(format(start)).toBe("");
    expect(parse("")).toEqual(start);
  });
  it("survives being mangled", () => {
    expect(parse("?lang=fr&theme=pink&view=x&hours=9&state=broken&sort=age&page=0&job=%3Cscript%3E&run=daily@1&runs=7&outcome=ok")).toEqual(start);
    expect(parse("?job=daily&run=other@1&page=-1&runs=1e9")).toEqual({ ...start, job: "daily" });
    expect(parse(`?q=${"x".repeat(200)}`).q).toHaveLength(64);
  });
  it("asks the portal for a page", () => {
    expect(listURL({ ...start })).toBe("/api/v1/jobs?limit=50");
    expect(listURL({ filter: "failed", q: "a&b", sort: "last", page: 3 })).toBe("/api/v1/jobs?state=failed&q=a%26b&sort=last&offset=100&limit=50");
    expect(recentURL(["a", "b"])).toBe("/api/v1/runs/recent?job=a&job=b");
    expect(runsURL("daily", 2, "failed")).toBe("/api/v1/jobs/daily/runs?limit=50&offset=50&outcome=failed");
  });
});

describe("a lane", () => {
  const from = Date.parse("2026-11-25T04:00:00Z");
  const to = Date.parse("2026-11-26T04:00:00Z");
  const block = (a: string, b: string) => ({ from: a, to: b, outcome: "ok" as const, runs: 1, failed: 0, run: "" });
  it("places blocks in the window, and cuts what hangs over", () => {
    expect(place(block("2026-11-25T10:00:00Z", "2026-11-25T16:00:00Z"), from, to)).toEqual({ left: 25, width: 25 });
    expect(place(block("2026-11-20T10:00:00Z", "2026-11-25T16:00:00Z"), from, to)).toEqual({ left: 0, width: 50 });
    expect(place(block("2026-11-25T16:00:00Z", "2026-12-25T16:00:00Z"), from, to)).toEqual({ left: 50, width: 50 });
  });
  it("has its hours on the county's clock", () => {
    const axis = ticks(from, to, "Asia/Shanghai", 3);
    expect(axis).toHaveLength(9); // 12:00 today and yesterday, and what is between
    expect(axis.filter((t) => t.midnight).map((t) => t.time.toISOString())).toEqual(["2026-11-25T16:00:00.000Z"]);
    expect(axis[0]).toMatchObject({ at: 0, midnight: false, minor: false });
    expect(ticks(from, to, "Asia/Kathmandu", 24).map((t) => t.time.toISOString())).toEqual(["2026-11-25T18:15:00.000Z"]); // 5:45 ahead
  });
  it("has one midnight a day, also on the days when the clocks change", () => {
    const spring = ticks(Date.parse("2026-03-26T12:00:00Z"), Date.parse("2026-04-02T12:00:00Z"), "Europe/Berlin", 24);
    expect(spring.map((t) => t.time.toISOString().slice(5, 16))).toEqual(["03-26T23:00", "03-27T23:00", "03-28T23:00", "03-29T22:00", "03-30T22:00", "03-31T22:00", "04-01T22:00"]);
  });
  it("draws durations against the longest; what is below a second makes no tall bar", () => {
    expect(heights([10, 5, 0])).toEqual([100, 50, 12]);
    expect(heights([0.02, 0])).toEqual([12, 12]);
    expect(heights([])).toEqual([]);
  });
});

describe("a log", () => {
  const lines = (from: number, to: number): Line[] => Array.from({ length: to - from }, (_, i) => ({ at: "2026-11-26T00:00:00Z", attempt: 1, text: `line ${from + i}` }));
  const numbers = (book: Logbook) => book.lines.map((l) => Number(l.text.slice(5)));
  const runs = (book: Logbook) => numbers(book).every((n, i) => n === book.first + i);

  it("takes what comes, once", () => {
    let book = append(empty, lines(0, 3), 3);
    book = append(book, lines(1, 5), 5); // a stream that began before the end of what is here
    book = append(book, lines(0, 2), 2); // and one that is behind
    expect(numbers(book)).toEqual([0, 1, 2, 3, 4]);
    expect(end(book)).toBe(5);
  });
  it("begins anew after a gap rather than hide it", () => {
    const book = append(fromPage({ first: 0, lines: lines(0, 3), total: 3 }), lines(7, 9), 9);
    expect(book).toEqual({ first: 7, lines: lines(7, 9) });
  });
  it("holds a bounded number of lines", () => {
    let book = empty;
    for (let n = 0; n < 3 * most; n += 700) book = append(book, lines(n, n + 700), n + 700);
    expect(book.lines.length).toBe(most);
    expect(runs(book)).toBe(true);
    expect(earlier(book).limit).toBe(0);
    expect(prepend(book, { first: 0, lines: lines(0, book.first), total: 0 })).toBe(book);
    book = { first: 9000, lines: lines(9000, 9000 + most - 700) };
    for (let i = 0; earlier(book).limit > 0; i++) {
      const { after, limit } = earlier(book);
      book = prepend(book, { first: after, lines: lines(after, after + limit), total: 0 });
      expect(runs(book)).toBe(true);
      expect(i).toBeLessThan(2);
    }
    expect(book.lines.length).toBe(most);
    expect(book.first).toBe(8300);
  });
  it("takes what was before only where it belongs", () => {
    const book = { first: 10, lines: lines(10, 12) };
    expect(prepend(book, { first: 2, lines: lines(2, 5), total: 12 })).toBe(book);
    expect(numbers(prepend(book, { first: 7, lines: lines(7, 11), total: 12 }))).toEqual([7, 8, 9, 10, 11]);
    expect(earlier(book)).toEqual({ after: 0, limit: 10 });
  });
});

describe("words", () => {
  it.each([
    [0, "0.0 秒", "0.0 s"], [0.02, "<0.1 秒", "<0.1 s"], [0.42, "0.4 秒", "0.4 s"], [12.4, "12 秒", "12 s"], [59.6, "1 分", "1 min"], [200, "3 分 20 秒", "3 min 20 s"],
    [1199.9, "20 分", "20 min"], [3600, "1 小时", "1 h"], [7500, "2 小时 5 分", "2 h 5 min"], [86_400, "1 天", "1 d"], [100_000, "1 天 4 小时", "1 d 4 h"],
  ])("%d s", (n, zh, en) => {
    expect(duration(say("zh-CN"), n)).toBe(zh);
    expect(duration(say("en"), n)).toBe(en);
  });
  it("reads Go's spans", () => {
    expect(["15m0s", "6h0m0s", "48h0m0s", "30s", "1s"].map((s) => span(say("en"), s))).toEqual(["15 min", "6 h", "2 d", "30 s", "1 s"]);
  });
  it("says when", () => {
    const job = (part: Partial<Job>) => schedule(say("en"), part as Job);
    expect(job({ schedule: "30 2 * * *" })).toBe("30 2 * * *");
    expect(job({ every: "15m0s" })).toBe("every 15 min");
    expect(job({ after: ["a", "b"] })).toBe("after a, b");
    expect(job({})).toBe("by hand");
    expect(schedule(say("zh-CN"), { after: ["a", "b"] } as Job)).toBe("在此之后：a、b");
    const now = Date.parse("2026-11-26T00:00:00Z");
    expect(until(say("en"), "2026-11-26T00:05:00Z", now)).toBe("in 5 min");
    expect(until(say("zh-CN"), "2026-11-25T00:05:00Z", now)).toBe("现在");
  });
  it("keeps codes that it does not know", () => {
    expect(word(say("en"), "kind", "new_kind")).toBe("new kind");
    expect(word(say("zh-CN"), "state", "failed")).toBe("失败");
  });
  it("knows how long an attempt took, or that none was made", () => {
    const run = (part: Partial<Run>) => seconds({ started: null, finished: null, outcome: "ok", ...part } as Run, Date.parse("2026-11-26T00:01:00Z"));
    expect(run({})).toBeNull();
    expect(run({ started: "2026-11-26T00:00:00Z", outcome: "running" })).toBe(60);
    expect(run({ started: "2026-11-26T00:00:00Z", finished: "2026-11-26T00:00:02.5Z" })).toBe(2.5);
    expect(run({ started: "2026-11-26T00:00:00Z", outcome: "waiting" })).toBeNull();
  });
});
