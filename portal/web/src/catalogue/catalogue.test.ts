import { describe, expect, it } from "vitest";
import { preferred, translator } from ".";
import { en } from "./en";
import { zh } from "./zh-CN";

const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map((m) => m[0]).sort();

describe("catalogues", () => {
  it("have the same keys", () => {
    expect(Object.keys(en).sort()).toEqual(Object.keys(zh).sort());
  });

  it.each(Object.entries(zh))("%s is complete in both languages", (key, text) => {
    const english = en[key as keyof typeof en];
    expect(text.trim()).not.toBe("");
    expect(english.trim()).not.toBe("");
    expect(placeholders(english)).toEqual(placeholders(text));
  });

  it("keep to their language, but for the switch to the other one", () => {
    const han = /\p{Script=Han}/u;
    const foreign = Object.entries(en).filter(([key, text]) => han.test(text) && key !== "control.language");
    expect(foreign).toEqual([]);
    const untranslated = Object.entries(zh).filter(([, text]) => /[a-z]{4,}/i.test(text.replace(/\{\w+\}|shire|English|Kaplan-Meier|readyz/g, "")));
    expect(untranslated).toEqual([]);
  });

  it("are used: every key stands somewhere in the application", async () => {
    const sources = import.meta.glob("../**/*.{ts,tsx}", { query: "?raw", import: "default", eager: true }) as Record<string, string>;
    const code = Object.entries(sources).filter(([path]) => !/^\.\/|\.test\./.test(path)).map(([, text]) => text).join("\n"); // not the catalogues themselves
    // Keys that are put together at run time: by their family, or (ago, age) by their end.
    const unused = Object.keys(zh).filter((key) => {
      const dot = key.lastIndexOf(".");
      return !code.includes(`"${key}"`) && !code.includes("`" + key.slice(0, dot + 1) + "${") && !(/^(ago|age)\./.test(key) && code.includes("${kind}" + key.slice(dot)));
    });
    expect(unused).toEqual([]);
  });
});

describe("translator", () => {
  it("fills in values and leaves unknown placeholders", () => {
    expect(translator("en")("unit.days", { n: "3.2" })).toBe("3.2 days");
    expect(translator("zh-CN")("unit.days", { n: "3.2" })).toBe("3.2 天");
    expect(translator("en")("unit.days")).toBe("{n} days");
  });
});

describe("preferred", () => {
  it.each([
    [["en-GB", "zh-CN"], "en"], [["zh-TW"], "zh-CN"], [["fr", "en"], "en"], [["fr"], "zh-CN"], [[], "zh-CN"],
  ])("%j gives %s", (wanted, language) => expect(preferred(wanted)).toBe(language));
});
