import { expect, test } from "vitest";
import { wordsFor } from "../support/contract/api.js";
import { onEveryTarget } from "../support/contract/target.js";

onEveryTarget("updates", (target) => {
  const words = wordsFor(target);
  const { post, del, taskType, workflowDef, start, oneTask, poll, pollOne, update, updateV2, workflow, task } = words;

  test("acknowledges with the task id as plain text", async () => {
    const { type, workflowId } = await oneTask();
    const polled = await pollOne(type);
    const answer = await update(polled, { outputData: { a: 1 } });
    expect(answer.contentType).toContain("text/plain");
    expect([answer.status, answer.text]).toEqual([200, polled.taskId]);
    expect(await workflow(workflowId)).toMatchObject({ status: "COMPLETED", output: { a: 1 } });
    const ended = await task(polled.taskId);
    expect(ended).toMatchObject({ status: "COMPLETED", outputData: { a: 1 } });
    expect(ended.endTime).toBeGreaterThanOrEqual(ended.startTime);
  });

  test("takes the first terminal update; later ones get 200 and change nothing", async () => {
    const { type, workflowId } = await oneTask();
    const polled = await pollOne(type);
    await update(polled, { outputData: { first: true } });
    const again = await update(polled, { status: "FAILED", outputData: { first: false }, reasonForIncompletion: "no" });
    expect([again.status, again.text]).toEqual([200, polled.taskId]);
    expect(await task(polled.taskId)).toMatchObject({ status: "COMPLETED", outputData: { first: true } });
    expect((await workflow(workflowId)).status).toBe("COMPLETED");
  });

  test("answers 200 and does nothing when the workflow was terminated", async () => {
    const { type, workflowId } = await oneTask();
    const polled = await pollOne(type);
    await del(`/workflow/${workflowId}`);
    const { updateTime } = await task(polled.taskId);
    await target.pass(20);
    for (const result of [{}, { status: "IN_PROGRESS" as const }, { extendLease: true }]) {
      const answer = await update(polled, result);
      expect([answer.status, answer.text]).toEqual([200, polled.taskId]);
    }
    expect(await task(polled.taskId)).toMatchObject({ status: "CANCELED", updateTime });
    expect(await poll(type)).toEqual([]);
  });

  test("does not ask who sends the update", async () => {
    const { type } = await oneTask();
    const polled = await pollOne(type);
    await update(polled, { workerId: "somebody else" });
    expect(await task(polled.taskId)).toMatchObject({ status: "COMPLETED", workerId: "somebody else" });
  });

  test("keeps 500 characters of the reason", async () => {
    const { type } = await oneTask({ retryCount: 0 });
    const polled = await pollOne(type);
    await update(polled, { status: "FAILED", reasonForIncompletion: "x".repeat(600) });
    expect((await task(polled.taskId)).reasonForIncompletion).toBe("x".repeat(500));
  });

  test("puts a task back into its queue on IN_PROGRESS: same task, no retry used", async () => {
    const { type } = await oneTask();
    const first = await pollOne(type);
    await update(first, { status: "IN_PROGRESS", outputData: { step: 1 } });
    expect(await task(first.taskId)).toMatchObject({ status: "SCHEDULED", outputData: { step: 1 } });
    const second = await pollOne(type);
    expect(second).toMatchObject({ taskId: first.taskId, pollCount: 2, retryCount: 0, outputData: { step: 1 } });
    expect(second.startTime).toBe(first.startTime);
  });

  test("replaces the stored output, with nothing if nothing is sent", async () => {
    const { type } = await oneTask();
    const polled = await pollOne(type);
    await update(polled, { status: "IN_PROGRESS", outputData: { checkpoint: 1 } });
    await pollOne(type);
    await update(polled, { status: "IN_PROGRESS" });
    expect((await pollOne(type)).outputData).toEqual({});
  });

  test("hides a task for callbackAfterSeconds", async () => {
    const { type } = await oneTask();
    const polled = await pollOne(type);
    await update(polled, { status: "IN_PROGRESS", callbackAfterSeconds: 2 });
    expect((await task(polled.taskId)).callbackAfterSeconds).toBe(2);
    expect(await poll(type)).toEqual([]);
    await target.pass(2000);
    expect(await pollOne(type)).toMatchObject({ taskId: polled.taskId, callbackAfterSeconds: 0 });
  });

  test("takes a task away from its next worker when a hand-back is sent again", async () => {
    const { type } = await oneTask();
    const first = await pollOne(type);
    await update(first, { status: "IN_PROGRESS" });
    await pollOne(type);
    await update(first, { status: "IN_PROGRESS" });
    expect(await pollOne(type)).toMatchObject({ taskId: first.taskId, pollCount: 3 });
  });

  test("accepts the result of a task that was handed back meanwhile, and takes it out of the queue", async () => {
    const { type } = await oneTask();
    const polled = await pollOne(type);
    await update(polled, { status: "IN_PROGRESS" });
    await update(polled);
    expect((await task(polled.taskId)).status).toBe("COMPLETED");
    expect(await poll(type)).toEqual([]);
  });

  test("ignores everything but the lease in an update with extendLease", async () => {
    const { type } = await oneTask();
    const polled = await pollOne(type);
    await target.pass(20);
    const answer = await update(polled, {
      extendLease: true,
      outputData: { a: 1 },
      logs: [{ log: "l", createdTime: 1 }],
    });
    expect([answer.status, answer.text]).toEqual([200, polled.taskId]);
    const extended = await task(polled.taskId);
    expect(extended).toMatchObject({ status: "IN_PROGRESS", outputData: {} });
    expect(extended.updateTime).toBeGreaterThan(polled.updateTime);
    expect((await words.get(`/tasks/${polled.taskId}/log`)).status).toBe(204);
  });

  test("answers update-v2 with the next task of the type, marked IN_PROGRESS for this worker", async () => {
    const { type, workflowName } = await oneTask();
    const polled = await pollOne(type);
    const other = await start(workflowName);
    const answer = await updateV2(polled, { workerId: "chained" });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      taskType: type,
      workflowInstanceId: other,
      status: "IN_PROGRESS",
      workerId: "chained",
      pollCount: 1,
    });
    expect(answer.ms).toBeLessThan(300);
  });

  test("answers update-v2 with 204, after about 100 ms, when nothing waits", async () => {
    const { type } = await oneTask();
    const polled = await pollOne(type);
    const first = await updateV2(polled);
    const duplicate = await updateV2(polled);
    for (const { status, text, ms } of [first, duplicate]) {
      expect([status, text]).toEqual([204, ""]);
      expect(ms).toBeLessThan(600);
      if (target.kind !== "instant") expect(ms).toBeGreaterThan(85);
    }
  });

  test("answers update-v2 with 204 at once to a hand-back and to extendLease", async () => {
    const { type, workflowName } = await oneTask();
    await start(workflowName);
    const polled = await pollOne(type);
    for (const result of [{ extendLease: true }, { status: "IN_PROGRESS" as const, callbackAfterSeconds: 60 }]) {
      const answer = await updateV2(polled, result);
      expect([answer.status, answer.text]).toEqual([204, ""]);
      expect(answer.ms).toBeLessThan(target.isEmbedded ? 85 : 150);
    }
  });

  test("hands out a task even in answer to a duplicate update-v2", async () => {
    const { type, workflowName } = await oneTask();
    const polled = await pollOne(type);
    await update(polled);
    const other = await start(workflowName);
    expect((await updateV2(polled)).json).toMatchObject({ workflowInstanceId: other });
  });

  test("chains within the domain of the task", async () => {
    const { type, workflowName } = await oneTask({}, {});
    await start(workflowName, { taskToDomain: { [type]: "d" } });
    const polled = await pollOne(type, "&domain=d");
    expect((await updateV2(polled)).status).toBe(204);
  });

  test("makes the next task of a sequence ready before it answers", async () => {
    const type = await taskType();
    const next = await taskType();
    await start(
      await workflowDef([
        { name: type, taskReferenceName: "a" },
        { name: next, taskReferenceName: "b" },
      ]),
    );
    await update(await pollOne(type));
    expect((await poll(next, "&timeout=0")).map(({ referenceTaskName }) => referenceTaskName)).toEqual(["b"]);
  });

  test("stores a large output apart from the task", async () => {
    const { type } = await oneTask();
    const polled = await pollOne(type);
    expect((await update(polled, { outputData: { big: "x".repeat(4_000_000) } })).status).toBe(200);
    const stored = await task(polled.taskId);
    expect(stored).toMatchObject({ status: "COMPLETED", outputData: {} });
    expect(stored.externalOutputPayloadStoragePath).toEqual(expect.any(String));
  });

  test("fails a task for good whose output exceeds 10,240 KB, and answers 200", async () => {
    const { type, workflowId } = await oneTask();
    const polled = await pollOne(type);
    expect((await update(polled, { outputData: { big: "x".repeat(11_000_000) } })).status).toBe(200);
    const stored = await task(polled.taskId);
    expect(stored).toMatchObject({ status: "FAILED_WITH_TERMINAL_ERROR", outputData: {} });
    expect(stored.reasonForIncompletion).toContain("is greater than the permissible limit");
    expect((await workflow(workflowId)).status).toBe("FAILED");
  });

  test("cannot read one string of more than 20,000,000 characters", async () => {
    const { type } = await oneTask();
    const polled = await pollOne(type);
    const answer = await post("/tasks", words.resultFor(polled, { outputData: { big: "x".repeat(20_000_001) } }));
    expect([answer.status, answer.json.retryable]).toEqual([500, false]);
    expect((await task(polled.taskId)).status).toBe("IN_PROGRESS");
  });
});
