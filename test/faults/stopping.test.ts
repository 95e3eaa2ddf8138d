import { describe, expect, test } from "vitest";
import { defineWorker, TaskHandler } from "../../src/index.js";
import { silentLogger } from "../support/log/loggers.js";
import { startProcess } from "../support/process/process-harness.js";
import { makeTask, startConductorStub, type ServedConductorStub } from "../support/servers/conductor-stub.js";
import { waitFor } from "../support/time/wait-for.js";

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

describe("stopping a worker process", () => {
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

  test("a stop that is asked to be shorter before it has begun is shorter", () =>
    withStub(async (served) => {
      const handler = new TaskHandler({
        serverUrl: served.serverUrl,
        logger: silentLogger,
        workers: [defineWorker({ taskDefName: "work", execute: () => new Promise(() => {}) })],
      });
      await handler.start();
      served.stub.push(task());
      await waitFor(() => handler.status.inFlight === 1, { what: "a task to run" });
      const askedAt = performance.now();
      void handler.stop({ drainTimeoutMs: 20_000 });
      await handler.stop({ drainTimeoutMs: 300 });
      expect(performance.now() - askedAt).toBeLessThan(5_000);
    }));

  test("process.exit() amid its tasks does not go unnoticed; after a stop it says nothing", () =>
    withStub(async (served) => {
      const wait = `(input) => input.exits ? process.exit(0) : new Promise(() => {})`;
      const child = startProcess({ source: program(served, wait) });
      const tasks = [task(), task({ exits: true })];
      served.stub.push(...tasks);
      expect(await child.waitForExit(10_000)).toEqual({ code: 0, signal: null });
      const said = child.stdout.filter((line) => line.includes("the process exits while its workers run"));
      expect(said.map((line) => JSON.parse(line) as object)).toMatchObject([{ level: 50, exitCode: 0, inFlight: 2 }]);

      const after = startProcess({ source: `${program(served, "() => ({})")} process.exit(0);` });
      await after.waitForLine(/concurrency=20/);
      after.signal("SIGTERM");
      expect(await after.waitForExit(10_000)).toEqual({ code: 0, signal: null });
      expect(after.output).not.toContain("the process exits while");
    }));

  test("a stdout and a stderr that nobody can write to cost lines, not the process", () =>
    withStub(async (served) => {
      const child = startProcess({
        source: program(served, `() => { console.log("a line"); console.error("a line"); return {}; }`),
        under: ["sh", "-c", 'exec "$@" >/dev/full 2>/dev/full', "sh"],
      });
      const tasks = Array.from({ length: 20 }, () => task());
      served.stub.push(...tasks);
      for (const { taskId } of tasks) {
        await waitFor(() => served.stub.tasks.get(taskId)?.status === "COMPLETED", { what: `${taskId} to be done` });
      }
      child.signal("SIGTERM");
      expect(await child.waitForExit(10_000)).toEqual({ code: 0, signal: null });
    }));
});
