import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { startProcess } from "../../support/process/process-harness.js";
import { useWorkerProcess } from "../../support/wedge/use-worker-process.js";
import { codeOf, ended } from "../../support/wedge/worker-process.js";

const processes = useWorkerProcess();

describe("an error that nobody catches", () => {
  test.each([
    ["throwOutside", "uncaughtException"],
    ["rejectOutside", "unhandledRejection"],
  ])("%s under run(): logged, what is in flight is failed on the server, exit code 1", async (what, kind) => {
    const type = await processes.newTaskType();
    const worker = processes.start(type);
    const bystander = await type.schedule("bystander");
    await worker.waitForLine(/began bystander/);
    const guilty = await type.schedule(what);
    expect(await worker.waitForExit()).toEqual({ code: 1, signal: null });
    expect(worker.output).toMatch(new RegExp(`"level":50.*"kind":"${kind}".*nobody catches this`));
    for (const task of [bystander, guilty]) {
      expect(await task()).toMatchObject({ status: "FAILED", reason: `the worker process had an ${kind}` });
    }
    expect(worker.output.split("exit listener 1")).toHaveLength(2);
    expect(worker.stderr).toEqual([]);
  });

  test("an error in the lines after run(), before anything runs, ends the process with it", async () => {
    const source = `
    import { defineWorker, TaskHandler } from "ostinato";
    const worker = defineWorker({ taskDefName: "work", execute: () => ({}) });
    void new TaskHandler({ workers: [worker], serverUrl: "http://127.0.0.1:1" }).run();
    throw new Error("nobody catches this");
  `;
    const worker = startProcess({ source });
    try {
      expect(await worker.waitForExit(5_000)).toEqual({ code: 1, signal: null });
      expect(worker.output).toContain("Error: nobody catches this");
    } finally {
      await worker.kill();
    }
  });

  test("under start() an error that nobody catches is left to Node", async () => {
    const type = await processes.newTaskType();
    const worker = processes.start(type, { env: { START_ONLY: "1" } });
    const bystander = await type.schedule("bystander");
    await worker.waitForLine(/began bystander/);
    await type.schedule("throwOutside");
    expect(await worker.waitForExit()).toEqual({ code: 1, signal: null });
    expect(worker.stderr.join("\n")).toContain("Error: nobody catches this");
    expect(worker.output).not.toContain("uncaughtException");
    expect((await bystander()).status).toBe("IN_PROGRESS");
  });

  test("a function that was abandoned does not hold the process after run(), nor do pool threads that are stuck", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "ostinato-ending-"));
    try {
      const fifo = path.join(folder, "fifo");
      execFileSync("mkfifo", [fifo]);
      const type = await processes.newTaskType();
      const worker = processes.start(type, { wedge: "stuckPoolOnly", env: { FIFO: fifo } });
      await ended(await type.schedule("done"));
      await type.schedule("bystander");
      await worker.waitForLine(/began bystander/);
      await type.schedule("wedge");
      await worker.waitForLine(/stuck at/);
      worker.signal("SIGTERM");
      await worker.waitForLine(/stopping: no further polls/);
      await new Promise((resolve) => setTimeout(resolve, 2_100));
      worker.signal("SIGTERM");
      await worker.waitForLine(/ending it/, 15_000);
      const since = performance.now();
      // The right code where Node can become another program, else that of the last step.
      expect("execve" in process ? [0] : [0, 133, 134, 137, 139]).toContain(codeOf(await worker.waitForExit()));
      expect(performance.now() - since).toBeLessThan(2_500);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
