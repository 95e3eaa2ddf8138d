import { getHeapStatistics } from "node:v8";
import { describe, expect, test } from "vitest";
import { memoryShare } from "../../../src/base/memory-share.js";

const MIB = 1024 * 1024;

describe("a buffer's share of the memory", () => {
  test.each([
    [4096 * MIB, 64 * MIB],
    [512 * MIB, 64 * MIB],
    [256 * MIB, 32 * MIB],
    [64 * MIB, 8 * MIB],
  ])("of %i bytes is %i, of the 64 MiB that it may have", (memoryBytes, share) => {
    expect(memoryShare(64 * MIB, memoryBytes)).toBe(share);
  });

  test("is counted from what this process may use", () => {
    const share = memoryShare(Infinity);
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThanOrEqual(getHeapStatistics().heap_size_limit / 8);
  });
});
