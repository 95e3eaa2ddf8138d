import { describe, expect, test } from "vitest";
import { mergeStatus } from "../../../src/supervisor/child/merge-status.js";
import { unwrap, wrap } from "../../../src/supervisor/messages.js";
import { parseStallReport } from "../../../src/supervisor/primary/fork.js";
import { STATUS } from "../../support/unit/supervisor.js";

describe("messages between primary and child", () => {
  test("a message of ours is told from a user's", () => {
    expect(unwrap(JSON.parse(JSON.stringify(wrap({ kind: "scrape", id: 1 }))))).toEqual({ kind: "scrape", id: 1 });
    for (const other of [
      undefined,
      null,
      "scrape",
      7,
      [],
      {},
      { kind: "scrape" },
      { ostinato: null },
      { ostinato: {} },
    ]) {
      expect(unwrap(other)).toBeUndefined();
    }
  });

  test("a stall report is read with care", () => {
    const whole = {
      reason: "loop",
      stuck: ["t"],
      stalledMs: 300_000,
      phase: "full",
      lastEntered: "t",
      mainThread: "busy",
      stack: "at f",
      cpu: { ofMs: 150_000, ranMs: 149_000, waitedMs: 900 },
      inFlight: ["t/a (running)"],
      eventLoopDelayMs: 5,
    };
    expect(parseStallReport(JSON.stringify(whole))).toEqual(whole);
    expect(
      parseStallReport(
        JSON.stringify({ ...whole, stuck: "t", inFlight: [1, "x"], stack: 7, cpu: { ofMs: 1 }, mainThread: "?" }),
      ),
    ).toEqual({
      reason: "loop",
      stuck: [],
      stalledMs: 300_000,
      phase: "full",
      lastEntered: "t",
      mainThread: "unknown",
      inFlight: ["x"],
      eventLoopDelayMs: 5,
    });
    for (const line of ["", "{", "null", "[]", "{}", '{"reason":"why"}'])
      expect(parseStallReport(line)).toBeUndefined();
  });

  test("several handlers of a process count as one, and the worst counts", () => {
    const other = { ...STATUS, state: "draining", inFlight: 2, outboxFull: true, serverReachable: false } as const;
    expect(mergeStatus([{ ...STATUS, inFlight: 1 }, other])).toEqual({
      ...STATUS,
      inFlight: 3,
      outboxFull: true,
      serverReachable: false,
    });
    expect(mergeStatus([other]).state).toBe("draining");
  });
});
