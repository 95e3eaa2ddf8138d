import { describe, expect, test } from "vitest";
import { createRepeatLog } from "../../../src/log/repeat-log.js";

function setUp(summaryIntervalMs?: number) {
  const lines: [level: string, message: string, fields: object][] = [];
  const time = { now: 1000 };
  const log = createRepeatLog({
    clock: { now: () => time.now },
    logger: {
      warn: (fields, message) => void lines.push(["warn", message, fields]),
      info: (fields, message) => void lines.push(["info", message, fields]),
    },
    ...(summaryIntervalMs === undefined ? {} : { summaryIntervalMs }),
  });
  return { log, lines, time };
}

describe("the log of what repeats", () => {
  describe("a trouble that lasts", () => {
    test("is one line at once, a summary a minute, and one line at the end", () => {
      const { log, lines, time } = setUp();
      for (let second = 0; second < 150; second++) {
        log.failed("polls", { code: "CONNECT_FAILED" }, "the server cannot be reached");
        time.now += 1000;
      }
      log.succeeded("polls");
      log.succeeded("polls");
      expect(lines).toEqual([
        ["warn", "the server cannot be reached", { code: "CONNECT_FAILED" }],
        [
          "warn",
          "the server cannot be reached (still: 60 more times)",
          { code: "CONNECT_FAILED", repeated: 60, failures: 61, lastedMs: 60_000 },
        ],
        [
          "warn",
          expect.stringContaining("60 more"),
          { code: "CONNECT_FAILED", repeated: 60, failures: 121, lastedMs: 120_000 },
        ],
        [
          "info",
          "polls: works again after 150 failures in 150000 ms",
          { key: "polls", failures: 150, lastedMs: 150_000 },
        ],
      ]);
    });

    test("says nothing of a success that followed none", () => {
      const { log, lines } = setUp();
      log.succeeded("polls");
      expect(lines).toEqual([]);
    });

    test("begins anew after its end", () => {
      const { log, lines } = setUp();
      log.failed("polls", {}, "x");
      log.succeeded("polls");
      log.failed("polls", {}, "x");
      expect(lines.map(([level]) => level)).toEqual(["warn", "info", "warn"]);
    });

    test("is kept apart by key", () => {
      const { log, lines } = setUp();
      log.failed("a", {}, "x");
      log.failed("b", {}, "x");
      log.succeeded("a");
      log.failed("b", {}, "x");
      expect(lines).toHaveLength(3);
    });

    test("is said again at once when it became another, for five messages", () => {
      const { log, lines } = setUp();
      log.failed("polls", {}, "refused");
      log.failed("polls", {}, "unauthorized");
      log.failed("polls", {}, "refused");
      log.failed("polls", {}, "unauthorized");
      expect(lines.map(([, message]) => message)).toEqual(["refused", "unauthorized"]);
      for (let i = 0; i < 100; i++) log.failed("polls", {}, `timed out after ${i} ms`);
      expect(lines).toHaveLength(5);
    });

    test("counts between the lines, whatever made them", () => {
      const { log, lines, time } = setUp(10);
      log.failed("polls", {}, "a");
      log.failed("polls", {}, "a");
      log.failed("polls", {}, "b");
      time.now += 10;
      log.failed("polls", {}, "a");
      expect(lines.at(-1)).toEqual(["warn", "a (still: 1 more times)", { repeated: 1, failures: 4, lastedMs: 10 }]);
    });
  });
});
