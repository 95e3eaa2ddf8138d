import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clip, clipMiddle } from "../../../src/base/clip.js";

const EMOJI = "😀";
const texts = fc.string({ unit: fc.constantFrom("a", "é", EMOJI, "\n", "中") });
const isWhole = (text: string) => !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);

describe("clipping a text", () => {
  test.each([
    ["", 5, ""],
    ["short", 5, "short"],
    ["longer", 5, "long…"],
    [`abc${EMOJI}def`, 5, "abc…"],
    [`ab${EMOJI}def`, 5, `ab${EMOJI}…`],
  ])("%j to %i characters is %j", (text, max, expected) => {
    expect(clip(text, max)).toBe(expected);
  });

  test("in the middle keeps the beginning and the end", () => {
    expect(clipMiddle("0123456789", 10)).toBe("0123456789");
    expect(clipMiddle("0123456789", 7)).toBe("012…789");
    expect(clipMiddle(`01${EMOJI}4567${EMOJI}9`, 5)).toBe("01…9");
  });

  test("whatever it holds, it is no longer than was asked for, says that it was cut, and has no half of a pair", () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 3, max: 20 }), (text, max) => {
        for (const clipped of [clip(text, max), clipMiddle(text, max)]) {
          expect(clipped.length).toBeLessThanOrEqual(max);
          expect(clipped.includes("…")).toBe(text.length > max);
          expect(isWhole(clipped)).toBe(true);
        }
      }),
    );
  });

  test("leaves what was a half before as it is", () => {
    expect(clip("ab\ud83dcdef", 5)).toBe("ab\ud83dc…");
  });
});
