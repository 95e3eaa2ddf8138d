import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FailureClass } from "../../../../src/runner/answers/meaning.js";
import { backoffMs, MAX_RETRY_AFTER_MS } from "../../../../src/runner/gate/backoff.js";

const least = () => 0;
const most = () => 1 - Number.EPSILON;
const classes: readonly FailureClass[] = ["unreachable", "silent", "overloaded", "unauthorized"];
const maxMs = { unreachable: 2_000, silent: 500, overloaded: 5_000, unauthorized: 30_000 };

describe("the backoff", () => {
  describe("the wait after a failure", () => {
    test.each<[FailureClass, number[]]>([
      ["unreachable", [100, 200, 400, 800, 1_600, 2_000 / 1.2, 2_000 / 1.2]],
      ["silent", [100, 200, 400, 500 / 1.2, 500 / 1.2]],
      ["overloaded", [500, 1_000, 2_000, 4_000, 5_000 / 1.2]],
      ["unauthorized", [1_000, 2_000, 4_000, 8_000, 16_000, 25_000, 25_000]],
    ])("doubles for %s up to its cap", (failureClass, steps) => {
      const waits = steps.map((_, index) => backoffMs(failureClass, index + 1, least, undefined));
      waits.forEach((wait, index) => expect(wait).toBeCloseTo(steps[index]!));
    });

    test("is up to a fifth longer by chance, never shorter", () => {
      expect(backoffMs("overloaded", 1, least, undefined)).toBe(500);
      expect(backoffMs("overloaded", 1, () => 0.5, undefined)).toBe(550);
      expect(backoffMs("overloaded", 1, most, undefined)).toBeCloseTo(600);
    });

    test("stays within its class, however many failures there were", () => {
      fc.assert(
        fc.property(
          fc.constantFrom(...classes),
          fc.integer({ min: 1, max: 1_000_000 }),
          fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
          (failureClass, failures, random) => {
            const wait = backoffMs(failureClass, failures, () => random, undefined);
            expect(wait).toBeGreaterThanOrEqual(100);
            expect(wait).toBeLessThanOrEqual(maxMs[failureClass] + 0.001);
          },
        ),
      );
    });
  });

  describe("Retry-After", () => {
    test.each(classes)("makes the wait after %s longer", (failureClass) => {
      expect(backoffMs(failureClass, 1, least, 20_000)).toBe(20_000);
    });

    test("does not make it shorter", () => {
      expect(backoffMs("overloaded", 3, least, 0)).toBe(2_000);
      expect(backoffMs("overloaded", 3, least, 100)).toBe(2_000);
    });

    test("is obeyed up to half a minute, and spread a little", () => {
      expect(backoffMs("overloaded", 1, least, 3_600_000)).toBe(MAX_RETRY_AFTER_MS);
      expect(backoffMs("overloaded", 1, most, 3_600_000)).toBeCloseTo(MAX_RETRY_AFTER_MS * 1.05);
      expect(backoffMs("overloaded", 1, least, Infinity)).toBe(MAX_RETRY_AFTER_MS);
    });
  });
});
