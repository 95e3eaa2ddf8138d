import { describe, expect, test } from "vitest";
import type { TaskDef } from "../../../../src/conductor/types.js";
import { definitionOf, marginMs, pollTimeoutIsOver, taskTimes } from "../../../../src/runner/execution/task-times.js";
import { makeTask, type TaskOverrides } from "../../../support/servers/conductor-stub.js";

const HOUR_MS = 3_600_000;
const times = (overrides: TaskOverrides, executionTimeoutMs?: number) =>
  taskTimes(makeTask(overrides), executionTimeoutMs);

describe("the times of a task", () => {
  test.each([
    [1_000, 250],
    [4_000, 1_000],
    [20_000, 5_000],
    [HOUR_MS, 5_000],
  ])("of a timeout of %i ms, %i ms are kept for delivery", (timeoutMs, margin) => {
    expect(marginMs(timeoutMs)).toBe(margin);
  });

  describe("the deadline of an attempt", () => {
    test("is executionTimeoutMs, also beyond the response timeout", () => {
      expect(times({ taskDefinition: { responseTimeoutSeconds: 10 } }, 60_000)).toEqual({
        budgetMs: 60_000,
        budgetReason: "executionTimeoutMs of 60000 ms",
        responseTimeoutMs: 10_000,
      });
    });

    test("is never beyond the definition's timeoutSeconds", () => {
      const { budgetMs, budgetReason } = times({ taskDefinition: { timeoutSeconds: 40 } }, 60_000);
      expect([budgetMs, budgetReason]).toEqual([35_000, "timeoutSeconds of 40 s"]);
    });

    test("without executionTimeoutMs is timeoutSeconds, less a margin, also beyond the response timeout", () => {
      const { budgetMs, responseTimeoutMs } = times({
        taskDefinition: { timeoutSeconds: 40, responseTimeoutSeconds: 10 },
      });
      expect([budgetMs, responseTimeoutMs]).toEqual([35_000, 10_000]);
    });

    test("takes off what earlier hand-outs of this attempt have used", () => {
      const taskDefinition = { timeoutSeconds: 40 };
      expect(times({ taskDefinition, startTime: 1_000, updateTime: 31_000 }).budgetMs).toBe(5_000);
      expect(times({ taskDefinition, startTime: 1_000, updateTime: 91_000 }).budgetMs).toBe(1);
      expect(times({ taskDefinition, startTime: 91_000, updateTime: 1_000 }).budgetMs).toBe(35_000);
    });

    test("is else responseTimeoutSeconds, less a margin", () => {
      expect(times({ taskDefinition: { responseTimeoutSeconds: 8 } })).toEqual({
        budgetMs: 6_000,
        budgetReason: "responseTimeoutSeconds of 8 s",
        responseTimeoutMs: 8_000,
      });
    });

    test("the task's own response timeout goes before the definition's", () => {
      expect(
        times({ responseTimeoutSeconds: 20, taskDefinition: { responseTimeoutSeconds: 8 } }).responseTimeoutMs,
      ).toBe(20_000);
      expect(
        times({ responseTimeoutSeconds: 0, taskDefinition: { responseTimeoutSeconds: 8 } }).responseTimeoutMs,
      ).toBe(8_000);
    });

    test.each([0, -1, NaN, Infinity, "10", null])("a response timeout of %s is none: an hour", (given) => {
      const { responseTimeoutMs } = times({
        responseTimeoutSeconds: given,
        taskDefinition: { responseTimeoutSeconds: given as number },
      });
      expect(responseTimeoutMs).toBe(HOUR_MS);
    });
  });

  describe("the definition", () => {
    test("is the task's, else that of its place in the workflow", () => {
      const task = makeTask({ taskDefinition: { name: "outer" } });
      expect(definitionOf(task)?.name).toBe("outer");
      delete task.taskDefinition;
      expect(definitionOf(task)).toBeUndefined();
      task.workflowTask!.taskDefinition = { name: "inner" };
      expect(definitionOf(task)?.name).toBe("inner");
    });

    test.each([undefined, null, "text", [], 5])("is none where workflowTask is %s", (workflowTask) => {
      const task = makeTask();
      delete task.taskDefinition;
      expect(definitionOf(Object.assign(task, { workflowTask }) as typeof task)).toBeUndefined();
    });
  });

  describe("pollTimeoutSeconds", () => {
    const over = (pollTimeoutSeconds: number, waitedMs: number, heldMs: number, scheduledTime = 1_000) =>
      pollTimeoutIsOver(
        makeTask({ taskDefinition: { pollTimeoutSeconds }, scheduledTime, updateTime: scheduledTime + waitedMs }),
        heldMs,
      );

    test("counts the wait in the queue and the time we have it, and keeps a little for the way", () => {
      expect(over(30, 10_000, 18_000)).toBe(false);
      expect(over(30, 10_000, 19_000)).toBe(true);
      expect(over(2, 0, 1_400)).toBe(false);
      expect(over(2, 0, 1_500)).toBe(true);
    });

    test("0 is none, and without a scheduled time nothing is known", () => {
      expect(over(0, 1e9, 1e9)).toBe(false);
      expect(over(3, 1e9, 1e9, 0)).toBe(false);
    });
  });

  test("a timeoutSeconds that only alerts is no deadline", () => {
    const taskDefinition: TaskDef = {
      name: "t",
      timeoutSeconds: 60,
      timeoutPolicy: "ALERT_ONLY",
      responseTimeoutSeconds: 3600,
    };
    const task = makeTask({ taskDefinition });
    expect(taskTimes(task, 300_000).budgetMs).toBe(300_000);
    expect(taskTimes(task, undefined).budgetMs).toBe(3_595_000);
  });
});
