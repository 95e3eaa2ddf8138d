import { describe, expect, test } from "vitest";
import { isAlive, lines, QUICK_STALL, withSupervisor } from "../../support/supervisor/with-supervisor.js";
import { waitFor } from "../../support/time/wait-for.js";

describe("the supervisor replaces what died", () => {
  test("a process that crashes is replaced within a second, its task fails and is run again, and work goes on", () =>
    withSupervisor({ args: ["--processes", "2"], retryCount: 1 }, async ({ conductor, primary, task, ready }) => {
      await ready(2);
      const fatal = await task({ act: "crash" });
      const others = await Promise.all(Array.from({ length: 20 }, () => task({ ms: 20 })));
      await ready(3);
      const [death] = lines(primary, "a worker process has ended") as { time: number; reason: string }[];
      const reborn = lines(primary, "a worker process is ready")[2] as { time: number };
      expect(death?.reason).toBe("crashed");
      expect(reborn.time - death!.time, "ms until the new process polls").toBeLessThan(1_000);
      for (const id of others) await conductor.waitForWorkflow(id, { timeoutMs: 20_000 });
      // It kills its process each time; it must not go round for ever.
      const ended = await conductor.waitForWorkflow(fatal, { timeoutMs: 20_000 });
      expect(ended.status).toBe("FAILED");
      expect(ended.tasks?.map(({ status, reasonForIncompletion }) => [status, reasonForIncompletion])).toEqual([
        ["FAILED", "the worker process died: crashed (exit code 3)"],
        ["FAILED", "the worker process died: crashed (exit code 3)"],
      ]);
      primary.signal("SIGTERM");
      expect(await primary.waitForExit(15_000)).toEqual({ code: 0, signal: null });
    }));

  test("what was in an answer that was lost just before a roll is found by the next process, and not failed", () =>
    withSupervisor(
      { args: ["--drain-timeout-ms", "0"], retryCount: 0 },
      async ({ conductor, primary, proxy, task, ready }) => {
        await ready(1);
        await conductor.waitForWorkflow(await task({}), { timeoutMs: 10_000 });
        const isPoll = (head: string) => head.startsWith("GET /api/tasks/poll/");
        const cuts = proxy.cutNextAnswer({ when: isPoll, afterBytes: 600 });
        const { bytesUp } = proxy;
        await waitFor(() => proxy.bytesUp > bytesUp, { what: "the next poll to be held" });
        const lost = await task({});
        await waitFor(() => cuts.heads.length > 0, { what: "the answer to be lost" });
        const [handedOut] = (await conductor.workflow(lost)).tasks;
        expect(handedOut?.status).toBe("IN_PROGRESS");
        primary.signal("SIGHUP");
        await ready(2, 20_000);
        expect(lines(primary, "stopped before the search for lost tasks had ended")).toHaveLength(1);
        const ended = await conductor.waitForWorkflow(lost, { timeoutMs: 20_000 });
        expect(ended.tasks.map(({ status, taskId }) => [status, taskId])).toEqual([["COMPLETED", handedOut?.taskId]]);
      },
    ));

  test("a task that waits and crashes each process with its first function is not taken for a script that does not start", () =>
    withSupervisor({ retryCount: 2 }, async ({ conductor, primary, task }) => {
      const fatal = await task({ act: "crash" });
      const ended = await conductor.waitForWorkflow(fatal, { timeoutMs: 20_000 });
      expect(ended.tasks?.map(({ reasonForIncompletion }) => reasonForIncompletion)).toEqual(
        Array(3).fill("the worker process died: crashed (exit code 3)"),
      );
      expect(lines(primary, "a worker process is ready").length).toBeGreaterThanOrEqual(3);
      expect(primary.running).toBe(true);
    }));

  test("a process that is stuck in a function is replaced, and its task fails with the place", () =>
    withSupervisor(
      { args: ["--admin-port", "0"], handler: QUICK_STALL, retryCount: 0 },
      async ({ conductor, primary, task, ready, adminUrl }) => {
        const [first] = await ready(1);
        const spinning = await task({ act: "spin" });
        await ready(2, 20_000);
        expect(isAlive(first!)).toBe(false);
        const ended = await conductor.waitForWorkflow(spinning, { timeoutMs: 10_000 });
        expect(ended.tasks?.[0]?.reasonForIncompletion).toMatch(
          /^the worker process died: wedged in .*execute.*worker\.mjs/,
        );
        const metrics = await (await fetch(`${await adminUrl()}/metrics`)).text();
        expect(metrics).toContain('worker_restart_total{reason="wedged"} 1');
        expect(lines(primary, "a worker process has ended")[0]).toMatchObject({ reason: "wedged" });
      },
    ));

  test("a process that is stopped dead (SIGSTOP) is killed and replaced, and what it had is ended", () =>
    withSupervisor({ handler: QUICK_STALL, retryCount: 1 }, async ({ conductor, primary, task, ready }) => {
      const [first] = await ready(1);
      const held = await task({ ms: 1_000 });
      await primary.waitForLine(/began wait/);
      process.kill(first!, "SIGSTOP");
      await ready(2, 25_000);
      expect(isAlive(first!)).toBe(false);
      expect(lines(primary, "does not beat")).toHaveLength(1);
      const ended = await conductor.waitForWorkflow(held, { timeoutMs: 15_000 });
      expect(ended.status).toBe("COMPLETED");
      expect(ended.tasks?.[0]?.reasonForIncompletion).toMatch(/^the worker process died: wedged/);
    }));

  test("a process whose heap is full is told from one that crashed", () =>
    withSupervisor(
      { args: ["--node-arg=--max-old-space-size=64"], retryCount: 0 },
      async ({ primary, task, ready }) => {
        await ready(1);
        await task({ act: "fill" });
        await ready(2, 30_000);
        expect(lines(primary, "a worker process has ended")[0]).toMatchObject({ reason: "outOfMemory" });
      },
    ));

  test("a signal to one process: it drains and is replaced", () =>
    withSupervisor({ args: ["--processes", "2"] }, async ({ conductor, primary, task, ready }) => {
      const [first] = await ready(2);
      const ids = await Promise.all(Array.from({ length: 12 }, () => task({ ms: 700 })));
      await primary.waitForLine(new RegExp(`began wait in ${first}`));
      process.kill(first!, "SIGTERM");
      await ready(3);
      for (const id of ids) {
        const ended = await conductor.waitForWorkflow(id, { timeoutMs: 15_000 });
        expect(ended.tasks).toHaveLength(1);
      }
      expect(lines(primary, "a worker process has ended")[0]).toMatchObject({ reason: "stopped", childPid: first });
    }));

  test("one /metrics, /livez, /readyz and /status for all; a process that hangs costs only its own gauges", () =>
    withSupervisor(
      { args: ["--processes", "2", "--admin-port", "0"] },
      async ({ conductor, task, ready, adminUrl }) => {
        const [first, second] = await ready(2);
        const url = await adminUrl();
        const get = async (path: string) => {
          const response = await fetch(url + path);
          return { status: response.status, text: await response.text() };
        };
        const ids = await Promise.all(Array.from({ length: 30 }, () => task({ ms: 50 })));
        for (const id of ids) await conductor.waitForWorkflow(id, { timeoutMs: 15_000 });
        const count = (text: string, place: number) =>
          Number(
            new RegExp(`^task_execution_started_total\\{.*process="${place}".*\\} (\\d+)$`, "m").exec(text)?.[1] ?? "0",
          );
        const before = (await get("/metrics")).text;
        expect(count(before, 0) + count(before, 1)).toBe(30);
        expect((await get("/livez")).status).toBe(200);
        await waitFor(async () => (await get("/readyz")).status === 200, { what: "readyz" });

        process.kill(second!, "SIGSTOP");
        try {
          const startedAt = performance.now();
          const during = (await get("/metrics")).text;
          expect(performance.now() - startedAt).toBeLessThan(2_000);
          expect(count(during, 0) + count(during, 1)).toBe(30);
          expect((await get("/livez")).status).toBe(200);
        } finally {
          process.kill(second!, "SIGCONT");
        }
        process.kill(first!, "SIGKILL");
        await ready(3);
        const after = (await get("/metrics")).text;
        for (const place of [0, 1])
          expect(count(after, place), "a counter goes on over a restart").toBe(count(before, place));
        expect(after).toContain('worker_restart_total{reason="killed"} 1');
        const { processes } = JSON.parse((await get("/status")).text) as { processes: { state: string }[] };
        expect(processes.map(({ state }) => state)).toEqual(["ready", "ready"]);
      },
    ));
});
