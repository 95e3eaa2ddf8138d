import { describe, expect, test } from "vitest";
import {
  DEFAULT_RESTART_LIMITS as LIMITS,
  endsInARow,
  restartDelayMs,
  shouldGiveUp,
} from "../../../../src/supervisor/primary/restart-policy.js";
import { nextRollStep } from "../../../../src/supervisor/primary/rolling.js";

describe("the restart policy", () => {
  describe("when what died is replaced", () => {
    test("at once, then after waits that double up to a bound", () => {
      const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1000].map((ends) => restartDelayMs(ends, () => 0, LIMITS));
      expect(waits).toEqual([0, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    });

    test("jitter only makes it later, by a fifth at most", () => {
      expect(restartDelayMs(2, () => 0.999, LIMITS)).toBeGreaterThan(590);
      expect(restartDelayMs(2, () => 0.999, LIMITS)).toBeLessThan(600);
      expect(restartDelayMs(1, () => 0.999, LIMITS)).toBe(0);
    });

    test("after a healthy time the count begins anew", () => {
      expect(endsInARow(0, 0, LIMITS)).toBe(1);
      expect(endsInARow(4, 59_999, LIMITS)).toBe(5);
      expect(endsInARow(4, 60_000, LIMITS)).toBe(1);
    });
  });

  describe("when to give up", () => {
    const starts = { everReady: true, failedInARow: 5, isScriptsFault: true, ready: 0 };

    test.each([
      ["five starts failed in a row", starts, true],
      ["four did", { ...starts, failedInARow: 4 }, false],
      ["none did", { ...starts, failedInARow: 0 }, false],
      ["another process works", { ...starts, failedInARow: 50, ready: 1 }, false],
      ["the very first start fails by the script", { ...starts, everReady: false, failedInARow: 1 }, true],
      [
        "the very first is killed from outside",
        { ...starts, everReady: false, failedInARow: 1, isScriptsFault: false },
        false,
      ],
      ["that again and again", { ...starts, everReady: false, isScriptsFault: false }, true],
    ])("%s", (_, given, expected) => {
      expect(shouldGiveUp(given, LIMITS)).toBe(expected);
    });
  });

  describe("a roll", () => {
    const at = (...generations: number[]) =>
      generations.map((generation) => ({ generation, isReady: true, server: "yes" as const }));

    test("goes one by one, and never while one is missing", () => {
      const old = [1, 1, 1];
      expect(nextRollStep(at(1, 1, 1), old)).toEqual({ kind: "replace", index: 0 });
      expect(nextRollStep([{ generation: 1, isReady: false, server: "unknown" as const }, ...at(1, 1)], old)).toEqual({
        kind: "wait",
      });
      expect(nextRollStep([{ generation: 2, isReady: false, server: "unknown" as const }, ...at(1, 1)], old)).toEqual({
        kind: "wait",
      });
      expect(nextRollStep(at(2, 1, 1), old)).toEqual({ kind: "replace", index: 1 });
      expect(nextRollStep(at(2, 2, 1), old)).toEqual({ kind: "replace", index: 2 });
      expect(nextRollStep(at(2, 2, 2), old)).toEqual({ kind: "done" });
    });

    test("waits for a new one that the server does not answer, unless it is away", () => {
      const one = (generation: number, server: "yes" | "no" | "unknown") => ({ generation, isReady: true, server });
      expect(nextRollStep([one(2, "no"), ...at(1, 1)], [1, 1, 1])).toEqual({ kind: "wait", unanswered: 0 });
      expect(nextRollStep([one(2, "unknown"), one(1, "unknown")], [1, 1])).toEqual({ kind: "wait", unanswered: 0 });
      expect(nextRollStep([one(2, "no"), one(1, "no")], [1, 1])).toEqual({ kind: "replace", index: 1 });
      expect(nextRollStep([one(2, "no"), one(2, "no")], [1, 1])).toEqual({ kind: "done" });
    });

    test("passes over one that was replaced meanwhile for a reason of its own", () => {
      expect(nextRollStep(at(3, 5, 1), [1, 4, 1])).toEqual({ kind: "replace", index: 2 });
    });
  });
});
