import { describe, expect, test } from "vitest";
import { answerBytes } from "../../../src/handler/answer-bytes.js";

const MIB = 1024 * 1024;

describe("the length of answers", () => {
  test.each([
    ["a large heap", 4_144 * MIB, 64, 4],
    ["a heap of 512 MiB", 512 * MIB, 32, 2],
    ["a small heap: the largest task that Conductor has can be taken", 128 * MIB, 24, 1.5],
  ])("follows %s", (_what, heapBytes, maxMib, wantedMib) => {
    expect(answerBytes(heapBytes)).toEqual({ maxBytes: maxMib * MIB, wantedPollBytes: wantedMib * MIB });
  });

  test("follows the heap of this process where none is given", () => {
    const { maxBytes } = answerBytes();
    expect(maxBytes).toBeGreaterThanOrEqual(24 * MIB);
    expect(maxBytes).toBeLessThanOrEqual(64 * MIB);
  });
});
