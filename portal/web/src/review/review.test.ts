import { describe, expect, it } from "vitest";
import { signOnURL } from "../api";
import type { Explanation, Wording } from "./api";
import { difference, relation } from "./diff";
import { actionOf, moved, type Place } from "./keys";
import { format, parse, start, type ReviewState } from "./state";
import { bar, place, waterfall } from "./weights";

const show = (a: string, b: string) => difference(a, b).map((side) => side.map((p) => (p.same ? p.text : `[${p.text}]`)).join(""));

describe("the difference of two values", () => {
  it.each([
    ["339921198601201134", "339921198601201143", "3399211986012011[34]", "3399211986012011[43]"],
    ["欧阳慧敏", "欧阳惠敏", "欧阳[慧]敏", "欧阳[惠]敏"],
    ["阿依古丽·买买提", "阿依古丽买买提", "阿依古丽[·]买买提", "阿依古丽买买提"],
    ["1979-10-01", "1979-09-30", "1979-[10]-[01]", "1979-[09]-[30]"],
    ["东风村三组", "东风社区3组", "东风[村三]组", "东风[社区3]组"],
    ["王芳", "王芳", "王芳", "王芳"],
    ["李建国", "张翠兰", "[李建国]", "[张翠兰]"],
    ["𠮷田", "吉田", "[𠮷]田", "[吉]田"],
    ["", "男", "", "[男]"],
    ["", "", "", ""],
  ])("%s beside %s", (a, b, left, right) => {
    expect(show(a, b)).toEqual([left, right]);
    expect(difference(a, b).map((side) => side.map((p) => p.text).join(""))).toEqual([a, b]); // nothing is lost
  });
  it("is the same whichever value comes first, in how much it marks", () => {
    const marked = (side: { text: string; same: boolean }[]) => side.filter((p) => !p.same).map((p) => p.text).join("").length;
    const [a, b] = ["澄溪县城关镇东风社区3组12号", "城关镇东风村三组"];
    const [x, y] = difference(a, b);
    const [v, u] = difference(b, a);
    expect([marked(x), marked(y)]).toEqual([marked(u), marked(v)]);
  });
  it("gives up on what is too long to compare", () => {
    const long = "长".repeat(5000);
    expect(difference(long, long + "短").map((side) => side.length)).toEqual([1, 1]);
  });
  it("is told in one word", () => {
    expect([relation("a", "a"), relation("a", "b"), relation("", "b"), relation("", "")]).toEqual(["equal", "different", "one", "neither"]);
  });
});

describe("keys", () => {
  const press = (key: string, more: Partial<{ ctrlKey: boolean; metaKey: boolean; altKey: boolean }> = {}) => ({ key, ctrlKey: false, metaKey: false, altKey: false, ...more });
  it.each<[string, Place, string | null]>([
    ["j", "page", "next"], ["k", "queue", "previous"], ["J", "page", "next"], ["ArrowDown", "queue", "next"], ["ArrowUp", "queue", "previous"],
    ["1", "page", "same"], ["2", "queue", "different"], ["3", "page", "unsure"], ["r", "page", "reason"], ["?", "page", "help"],
    ["Escape", "text", "leave"], ["Escape", "page", "leave"],
    ["ArrowDown", "page", null], ["j", "text", null], ["1", "text", null], ["?", "text", null], ["Enter", "queue", null], ["Enter", "text", null], ["x", "page", null],
  ])("%s in the %s", (key, where, action) => expect(actionOf(press(key), where, true)).toBe(action));
  it("submits from everywhere, and leaves other combinations to the browser", () => {
    expect(actionOf(press("Enter", { ctrlKey: true }), "text", true)).toBe("submit");
    expect(actionOf(press("Enter", { metaKey: true }), "page", false)).toBe("submit");
    expect(actionOf(press("r", { ctrlKey: true }), "page", true)).toBeNull();
    expect(actionOf(press("1", { altKey: true }), "page", true)).toBeNull();
  });
  it("can do without single letters", () => {
    expect(["j", "1", "r", "?"].map((key) => actionOf(press(key), "page", false))).toEqual([null, null, null, null]);
    expect(actionOf(press("ArrowDown"), "queue", false)).toBe("next");
  });
  it("moves within the list", () => {
    expect([moved(-1, 1, 3), moved(0, 1, 3), moved(2, 1, 3), moved(0, -1, 3), moved(-1, -1, 3), moved(0, 1, 0)]).toEqual([0, 1, 2, 0, 0, -1]);
  });
});

