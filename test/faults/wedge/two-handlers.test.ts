import { describe, expect, test } from "vitest";
import { startEmbeddedConductor } from "../../../src/testing/index.js";
import { startProcess } from "../../support/process/process-harness.js";

const SOURCE = `
  import { defineWorker, TaskHandler } from "ostinato";
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const one = defineWorker({
    taskDefName: "one",
    paused: process.env.ACT === "throw",
    executionTimeoutMs: 200,
    execute: () => sleep(3_600_000),
  });
  const two = defineWorker({
    taskDefName: "two",
    execute: async () => {
      console.log("began");
      if (process.env.ACT === "throw") setTimeout(() => { throw new Error("nobody catches this"); }, 100);
      await sleep(6_000);
      return {};
    },
  });
  await Promise.all([one, two].map((worker) => new TaskHandler({ workers: [worker] }).run()));
`;

async function withTwoHandlers(
  act: string,
  work: (worker: ReturnType<typeof startProcess>, finalStatus: () => Promise<string | undefined>) => Promise<void>,
): Promise<void> {
  const conductor = await startEmbeddedConductor({ ownProcess: true });
  const names = ["one", "two"];
  await conductor.registerTaskDefs(names.map((name) => ({ name, retryCount: 0, responseTimeoutSeconds: 3600 })));
  for (const name of names) {
    await conductor.registerWorkflowDef({ name, tasks: [{ name, taskReferenceName: name }] });
  }
  const worker = startProcess({ source: SOURCE, env: { CONDUCTOR_SERVER_URL: conductor.serverUrl, ACT: act } });
  try {
    const ids = await Promise.all(names.map((name) => conductor.startWorkflow({ name })));
    await worker.waitForLine(/^began/);
    await work(worker, async () => (await conductor.workflow(ids[1]!)).tasks?.[0]?.status);
  } finally {
    await worker.kill();
    await conductor.close();
  }
}

describe("two handlers in one process", () => {
  test("a function that one handler has abandoned does not end the process while another handler drains", () =>
    withTwoHandlers("wait", async (worker, status) => {
      await new Promise((resolve) => setTimeout(resolve, 400));
      worker.signal("SIGTERM");
      expect(await worker.waitForExit(12_000)).toEqual({ code: 0, signal: null });
      expect(await status()).toBe("COMPLETED");
    }));

  test("an error that nobody catches ends what all handlers have in flight", () =>
    withTwoHandlers("throw", async (worker, status) => {
      expect(await worker.waitForExit(10_000)).toEqual({ code: 1, signal: null });
      expect(await status()).toBe("FAILED");
    }));
});
