import { WebSocket } from "undici";
import { describe, expect, test } from "vitest";
import { startEmbeddedConductor } from "../../../src/testing/index.js";
import type { RunningProcess } from "../../support/process/process-harness.js";
import { useWorkerProcess } from "../../support/wedge/use-worker-process.js";
import { ended, newTaskType, startWorker, type TaskType } from "../../support/wedge/worker-process.js";

/** Three stall timeouts of the program. */
const LONG_MS = 4_000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const processes = useWorkerProcess();

/** It is there, it works, it ends as it should, and nobody cried wolf. */
async function expectWell(child: RunningProcess, type: TaskType): Promise<void> {
  expect(child.running, child.output).toBe(true);
  expect((await ended(await type.schedule("done"))).status).toBe("COMPLETED");
  child.signal("SIGTERM");
  expect(await child.waitForExit()).toEqual({ code: 0, signal: null });
  expect(child.stderr.filter((line) => !/debugger/i.test(line) && !line.startsWith("For help"))).toEqual([]);
}

describe("the watchdog raises no false alarm", () => {
  test("a process that is stopped for longer than its stall timeout, again and again, goes on when it is continued", async () => {
    const { child, type } = await processes.startWorking();
    for (const stoppedMs of [LONG_MS, 2_000, 2_000]) {
      child.signal("SIGSTOP");
      await pause(stoppedMs);
      child.signal("SIGCONT");
      await pause(300);
    }
    await expectWell(child, type);
  });

  test("a server that is away for three stall timeouts is no stall", async () => {
    const away = await startEmbeddedConductor({ ownProcess: true, queue: "eager" });
    const { port } = away;
    const type = await newTaskType(away);
    const child = processes.adopt(startWorker(away, type));
    await ended(await type.schedule("done"));
    await away.close();
    await pause(LONG_MS);
    const back = await startEmbeddedConductor({ ownProcess: true, queue: "eager", port });
    try {
      // The same task type, on a server that knows nothing.
      await back.registerTaskDefs([{ name: type.name, retryCount: 0, responseTimeoutSeconds: 60, timeoutSeconds: 0 }]);
      await back.registerWorkflowDef({ name: type.name, tasks: [{ name: type.name, taskReferenceName: "only" }] });
      const workflowId = await back.startWorkflow({ name: type.name });
      expect((await back.waitForWorkflow(workflowId)).status).toBe("COMPLETED");
      child.signal("SIGTERM");
      expect(await child.waitForExit()).toEqual({ code: 0, signal: null });
      expect(child.stderr).toEqual([]);
    } finally {
      await back.close();
    }
  });

  test("all slots full with tasks that run for three stall timeouts is no stall", async () => {
    const { child, type } = await processes.startWorking();
    const tasks = await Promise.all(Array.from({ length: 4 }, () => type.schedule("long")));
    await pause(LONG_MS);
    for (const task of tasks) expect((await ended(task)).status).toBe("COMPLETED");
    await expectWell(child, type);
  });

  test("blocking the event loop for a third of the stall timeout, again and again, is no stall", async () => {
    // A deadline that the block outlasts would cost requests, and that is not what is asked here.
    const options = JSON.stringify({ requestTimeoutMs: 800, stallTimeoutSeconds: 1.9 });
    const { child, type } = await processes.startWorking({ env: { HANDLER_OPTIONS: options } });
    for (let i = 0; i < 6; i += 1) expect((await ended(await type.schedule("block600"))).status).toBe("COMPLETED");
    await expectWell(child, type);
  });

  test("functions that compute for longer than the stall timeout all together, each a third of it, are no stall", async () => {
    const options = JSON.stringify({ requestTimeoutMs: 800, stallTimeoutSeconds: 1.9 });
    const type = await processes.newTaskType();
    const tasks = await Promise.all(Array.from({ length: 9 }, () => type.schedule("block600")));
    const child = processes.start(type, { env: { HANDLER_OPTIONS: options, CONDUCTOR_WORKER_ALL_CONCURRENCY: "9" } });
    for (const task of tasks) expect((await ended(task)).status).toBe("COMPLETED");
    await expectWell(child, type);
  });

  test("a process that somebody holds at a breakpoint for three stall timeouts is left alone", async () => {
    const { child, type } = await processes.startWorking({ nodeArgs: ["--inspect=127.0.0.1:0"] });
    const [, url] = await child.waitForLine(/Debugger listening on (ws:\S+)/);
    const socket = new WebSocket(url!);
    await new Promise((resolve) => {
      socket.addEventListener("open", resolve, { once: true });
    });
    const paused = new Promise<void>((resolve) => {
      socket.addEventListener("message", ({ data }) => {
        if (String(data).includes('"Debugger.paused"')) resolve();
      });
    });
    socket.send(JSON.stringify({ id: 1, method: "Debugger.enable" }));
    socket.send(JSON.stringify({ id: 2, method: "Debugger.pause" }));
    await paused;
    await pause(LONG_MS);
    expect(child.running, child.output).toBe(true);
    socket.send(JSON.stringify({ id: 3, method: "Debugger.resume" }));
    await pause(500);
    socket.close();
    await expectWell(child, type);
  });
});
