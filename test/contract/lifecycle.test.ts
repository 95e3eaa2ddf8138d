import { expect, test } from "vitest";
import type { TaskDef } from "../../src/conductor/types.js";
import { wordsFor } from "../support/contract/api.js";
import { onEveryTarget } from "../support/contract/target.js";

onEveryTarget("the life of a task", (target) => {
  const words = wordsFor(target);
  const { taskType, workflowDef, start, oneTask, poll, pollOne, update, workflow, task, passAndDecide } = words;

  test("retries under a new task id until the retries are used up", async () => {
    const { type, workflowId } = await oneTask({ retryCount: 1 });
    const first = await pollOne(type);
    await update(first, { status: "FAILED", reasonForIncompletion: "bad luck", outputData: { left: "over" } });
    const second = await pollOne(type);
    expect(second.taskId).not.toBe(first.taskId);
    expect(second).toMatchObject({
      retryCount: 1,
      retriedTaskId: first.taskId,
      referenceTaskName: first.referenceTaskName,
      pollCount: 1,
      outputData: {},
      workflowInstanceId: workflowId,
    });
    expect(await task(first.taskId)).toMatchObject({ status: "FAILED", retried: true });
    await update(second, { status: "FAILED", reasonForIncompletion: "worse luck" });
    const ended = await workflow(workflowId);
    expect(ended).toMatchObject({ status: "FAILED", failedReferenceTaskNames: ["only"] });
    expect(ended.reasonForIncompletion).toContain("worse luck");
    expect(ended.tasks.map(({ status }) => status)).toEqual(["FAILED", "FAILED"]);
  });

  test("lets the workflow's task overrule the number of retries", async () => {
    const { type, workflowId } = await oneTask({ retryCount: 5 }, {}, { retryCount: 0 });
    await update(await pollOne(type), { status: "FAILED" });
    expect((await workflow(workflowId)).status).toBe("FAILED");
  });

  test("does not retry a terminal error", async () => {
    const { type, workflowId } = await oneTask({ retryCount: 5 });
    await update(await pollOne(type), { status: "FAILED_WITH_TERMINAL_ERROR", reasonForIncompletion: "never" });
    const ended = await workflow(workflowId);
    expect([ended.status, ended.tasks.length]).toEqual(["FAILED", 1]);
    await words.del(`/workflow/${workflowId}`);
    expect((await workflow(workflowId)).status).toBe("TERMINATED");
  });

  test("terminates the workflow when a worker reports CANCELED", async () => {
    const { type, workflowId } = await oneTask({ retryCount: 5 });
    await update(await pollOne(type), { status: "CANCELED" });
    expect((await workflow(workflowId)).status).toBe("TERMINATED");
  });

  test("goes on past an optional task that failed", async () => {
    const type = await taskType({ retryCount: 0 });
    const name = await workflowDef([
      { name: type, taskReferenceName: "a", optional: true },
      { name: type, taskReferenceName: "b" },
    ]);
    const workflowId = await start(name);
    await update(await pollOne(type), { status: "FAILED" });
    expect((await workflow(workflowId)).tasks[0]?.status).toBe("COMPLETED_WITH_ERRORS");
    await update(await pollOne(type));
    expect((await workflow(workflowId)).status).toBe("COMPLETED");
  });

  const firstDelays: [TaskDef["retryLogic"] & string, object, number, number][] = [
    ["FIXED", {}, 0, 2],
    ["LINEAR_BACKOFF", { backoffScaleFactor: 2 }, 0, 4],
    ["EXPONENTIAL_BACKOFF", {}, 0, 2],
    ["EXPONENTIAL_BACKOFF", { maxRetryDelaySeconds: 1 }, 0, 1],
  ];
  // The predecessors of later attempts are delayed as well: the way there is long where the clock cannot be turned.
  const laterDelays: typeof firstDelays = [
    ["LINEAR_BACKOFF", { backoffScaleFactor: 2 }, 1, 8],
    ["EXPONENTIAL_BACKOFF", {}, 2, 8],
    ["EXPONENTIAL_BACKOFF", { maxRetryDelaySeconds: 3 }, 2, 3],
  ];
  test.each(target.isEmbedded ? [...firstDelays, ...laterDelays] : firstDelays)(
    "delays a retry: %s %o, attempt %i: %i s",
    async (retryLogic, more, attempt, delaySeconds) => {
      const { type, workflowId } = await oneTask({ retryLogic, retryDelaySeconds: 2, retryCount: 9, ...more });
      for (let index = 0; index < attempt; index++) {
        await update(await pollOne(type), { status: "FAILED" });
        await target.pass(60_000);
      }
      await update(await pollOne(type), { status: "FAILED" });
      const next = (await workflow(workflowId)).tasks.at(-1);
      expect(next).toMatchObject({ status: "SCHEDULED", startDelayInSeconds: delaySeconds });
      expect(await poll(type)).toEqual([]);
      await target.pass(delaySeconds * 1000);
      expect((await pollOne(type)).taskId).toBe(next?.taskId);
    },
  );

  test("times out an attempt that is not heard of, and retries it", async () => {
    const { type, workflowId } = await oneTask({ responseTimeoutSeconds: 1, retryCount: 1 });
    const first = await pollOne(type);
    const seen = await passAndDecide(1100, workflowId);
    expect(seen.tasks[0]).toMatchObject({ status: "TIMED_OUT" });
    expect(seen.tasks[0]?.reasonForIncompletion).toMatch(/^responseTimeout: 1 exceeded for the taskId: /);
    const second = await pollOne(type);
    expect(second).toMatchObject({ retryCount: 1, retriedTaskId: first.taskId });
    const late = await update(first, { status: "FAILED", reasonForIncompletion: "too late" });
    expect(late.status).toBe(200);
    expect((await task(first.taskId)).reasonForIncompletion).toMatch(/^responseTimeout/);
    const ended = await passAndDecide(1100, workflowId);
    expect([ended.status, ended.tasks.length]).toEqual(["TIMED_OUT", 2]);
  });

  test("starts the response timeout anew with each lease extension", async () => {
    const { type, workflowId } = await oneTask({ responseTimeoutSeconds: 2, retryCount: 0 });
    const polled = await pollOne(type);
    await target.pass(1200);
    await update(polled, { extendLease: true });
    const seen = await passAndDecide(1200, workflowId);
    expect(seen.status).toBe("RUNNING");
    expect((await passAndDecide(1200, workflowId)).status).toBe("TIMED_OUT");
  });

  test("does not time out a response while the task is back in its queue", async () => {
    const { type, workflowId } = await oneTask({ responseTimeoutSeconds: 1, retryCount: 0 });
    await update(await pollOne(type), { status: "IN_PROGRESS", callbackAfterSeconds: 2 });
    expect((await passAndDecide(1500, workflowId)).tasks[0]?.status).toBe("SCHEDULED");
  });

  const timeouts: [string, Partial<TaskDef>][] = [
    ["timeoutSeconds", { timeoutSeconds: 1, responseTimeoutSeconds: 1 }],
    ["totalTimeoutSeconds", { totalTimeoutSeconds: 1 }],
  ];
  test.each(timeouts)("ends the workflow when %s has passed, under TIME_OUT_WF", async (_field, definition) => {
    const { type, workflowId } = await oneTask({ retryCount: 3, ...definition });
    await pollOne(type);
    const ended = await passAndDecide(1200, workflowId);
    expect(ended.status).toBe("TIMED_OUT");
    expect(ended.tasks.map(({ status }) => status)).toEqual(["TIMED_OUT"]);
    expect(ended.reasonForIncompletion).toContain("Timeout");
  });

  test("retries when timeoutSeconds has passed under RETRY, lease or no lease", async () => {
    const { type, workflowId } = await oneTask({
      timeoutSeconds: 2,
      responseTimeoutSeconds: 2,
      timeoutPolicy: "RETRY",
      retryCount: 1,
    });
    const polled = await pollOne(type);
    await target.pass(1200);
    await update(polled, { extendLease: true });
    const seen = await passAndDecide(1200, workflowId);
    expect(seen.tasks.map(({ status }) => status)).toEqual(["TIMED_OUT", "SCHEDULED"]);
    expect(seen.tasks[0]?.reasonForIncompletion).toMatch(/^Task timed out after/);
  });

  test("does nothing when timeoutSeconds has passed under ALERT_ONLY, as long as the lease holds", async () => {
    const { type, workflowId } = await oneTask({
      timeoutSeconds: 2,
      responseTimeoutSeconds: 2,
      timeoutPolicy: "ALERT_ONLY",
    });
    const polled = await pollOne(type);
    await target.pass(1200);
    await update(polled, { extendLease: true });
    const seen = await passAndDecide(1200, workflowId);
    expect(seen.tasks.map(({ status }) => status)).toEqual(["IN_PROGRESS"]);
  });

  test("stops retrying when totalTimeoutSeconds is used up", async () => {
    const { type, workflowId } = await oneTask({
      totalTimeoutSeconds: 2,
      timeoutPolicy: "RETRY",
      retryCount: 9,
      retryDelaySeconds: 0,
    });
    await target.pass(1200);
    await update(await pollOne(type), { status: "FAILED" });
    await pollOne(type);
    const ended = await passAndDecide(1200, workflowId);
    expect(ended.status).toBe("TIMED_OUT");
    expect(ended.reasonForIncompletion).toContain("No further retries will be attempted");
  });

  test("times out a task that nobody polls", async () => {
    const { workflowId } = await oneTask({ pollTimeoutSeconds: 1, retryCount: 0 });
    const ended = await passAndDecide(1100, workflowId);
    expect(ended.status).toBe("TIMED_OUT");
    expect(ended.tasks[0]?.reasonForIncompletion).toMatch(/^Task poll timed out after 1 seconds/);
  });

  test("counts the poll timeout from the first scheduling, even after a hand-back", async () => {
    const { type, workflowId } = await oneTask({ pollTimeoutSeconds: 1 });
    const polled = await pollOne(type);
    expect((await passAndDecide(1100, workflowId)).status).toBe("RUNNING");
    await update(polled, { status: "IN_PROGRESS" });
    expect((await workflow(workflowId)).status).toBe("TIMED_OUT");
  });

  test("ends a workflow at its own timeout under TIME_OUT_WF", async () => {
    const type = await taskType();
    const name = await workflowDef([{ name: type, taskReferenceName: "a" }], {
      timeoutSeconds: 1,
      timeoutPolicy: "TIME_OUT_WF",
    });
    const workflowId = await start(name);
    const ended = await passAndDecide(1100, workflowId);
    expect(ended.status).toBe("TIMED_OUT");
    expect(ended.tasks[0]?.status).toBe("CANCELED");
    expect(ended.reasonForIncompletion).toMatch(/^Workflow timed out after/);
  });

  test("delays a task with a startDelay", async () => {
    const { type, workflowId } = await oneTask({}, {}, { startDelay: 1 });
    expect(await poll(type)).toEqual([]);
    await target.pass(1000);
    expect(await pollOne(type)).toMatchObject({ workflowInstanceId: workflowId, startDelayInSeconds: 1 });
  });
});