describe("the waterfall", () => {
  const wording: Wording = { comparisons: [], doubts: [], link: 4248, review: -4248 };
  const explanation = (more: Partial<Explanation> = {}): Explanation => ({
    model: "person/1/x", prior: -16_000, weight: 1500,
    steps: [{ comparison: "number", level: "missing", weight: 0 }, { comparison: "name", level: "variant", weight: 12_500, rarity: 3900 }, { comparison: "birth", level: "exact", weight: 5000 }], ...more,
  });
  it("goes from the prior to the sum", () => {
    const w = waterfall(explanation(), wording);
    expect(w.rows.map((r) => [r.kind, r.from, r.to])).toEqual([["prior", 0, -16], ["step", -16, -16], ["step", -16, -3.5], ["step", -3.5, 1.5], ["sum", 0, 1.5]]);
    expect(w.rows[2]).toMatchObject({ name: "name", level: "variant", bits: 12.5, rarity: 3.9 });
  });
  it("has room for everything, thresholds too", () => {
    const w = waterfall(explanation(), wording);
    expect([w.link, w.review]).toEqual([4.248, -4.248]);
    for (const bits of [0, 4.248, -4.248, -16, 1.5]) {
      expect(place(w, bits)).toBeGreaterThan(0);
      expect(place(w, bits)).toBeLessThan(100);
    }
    for (const row of w.rows) {
      const { left, width } = bar(w, row);
      expect(left).toBeGreaterThanOrEqual(0);
      expect(left + width).toBeLessThanOrEqual(100);
      expect(width).toBeGreaterThanOrEqual(0);
    }
    expect(waterfall(explanation(), null)).toMatchObject({ link: null, review: null });
  });
  it("shows what a doubt takes away", () => {
    const w = waterfall(explanation({ prior: -5000, weight: 4247, doubts: ["number_of_two"] }), wording);
    expect(w.rows.at(-2)).toMatchObject({ kind: "doubt", name: "number_of_two", from: 12.5, to: 4.247 });
    expect(w.rows.at(-1)).toMatchObject({ kind: "sum", to: 4.247 });
  });
  it("says when the model rules a pair out, and stays on the scale", () => {
    const w = waterfall(explanation({ weight: -(2 ** 30), doubts: ["names_differ"] }), wording);
    expect(w.ruledOut).toBe(true);
    expect(w.min).toBeGreaterThan(-20);
  });
  it("survives evidence that says nothing", () => {
    const w = waterfall({ model: "m", prior: 0, weight: 0, steps: [] }, null);
    expect(place(w, 0)).toBe(50);
  });
});

describe("the address of the review", () => {
  const a = "00000000-0000-8000-8000-000000000001";
  const b = "00000000-0000-8000-8000-000000000002";
  it("keeps every choice", () => {
    const all: ReviewState = { lang: "en", theme: "dark", about: "organisation", a, b };
    expect(parse(format(all))).toEqual(all);
    expect(format(start)).toBe("");
    expect(parse("")).toEqual(start);
  });
  it("takes ids for records and nothing else", () => {
    expect(parse("?pair=339921198601201134_x&about=dog&lang=fr&theme=pink")).toEqual(start);
    expect(parse(`?pair=${a}_${a}`)).toEqual(start);
    expect(parse(`?pair=${a}`)).toEqual(start);
  });
});

describe("signing in by the provider", () => {
  it("begins at the portal's own origin and comes back to the page", () => {
    const url = new URL(signOnURL({ session: "/api/v1/review/session", header: "" }, "https://data.county.example", { pathname: "/review", search: "?lang=en&pair=a_b" }));
    expect(url.origin + url.pathname).toBe("https://data.county.example/api/v1/review/session/oidc");
    expect(url.searchParams.get("back")).toBe("/review?lang=en&pair=a_b");
  });
});
