import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  afterSuccess,
  afterSuspicion,
  isOverAge,
  MAX_SWAP_SPACING_MS,
  MIN_SWAP_SPACING_MS,
  UNSUSPECTING,
} from "../../../src/http/recycling.js";

describe("the pace of swapping connections", () => {
  test("the first suspicion swaps at once", () => {
    expect(afterSuspicion(UNSUSPECTING, 0)).toBeDefined();
  });

  test("without a success, swaps come 1, 2, 4, 8, 16, 30, 30 s apart", () => {
    let state = UNSUSPECTING;
    const swaps: number[] = [];
    for (let nowMs = 0; nowMs <= 130_000; nowMs += 100) {
      const next = afterSuspicion(state, nowMs);
      if (next === undefined) continue;
      swaps.push(nowMs);
      state = next;
    }
    expect(swaps.map((at, i) => at - (swaps[i - 1] ?? 0))).toEqual([
      0, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000,
    ]);
  });

  test("a success brings the spacing back to its least, and not to nothing", () => {
    let state = UNSUSPECTING;
    for (const nowMs of [0, 1_000, 3_000, 7_000]) state = afterSuspicion(state, nowMs)!;
    expect(afterSuspicion(state, 8_500)).toBeUndefined();
    state = afterSuccess(state);
    expect(afterSuspicion(state, 7_999)).toBeUndefined();
    expect(afterSuspicion(state, 8_000)).toBeDefined();
  });

  test("a success before any suspicion changes nothing", () => {
    expect(afterSuccess(UNSUSPECTING)).toBe(UNSUSPECTING);
  });

  test("whatever happens, two swaps are never closer than the least spacing, nor held apart for longer than the most", () => {
    const events = fc.array(fc.tuple(fc.constantFrom("suspicion", "success"), fc.nat(40_000)), { maxLength: 60 });
    fc.assert(
      fc.property(events, (list) => {
        let state = UNSUSPECTING;
        let nowMs = 0;
        let lastMs: number | undefined;
        for (const [kind, stepMs] of list) {
          nowMs += stepMs;
          if (kind === "success") {
            state = afterSuccess(state);
            continue;
          }
          const next = afterSuspicion(state, nowMs);
          if (next === undefined) {
            expect(nowMs - lastMs!).toBeLessThan(MAX_SWAP_SPACING_MS);
            continue;
          }
          if (lastMs !== undefined) expect(nowMs - lastMs).toBeGreaterThanOrEqual(MIN_SWAP_SPACING_MS);
          lastMs = nowMs;
          state = next;
        }
      }),
    );
  });

  test("age", () => {
    expect(isOverAge(1_000, 1_999, 1_000)).toBe(false);
    expect(isOverAge(1_000, 2_000, 1_000)).toBe(true);
  });
});
