import { expect } from "vitest";
import type { Wedge } from "../wedge/wedges.js";
import type { WedgeStory } from "./wedged.js";

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
  for (const attempts of ofTheDead) {
    expect(attempts.at(-1)?.status).toBe("COMPLETED");
    // Once each: a task that was ended by the process itself before it died is not failed again by the next one.
    expect(attempts.length, JSON.stringify(attempts)).toBeLessThanOrEqual(2);
    if (attempts.length === 2) expect(attempts[0]).toMatchObject({ status: "FAILED", pollCount: 1 });
    if (attempts.length === 2) expect(attempts[0]?.reason).toMatch(/^the worker process (died: |was stuck)/);
  }
  for (const attempts of ofTheLiving) {
    expect(attempts).toHaveLength(1);
    expect(attempts[0]).toMatchObject({ status: "IN_PROGRESS", pollCount: 1 });
  }
}
