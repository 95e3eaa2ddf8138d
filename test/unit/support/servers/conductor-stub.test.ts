import { request as undiciRequest } from "undici";
import { afterEach, describe, expect, test } from "vitest";
import type { Task, TaskResult } from "../../../../src/conductor/types.js";
import {
  makeTask,
  startConductorStub,
  type ConductorStubOptions,
  type ServedConductorStub,
} from "../../../support/servers/conductor-stub.js";
import { waitFor } from "../../../support/time/wait-for.js";

let served: ServedConductorStub | undefined;

async function start(options: ConductorStubOptions = {}) {
  served = await startConductorStub(options);
  return served;
}

describe("the Conductor stub", () => {
  afterEach(async () => {
    await served?.close();
    served = undefined;
  });

  async function call(method: "GET" | "POST", path: string, body?: unknown) {
    const { statusCode, body: answer } = await undiciRequest(`${served!.serverUrl}${path}`, {
      method,
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      headers: { "content-type": "application/json" },
    });
    const text = await answer.text();
    return { status: statusCode, text, json: <T>() => JSON.parse(text) as T };
  }

  async function poll(query = "count=10&timeout=0&workerid=w1", taskType = "greet"): Promise<Task[]> {
    const answer = await call("GET", `/tasks/poll/batch/${encodeURIComponent(taskType)}?${query}`);
    expect(answer.status).toBe(200);
    return answer.json<Task[]>();
  }

  function resultOf(task: Task, rest: Partial<TaskResult> = {}): TaskResult {
    return {
      taskId: task.taskId,
      workflowInstanceId: task.workflowInstanceId,
      status: "COMPLETED",
      workerId: "w1",
      ...rest,
    };
  }

  test("makeTask is about as large as a real one, and follows what it is given", () => {
    const task = makeTask();
    expect(JSON.stringify(task).length).toBeGreaterThan(900);
    expect(JSON.stringify(task).length).toBeLessThan(1_800);
    expect(makeTask().taskId).not.toBe(task.taskId);
    const special = makeTask({ taskDefName: "pack", retryCount: 2, taskDefinition: { responseTimeoutSeconds: 5 } });
    expect(special).toMatchObject({ taskType: "pack", taskDefName: "pack", retryCount: 2, responseTimeoutSeconds: 5 });
    expect(special.taskDefinition).toMatchObject({ name: "pack", responseTimeoutSeconds: 5, retryCount: 3 });
  });

  test("hands out tasks in order, up to count, and records the polls", async () => {
    const { stub } = await start();
    const tasks = [makeTask(), makeTask(), makeTask()];
    stub.push(...tasks);
    expect(stub.queued).toBe(3);
    const first = await poll("count=2&timeout=0&workerid=w1");
    expect(first.map((task) => task.taskId)).toEqual([tasks[0]!.taskId, tasks[1]!.taskId]);
    expect(first[0]).toMatchObject({ status: "IN_PROGRESS", workerId: "w1", pollCount: 1 });
    expect(await poll()).toHaveLength(1);
    expect(await poll()).toEqual([]);
    expect(stub.polls[0]).toEqual({ taskType: "greet", domain: undefined, workerId: "w1", count: 2, timeoutMs: 0 });
    expect((await call("GET", "/tasks/poll/batch/greet?timeout=5001")).status).toBe(400);
  });

  test("keeps task types and domains apart", async () => {
    const { stub } = await start();
    stub.push(makeTask({ taskType: "with space" }), makeTask({ domain: "blue" }));
    expect(await poll()).toEqual([]);
    expect(await poll("count=1&timeout=0", "with space")).toHaveLength(1);
    expect((await call("GET", "/tasks/queue/sizes?taskType=greet&taskType=blue:greet")).json()).toEqual({
      greet: 0,
      "blue:greet": 1,
    });
    expect(await poll("count=1&timeout=0&domain=blue")).toHaveLength(1);
  });

  test("eager: a held poll is answered by the first task", async () => {
    const { stub } = await start();
    const held = poll("count=10&timeout=5000");
    await waitFor(() => stub.heldPolls === 1, { what: "the poll to be held" });
    stub.push(makeTask(), makeTask());
    expect(await held).toHaveLength(2);
    expect(stub.heldPolls).toBe(0);
  });

  test("patient: a held poll waits for count, or for its timeout", async () => {
    const { stub } = await start({ queue: "patient" });
    const full = poll("count=2&timeout=5000");
    await waitFor(() => stub.heldPolls === 1, { what: "the poll to be held" });
    stub.push(makeTask(), makeTask());
    expect(await full).toHaveLength(2);
    const startMs = performance.now();
    const short = poll("count=2&timeout=250");
    await waitFor(() => stub.heldPolls === 1, { what: "the poll to be held" });
    stub.push(makeTask());
    expect(await short).toHaveLength(1);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(245);
  });

  test("instant: nothing is held", async () => {
    const { stub } = await start({ queue: "instant" });
    expect(await poll("count=2&timeout=5000")).toEqual([]);
    expect(stub.heldPolls).toBe(0);
  });

  test("release answers held polls", async () => {
    const { stub } = await start();
    const held = poll("count=1&timeout=5000");
    await waitFor(() => stub.heldPolls === 1, { what: "the poll to be held" });
    stub.release();
    expect(await held).toEqual([]);
  });

  test("update acknowledges with the task's id; the first terminal one wins", async () => {
    const { stub } = await start();
    stub.push(makeTask());
    const [task] = await poll();
    const answer = await call("POST", "/tasks", resultOf(task!, { outputData: { a: 1 } }));
    expect(answer).toMatchObject({ status: 200, text: task!.taskId });
    await call("POST", "/tasks", resultOf(task!, { status: "FAILED" }));
    expect((await call("GET", `/tasks/${task!.taskId}`)).json()).toMatchObject({
      status: "COMPLETED",
      outputData: { a: 1 },
    });
    expect(stub.updatesOf(task!.taskId)).toHaveLength(2);
  });

  test("update-v2 brings the next task, or 204", async () => {
    const { stub } = await start();
    stub.push(makeTask(), makeTask());
    const [first] = await poll("count=1&timeout=0&workerid=w1");
    const next = await call("POST", "/tasks/update-v2", resultOf(first!));
    expect(next.status).toBe(200);
    expect(next.json()).toMatchObject({ status: "IN_PROGRESS", workerId: "w1" });
    expect(await call("POST", "/tasks/update-v2", resultOf(next.json<Task>()))).toMatchObject({
      status: 204,
      text: "",
    });
    expect(stub.updates).toHaveLength(2);
  });

  test("a task that is handed back is polled again, with the output it was given", async () => {
    const { stub } = await start();
    stub.push(makeTask({ outputData: { step: 1 } }));
    const [task] = await poll();
    const back = resultOf(task!, { status: "IN_PROGRESS", callbackAfterSeconds: 0, outputData: { step: 2 } });
    expect((await call("POST", "/tasks/update-v2", back)).status).toBe(204);
    const [again] = await poll();
    expect(again).toMatchObject({ taskId: task!.taskId, pollCount: 2, retryCount: 0, outputData: { step: 2 } });
  });

  test("a lease is extended without touching the task; a cancelled task is never handed out", async () => {
    const { stub } = await start();
    stub.push(makeTask(), makeTask());
    const [task] = await poll("count=1&timeout=0");
    const extend = resultOf(task!, { status: "IN_PROGRESS", extendLease: true });
    expect((await call("POST", "/tasks", extend)).status).toBe(200);
    expect(stub.tasks.get(task!.taskId)).toMatchObject({ status: "IN_PROGRESS" });
    for (const taskId of stub.tasks.keys()) stub.cancel(taskId);
    expect(await poll()).toEqual([]);
    expect((await call("GET", `/tasks/${task!.taskId}`)).json()).toMatchObject({ status: "CANCELED" });
  });

  test("refuses what the server refuses", async () => {
    const { stub } = await start();
    stub.push(makeTask());
    const [task] = await poll();
    expect((await call("POST", "/tasks", { ...resultOf(task!), taskId: "" })).status).toBe(400);
    expect((await call("POST", "/tasks", { ...resultOf(task!), status: undefined })).status).toBe(500);
    const unknown = await call("POST", "/tasks/update-v2", { ...resultOf(task!), taskId: "nobody" });
    expect(unknown.status).toBe(404);
    expect(unknown.json()).toMatchObject({
      status: 404,
      message: "No such task found by id: nobody",
      retryable: false,
    });
    expect((await call("GET", "/tasks/nobody")).status).toBe(404);
    expect(stub.updates).toEqual([]);
  });

  test("logs and single polls", async () => {
    const { stub } = await start();
    stub.push(makeTask());
    const single = await call("GET", "/tasks/poll/greet?workerid=w2");
    const { taskId } = single.json<Task>();
    expect((await call("GET", "/tasks/poll/greet")).status).toBe(204);
    expect(await call("POST", `/tasks/${taskId}/log`, "one line")).toMatchObject({ status: 200, text: "" });
    expect(stub.logs).toEqual([{ taskId, log: "one line" }]);
    expect((await call("GET", `/tasks/${taskId}/log`)).json()).toEqual([{ taskId, log: "one line" }]);
  });
});
