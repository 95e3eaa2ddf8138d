import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Accounts, TypeAccount } from "../../../samples/order-fulfilment/accounts.js";
import { readOptions } from "../../../samples/order-fulfilment/options.js";
import {
  createProgress,
  hasColours,
  progressLine,
  type ProgressState,
  widthOf,
} from "../../../samples/order-fulfilment/progress.js";
import { isFlawless, type Outcome, PLAIN, reportLines } from "../../../samples/order-fulfilment/report.js";
import { TASK_TYPES } from "../../../samples/order-fulfilment/workflow.js";

const stateOf = (completed: number, total: number, failed = 0): ProgressState => ({
  total,
  completed,
  failed,
  tasks: completed * 5,
  elapsedMs: completed * 17,
});

const states = fc
  .record({ total: fc.integer({ min: 1, max: 100_000 }), share: fc.double({ min: 0, max: 1, noNaN: true }) })
  .map(({ total, share }) => stateOf(Math.floor(total * share), total, Math.floor((total * (1 - share)) / 2)));

function outcomeOf(numbers: readonly number[] = [12, 40, 7], change: Partial<Outcome> = {}): Outcome {
  const types: TypeAccount[] = TASK_TYPES.map((taskType) => ({
    taskType,
    completed: numbers.length,
    retries: 1,
    pickupMs: [...numbers],
    executionMs: [...numbers],
  }));
  const accounts: Accounts = {
    types,
    tasksCompleted: 15,
    leasesExtended: 2,
    handedBack: 0,
    lost: 0,
    executedTwice: 0,
  };
  return {
    counts: { total: 3, started: 3, completed: 3, endedBadly: new Map() },
    accounts,
    audit: undefined,
    elapsedMs: 1234,
    interruption: undefined,
    ...change,
  };
}

class FakeScreen {
  text = "";
  readonly isTTY: boolean;
  readonly columns: number;
  constructor(isTTY: boolean, columns = 80) {
    this.isTTY = isTTY;
    this.columns = columns;
  }
  write(text: string): void {
    this.text += text;
  }
}

describe("the screen of samples/order-fulfilment", () => {
  describe("progressLine", () => {
    test("is never longer than the terminal is wide", () => {
      fc.assert(
        fc.property(states, fc.integer({ min: 1, max: 200 }), fc.boolean(), (state, width, hasBar) => {
          expect(progressLine(state, width, hasBar).length).toBeLessThanOrEqual(width);
        }),
      );
    });

    test("is full when all is done, and has room to go before that", () => {
      expect(progressLine(stateOf(300, 300), 79, true)).toMatchInlineSnapshot(
        `"[========================================] 300/300 orders, 1500 tasks, 5.1 s"`,
      );
      expect(progressLine(stateOf(150, 300), 79, true)).toMatchInlineSnapshot(
        `"[====================--------------------] 150/300 orders,  750 tasks, 2.5 s"`,
      );
    });

    test("says less where there is less room, the count last of all", () => {
      expect(progressLine(stateOf(150, 300), 40, true)).toMatchInlineSnapshot(
        `"[========--------] 150/300 orders, 2.5 s"`,
      );
      expect(progressLine(stateOf(150, 300), 9, true)).toBe("150/300");
    });
  });

  describe("reportLines", () => {
    test("has no line that is longer than the terminal is wide", () => {
      const numbers = fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 20 });
      fc.assert(
        fc.property(numbers, fc.integer({ min: 4, max: 120 }), (values, width) => {
          const outcome = outcomeOf(values, {
            interruption: "Stopped by SIGINT; orders under way are left to the server.",
          });
          for (const line of reportLines(outcome, width, PLAIN)) expect(line.length).toBeLessThanOrEqual(width);
        }),
      );
    });

    test("counts everything that went wrong, and is flawless only without it", () => {
      expect(isFlawless(outcomeOf())).toBe(true);
      const lost = outcomeOf(undefined, { accounts: { ...outcomeOf().accounts, lost: 1 } });
      expect(isFlawless(lost)).toBe(false);
      expect(reportLines(lost, 80)).toContain("tasks lost           1");
      const twice = outcomeOf(undefined, { accounts: { ...outcomeOf().accounts, executedTwice: 1 } });
      expect(isFlawless(twice)).toBe(false);
      const failed = outcomeOf(undefined, {
        counts: { total: 3, started: 3, completed: 2, endedBadly: new Map([["FAILED", 1]]) },
      });
      expect(isFlawless(failed)).toBe(false);
      expect(reportLines(failed, 80)).toContain("workflows FAILED     1");
    });

    test("says when there was nothing to measure", () => {
      expect(reportLines(outcomeOf([]), 80).join("\n")).toMatch(/order_ship +0 +1 +- +- +- +-$/m);
    });
  });

  describe("createProgress", () => {
    test("writes no control codes without a terminal, and a line every few seconds at most", () => {
      let now = 0;
      const screen = new FakeScreen(false);
      const progress = createProgress(screen, screen, {}, () => now);
      for (let n = 0; n < 100; n++) {
        now = n * 100;
        progress.update(stateOf(n, 100));
      }
      progress.note("something happened");
      progress.finish(stateOf(100, 100));
      expect(screen.text).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
      expect(screen.text.trimEnd().split("\n")).toHaveLength(3 + 2);
    });

    test("writes no control codes to a terminal that does not know them", () => {
      const screen = new FakeScreen(true);
      createProgress(screen, screen, { TERM: "dumb" }).finish(stateOf(1, 1));
      expect(screen.text).toBe("1/1 orders, 5 tasks, 0.0 s\n");
    });

    test("redraws in place, and takes a note out of the way of the bar", () => {
      let now = 0;
      const screen = new FakeScreen(true);
      const progress = createProgress(screen, screen, {}, () => (now += 1000));
      progress.update(stateOf(1, 2));
      progress.note("something happened");
      progress.finish(stateOf(2, 2));
      const [first, second, third] = screen.text.split("\n");
      expect(first).toMatch(/^\r\[.*\r\x1b\[Ksomething happened$/);
      expect(second).toMatch(/^\[=.*-\] 1\/2 .* s\r\[=+\] 2\/2 .*\x1b\[K$/);
      expect(third).toBe("");
    });
  });

  describe("the screen", () => {
    test("is 80 columns where nobody knows, and at most that", () => {
      expect(
        [{}, { columns: 0 }, { columns: 200 }, { columns: 50 }].map((s) => widthOf({ ...s, write: () => true })),
      ).toEqual([80, 80, 80, 50]);
    });

    test("has colours on a terminal, unless NO_COLOR says no", () => {
      expect(hasColours(new FakeScreen(true), {})).toBe(true);
      expect(hasColours(new FakeScreen(true), { NO_COLOR: "" })).toBe(true);
      expect(hasColours(new FakeScreen(true), { NO_COLOR: "1" })).toBe(false);
      expect(hasColours(new FakeScreen(true), { TERM: "dumb" })).toBe(false);
      expect(hasColours(new FakeScreen(false), {})).toBe(false);
    });
  });

  describe("readOptions", () => {
    test("reads the number of orders, and refuses what is none", () => {
      expect(readOptions([])).toEqual({ workflows: 300 });
      expect(readOptions(["--workflows", "20"])).toEqual({ workflows: 20 });
      expect(readOptions(["--help"])).toBe("help");
      for (const wrong of [["--workflows", "0"], ["--workflows", "many"], ["--workflows"], ["--orders", "3"], ["3"]]) {
        expect(readOptions(wrong)).toHaveProperty("problem");
      }
    });
  });
});
