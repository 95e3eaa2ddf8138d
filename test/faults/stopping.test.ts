import { expect, test } from "vitest";
import { defineWorker, TaskHandler, type WorkerEvents } from "../../src/index.js";
import { makeTask, startConductorStub, type ServedConductorStub } from "../support/conductor-stub.js";
import { startProcess } from "../support/process-harness.js";
import { silentLogger } from "../support/runner-world.js";
import { waitFor } from "../support/wait-for.js";

const task = (inputData: Record<string, unknown> = {}) =>
  makeTask({ taskType: "work", taskDefName: "work", inputData });

const program = (served: ServedConductorStub, execute: string, handlerOptions = "") => `
  import { TaskHandler, defineWorker } from "ostinato";
  const worker = defineWorker({ taskDefName: "work", concurrency: 20, execute: ${execute} });
  const handler = new TaskHandler({ serverUrl: ${JSON.stringify(served.serverUrl)}, workers: [worker], ${handlerOptions} });
  handler.on("taskStarted", ({ taskId }) => console.log("began " + taskId));
  await handler.run();
  console.log("ran to the end");
`;

async function withStub<T>(work: (served: ServedConductorStub) => Promise<T>): Promise<T> {
  const served = await startConductorStub();
  try {
    return await work(served);
  } finally {
    await served.close();
  }
}

test("SIGTERM with 20 tasks running: each is finished, exit 0", () =>
  withStub(async (served) => {
    const child = startProcess({
      source: program(served, `(input) => new Promise((resolve) => setTimeout(() => resolve({ n: input.n }), 1500))`),
    });
    const tasks = Array.from({ length: 20 }, (_, n) => task({ n }));
    served.stub.push(...tasks);
    for (const { taskId } of tasks) await child.waitForLine(new RegExp(`began ${taskId}`));
    child.signal("SIGTERM");
    expect(await child.waitForExit(10_000)).toEqual({ code: 0, signal: null });
    expect(child.output).toContain("ran to the end");
    for (const { taskId } of tasks) expect(served.stub.tasks.get(taskId)?.status).toBe("COMPLETED");
  }));

test("SIGTERM with 20 tasks that do not end, then a second one: each is handed back, exit 0", () =>
  withStub(async (served) => {
    const child = startProcess({
      source: program(served, `() => new Promise((resolve) => setTimeout(resolve, 3_600_000))`),
    });
    const tasks = Array.from({ length: 20 }, () => task());
    served.stub.push(...tasks);
    for (const { taskId } of tasks) await child.waitForLine(new RegExp(`began ${taskId}`));
    child.signal("SIGTERM");
    child.signal("SIGTERM");
    await child.waitForLine(/stopping: no further polls/);
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    expect(child.running, "a second signal within two seconds is the same request").toBe(true);
    child.signal("SIGINT");
    expect(await child.waitForExit(10_000)).toEqual({ code: 0, signal: null });
    for (const { taskId } of tasks) {
      expect(served.stub.tasks.get(taskId)?.status).toBe("SCHEDULED");
      expect(served.stub.updatesOf(taskId)).toEqual([
        expect.objectContaining({ status: "IN_PROGRESS", callbackAfterSeconds: 0 }),
      ]);
    }
  }));

test("a process whose only work is a promise that never settles does not exit", () =>
  withStub(async (served) => {
    const child = startProcess({ source: program(served, `() => new Promise(() => {})`) });
    const only = task();
    served.stub.push(only);
    await child.waitForLine(new RegExp(`began ${only.taskId}`));
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect(child.running).toBe(true);
    child.signal("SIGTERM");
    await child.waitForLine(/stopping/);
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    child.signal("SIGTERM");
    expect(await child.waitForExit(10_000)).toEqual({ code: 0, signal: null });
  }));

test("idle with one task type: at most 0.6 requests a second; stop returns within 2.2 s", () =>
  withStub(async (served) => {
    const handler = new TaskHandler({
      serverUrl: served.serverUrl,
      logger: silentLogger,
      workers: [defineWorker({ taskDefName: "work", concurrency: 10, execute: () => ({}) })],
    });
    await handler.start();
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    expect(served.server.requests.length).toBeLessThanOrEqual(6);
    const stopAt = performance.now();
    await handler.stop();
    expect(performance.now() - stopAt).toBeLessThan(2_200);
    const requests = served.server.requests.length;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(served.server.requests.length, "requests after the stop").toBe(requests);
  }));

test("a poll under way at stop is waited for, and what it brings is handed back", () =>
  withStub(async (served) => {
    const handler = new TaskHandler({
      serverUrl: served.serverUrl,
      logger: silentLogger,
      workers: [defineWorker({ taskDefName: "work", execute: () => ({}) })],
    });
    const handedBack: WorkerEvents["taskHandedBack"][] = [];
    handler.on("taskHandedBack", (event) => handedBack.push(event));
    await handler.start();
    await waitFor(() => served.stub.heldPolls === 1, { what: "a poll to be held" });
    const stopped = handler.stop({ drainTimeoutMs: 0 });
    const late = task();
    served.stub.push(late);
    await stopped;
    expect(handedBack).toEqual([expect.objectContaining({ taskId: late.taskId, reason: "stopping" })]);
    expect(served.stub.tasks.get(late.taskId)?.status).toBe("SCHEDULED");
    expect(served.stub.tasks.get(late.taskId)?.outputData).toEqual(late.outputData);
  }));

test("stopped and started again during a poll there is one loop, and it works", () =>
  withStub(async (served) => {
    let running = 0;
    let most = 0;
    const handler = new TaskHandler({
      serverUrl: served.serverUrl,
      logger: silentLogger,
      workers: [
        defineWorker({
          taskDefName: "work",
          concurrency: 2,
          longPollMs: 500,
          execute: async () => {
            running += 1;
            most = Math.max(most, running);
            await new Promise((resolve) => setTimeout(resolve, 30));
            running -= 1;
          },
        }),
      ],
    });
    for (let i = 0; i < 3; i += 1) {
      await handler.start();
      void handler.stop();
    }
    await handler.start();
    const tasks = Array.from({ length: 10 }, () => task());
    served.stub.push(...tasks);
    await waitFor(() => tasks.every(({ taskId }) => served.stub.tasks.get(taskId)?.status === "COMPLETED"), {
      what: "all to complete",
    });
    expect(most).toBe(2);
    // An `update-v2` on an empty queue is held for a moment as well.
    await waitFor(() => served.stub.heldPolls === 1, { what: "one held poll" });
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(served.stub.heldPolls).toBe(1);
    await handler.stop();
  }));
