import { describe, expect, it } from "vitest";
import { format, parse } from "./place";

describe("the address", () => {
  it("comes back as it was written", () => {
    const place = { lang: "en", theme: "dark", q: "居民 a&b", type: "none", request: "R20260302-AAAAAAAA" };
    expect(parse(format(place))).toEqual(place);
    expect(format({ theme: "auto", q: "" })).toBe("");
  });
  it("leaves out what is not ours", () => expect(parse(`?x=1&q=${"a".repeat(129)}&lang=`)).toEqual({}));
});
