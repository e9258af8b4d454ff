import { describe, expect, it } from "vitest";
import { masked } from "./mask";

describe("a masked number", () => {
  it("keeps its ends", () => expect(masked("33012719850307244X")).toBe("330***********244X"));
  it("keeps nothing of what is too short", () => expect(masked("1234567")).toBe("*******"));
  it("counts no blanks", () => expect(masked("330127 19850307 244X")).toBe("330***********244X"));
  it("keeps ends of the old form", () => expect(masked("330127850307244")).toBe("330********7244"));
});
