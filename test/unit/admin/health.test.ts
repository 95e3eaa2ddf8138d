import { describe, expect, test } from "vitest";
import { judgeLiveness, judgeReadiness, seconds } from "../../../src/admin/health.js";
import { handlerStatus, runner } from "../../support/unit/admin.js";

const STALL_MS = 300_000;

describe("judgeLiveness", () => {
  test.each([
    ["all loops iterate", [runner(), runner({ taskType: "b", phase: "full" })], STALL_MS],
    ["a loop is just below the limit", [runner({ lastBeatAgoMs: STALL_MS - 1 })], STALL_MS],
    ["a draining loop is silent", [runner({ state: "draining", phase: "draining", lastBeatAgoMs: 1e9 })], STALL_MS],
    ["a stopped loop is silent", [runner({ state: "stopped", phase: "draining", lastBeatAgoMs: 1e9 })], STALL_MS],
    ["there is no limit", [runner({ lastBeatAgoMs: 1e9 })], Infinity],
    ["there are no loops", [], STALL_MS],
  ])("is live when %s", (_, runners, stallMs) => {
    expect(judgeLiveness({ runners }, stallMs)).toEqual({ isLive: true, reasons: [] });
  });

  test.each([
    [
      "polling",
      runner({ lastBeatAgoMs: STALL_MS }),
      "the loop of greet has not iterated for 300 s; what it did last: polling",
    ],
    [
      "in a domain, and full",
      runner({ domain: "eu", phase: "full", lastBeatAgoMs: 312_400 }),
      "the loop of eu:greet has not iterated for 312 s; what it did last: full",
    ],
    [
      "paused",
      runner({ state: "paused", phase: "paused", lastBeatAgoMs: 400_000 }),
      "the loop of greet has not iterated for 400 s; what it did last: paused",
    ],
  ])("is not live when a loop is silent that is %s, and says which and since when", (_, stuck, reason) => {
    const runners = [runner({ taskType: "well" }), stuck];
    expect(judgeLiveness({ runners }, STALL_MS)).toEqual({ isLive: false, reasons: [reason] });
  });
});

describe("judgeReadiness", () => {
  const failing = (forMs: number, error = "refused") => ({ pollsFailing: { forMs, error } });
  const never = { lastPollAgoMs: undefined };

  test.each([
    ["polls succeed", {}],
    ["polls have failed for less than 10 s", { runners: [runner(failing(9_999))] }],
    [
      "the only runner is full, for an hour",
      { runners: [runner({ phase: "full", running: 4, lastPollAgoMs: 3_600_000 })] },
    ],
    ["a full runner's last poll failed long ago", { runners: [runner({ phase: "full", ...failing(60_000) })] }],
    [
      "the only runner is paused and never polled",
      { runners: [runner({ state: "paused", phase: "paused", ...never })] },
    ],
    ["a paused runner's last poll failed", { runners: [runner({ state: "paused", ...failing(60_000) }), runner()] }],
    ["a watched runner has not polled yet", { runners: [runner(), runner({ phase: "waiting", ...never })] }],
    ["a watched runner polled an hour ago", { runners: [runner({ phase: "waiting", lastPollAgoMs: 3_600_000 })] }],
    ["the server is away for less than 10 s", { serverReachable: false, runners: [runner({ lastPollAgoMs: 9_999 })] }],
    [
      "one poll fails after a runner was full for long",
      { serverReachable: false, runners: [runner({ phase: "waiting", lastPollAgoMs: 600_000, ...failing(100) })] },
    ],
    [
      "requests fail while all are full",
      { serverReachable: false, runners: [runner({ phase: "full", lastPollAgoMs: 600_000 })] },
    ],
    ["as many functions were abandoned as may run", { abandoned: 4 }],
    ["results wait, and there is room", { resultsWaiting: 20 }],
    ["a loop is stuck, which is another question", { runners: [runner({ lastBeatAgoMs: 1e9 })] }],
  ])("is ready when %s", (_, overrides) => {
    expect(judgeReadiness(handlerStatus(overrides))).toEqual({ isReady: true, reasons: [] });
  });

  test.each([
    ["draining", { state: "draining" as const }, ["the worker is draining: it polls no more"]],
    ["stopped", { state: "stopped" as const, runners: [] }, ["the worker has stopped"]],
    ["not yet answered", { runners: [runner(never)] }, ["starting: no poll has succeeded yet"]],
    [
      "not yet answered, and says the first error at once",
      { runners: [runner({ ...never, ...failing(300) })], serverReachable: false },
      ["starting: no poll has succeeded yet", "polls have failed for 0.3 s (greet): refused"],
    ],
    [
      "failing for 10 s, for one of two task types",
      { runners: [runner(failing(10_000, "403 Forbidden")), runner({ taskType: "b" })] },
      ["polls have failed for 10 s (greet): 403 Forbidden"],
    ],
    [
      "failing in several ways",
      {
        runners: [
          runner(failing(12_000)),
          runner({ taskType: "b", domain: "eu", ...failing(14_000) }),
          runner({ taskType: "c", ...failing(90_000, "403") }),
        ],
      },
      ["polls have failed for 14 s (greet, eu:b): refused", "polls have failed for 90 s (c): 403"],
    ],
    [
      "cut off, and only deliveries see it",
      { serverReachable: false, runners: [runner({ phase: "waiting", lastPollAgoMs: 10_000 })] },
      ["requests fail, and the server has answered no poll for 10 s"],
    ],
    [
      "full of results",
      { outboxFull: true, resultsWaiting: 1000 },
      ["outbox full: 1000 finished results wait; nothing is polled until some are delivered"],
    ],
    [
      "carrying too many abandoned functions",
      { abandoned: 7, runners: [runner(), runner({ taskType: "b", concurrency: 2 })] },
      ["7 functions go on although their tasks were ended; the limit is 6"],
    ],
  ])("is not ready when it is %s", (_, overrides, reasons) => {
    expect(judgeReadiness(handlerStatus(overrides))).toEqual({ isReady: false, reasons });
  });

  test("stays readable with a thousand task types that fail", () => {
    const runners = (error: (index: number) => string) =>
      Array.from({ length: 1000 }, (_, index) => runner({ taskType: `t${index}`, ...failing(20_000, error(index)) }));
    const alike = judgeReadiness(handlerStatus({ runners: runners(() => "refused") })).reasons;
    expect(alike).toEqual([expect.stringMatching(/^polls have failed for 20 s \(t0, .* t9 and 990 more\): refused$/)]);
    const unlike = judgeReadiness(handlerStatus({ runners: runners((index) => `no ${index}`) })).reasons;
    expect(unlike).toHaveLength(11);
    expect(unlike.at(-1)).toBe("polls fail with 990 more errors");
  });
});

describe("seconds", () => {
  test.each([
    [0, "0 s"],
    [349, "0.3 s"],
    [1_499, "1 s"],
    [90_000, "90 s"],
  ])("says %d ms as %s", (ms, words) => {
    expect(seconds(ms)).toBe(words);
  });
});
