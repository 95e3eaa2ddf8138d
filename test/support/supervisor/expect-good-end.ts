import { expect } from "vitest";
import type { Wedge } from "../wedge/wedges.js";
import type { WedgeStory } from "./supervise-wedge.js";

/** From the death of a process until the one in its place polls, in ms. */
const SUCCESSOR_POLLS_MS = 5_000;
/** From that poll until each task of the dead one has run again, in ms; its response timeout is an hour. */
const ALL_ENDED_MS = 10_000;

/** The promise: the next process polls at once, nothing waits for a response timeout, and the other one is let alone. */
export function expectGoodEnd(wedge: Wedge, story: WedgeStory): void {
  const { exitReason, exitLine, successorPolledMs, allEndedMs, ofTheDead, ofTheLiving, primary } = story;
  const isHeapFull = wedge.name === "growing" && exitReason === "outOfMemory";
  expect(isHeapFull ? "wedged" : exitReason, exitLine).toBe("wedged");
  expect(successorPolledMs, `ms until the next process polled; ${primary.output}`).toBeLessThan(SUCCESSOR_POLLS_MS);
  expect(allEndedMs, `ms until all of its tasks had run again; ${primary.output}`).toBeLessThan(ALL_ENDED_MS);
  if (wedge.withoutTasks === true) return;

  // The one that got stuck, and the bystanders in the same process.
  expect(ofTheDead.length).toBeGreaterThanOrEqual(3);
  for (const { isBystander, atDeath, attempts } of ofTheDead) {
    expect(attempts.at(-1)?.status).toBe("COMPLETED");
    // Not failed again by the next process where the dead one had done it itself.
    const seen = `${JSON.stringify(attempts)}; ${primary.output}`;
    expect(attempts.length, seen).toBeLessThanOrEqual(2);
    // What was started is failed and not handed back. The one that got stuck may have been ended by itself.
    if (isBystander) expect(attempts, seen).toHaveLength(2);
    if (attempts.length === 1) continue;
    const { pollCount } = atDeath;
    expect(attempts[0], seen).toMatchObject({ status: "FAILED", pollCount });
    expect(attempts[0]?.reason).toMatch(/^the worker process (died: |was stuck)/);
  }
  for (const { atDeath, attempts } of ofTheLiving) {
    expect(attempts).toEqual([{ ...atDeath, status: "IN_PROGRESS" }]);
  }
}
