import { describe, expect, test } from "vitest";
import { createPolling, type QueueKind } from "../../../src/testing/engine/held-polls.js";
import { TaskQueue } from "../../../src/testing/engine/queue.js";
import { Timeline } from "../../../src/testing/engine/timeline.js";
import { HandClock } from "../../support/time/hand-clock.js";

function world(kind: QueueKind) {
  const clock = new HandClock();
  const timeline = new Timeline(clock);
  const polling = createPolling(kind, timeline);
  const queue = new TaskQueue("q");
  const start = timeline.now();
  return {
    clock,
    push: (taskId: string, delayMs = 0) => {
      queue.push(taskId, 0, timeline.now() + delayMs, timeline.now());
      polling.pushed(queue, timeline.now());
    },
    /** What the poll was answered with, and when; empty while it is held. */
    poll: (count: number, timeoutMs: number, lateness = 0) => {
      const answers: [number, string[]][] = [];
      polling.hold(queue, count, timeoutMs, timeline.now() + lateness, (taskIds, now) => {
        answers.push([now - start, taskIds]);
      });
      return answers;
    },
  };
}

describe("held polls of the embedded Conductor", () => {
  describe("a patient queue", () => {
    test("looks every 100 ms, and answers when full or at the timeout", () => {
      const { clock, push, poll } = world("patient");
      const full = poll(2, 1000);
      clock.turn(150);
      push("a");
      push("b");
      clock.turn(49);
      expect(full).toEqual([]);
      clock.turn(1);
      expect(full).toEqual([[200, ["a", "b"]]]);
      const short = poll(2, 250);
      push("c");
      clock.turn(299);
      expect(short).toEqual([]);
      clock.turn(1);
      expect(short).toEqual([[500, ["c"]]]);
    });

    test("does not wait with a timeout of 0", () => {
      const { push, poll } = world("patient");
      push("a");
      expect(poll(5, 0)).toEqual([[0, ["a"]]]);
    });
  });

  describe("an eager queue", () => {
    test("answers at the first task with what comes within 2 ms, the longest held poll first", () => {
      const { clock, push, poll } = world("eager");
      const first = poll(5, 1000);
      const second = poll(1, 1000);
      clock.turn(30);
      push("a");
      push("b");
      expect(second).toEqual([[30, ["b"]]]);
      push("c");
      clock.turn(2);
      expect(first).toEqual([[32, ["a", "c"]]]);
    });

    test("gives a delayed task to a held poll when it becomes visible", () => {
      const { clock, push, poll } = world("eager");
      const held = poll(1, 1000);
      push("a", 300);
      clock.turn(299);
      expect(held).toEqual([]);
      clock.turn(1);
      expect(held).toEqual([[300, ["a"]]]);
    });

    test("gives nothing to a poll that does not wait, while one is held and for 150 ms after it ended empty", () => {
      const { clock, push, poll } = world("eager");
      const held = poll(1, 100);
      push("late", 50);
      expect(poll(1, 0, 50)).toEqual([[50, []]]);
      clock.turn(50);
      expect(held).toEqual([[50, ["late"]]]);
      poll(1, 100);
      clock.turn(100);
      push("a");
      expect(poll(1, 0)).toEqual([[150, []]]);
      clock.turn(149);
      expect(poll(1, 0)).toEqual([[299, []]]);
      clock.turn(1);
      expect(poll(1, 0)).toEqual([[300, ["a"]]]);
    });
  });

  describe("an instant queue", () => {
    test("ignores the timeout", () => {
      const { push, poll } = world("instant");
      expect(poll(1, 5000)).toEqual([[0, []]]);
      push("a");
      expect(poll(5, 5000)).toEqual([[0, ["a"]]]);
    });
  });
});
