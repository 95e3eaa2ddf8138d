import { describe, expect, test } from "vitest";
import { isAlive, lines, WORKER, withSupervisor } from "../../support/supervisor/with-supervisor.js";
import { waitFor } from "../../support/time/wait-for.js";

describe("stopping the supervisor", () => {
  test("SIGTERM with tasks in flight in two processes: each is finished, exit 0", () =>
    withSupervisor({ args: ["--processes", "2"] }, async ({ conductor, primary, task, ready }) => {
      await ready(2);
      const ids = await Promise.all(Array.from({ length: 12 }, () => task({ ms: 1_500 })));
      await waitFor(() => primary.stdout.filter((line) => line.startsWith("began")).length === 12, {
        what: "12 to run",
      });
      primary.signal("SIGTERM");
      expect(await primary.waitForExit(15_000)).toEqual({ code: 0, signal: null });
      expect(primary.stdout.filter((line) => line.startsWith("ran to the end"))).toHaveLength(2);
      for (const id of ids) expect((await conductor.workflow(id)).status).toBe("COMPLETED");
    }));

  test("Ctrl-C, which reaches all at once, is one request; two seconds later the drain is cut short", () =>
    withSupervisor({ args: ["--processes", "2"] }, async ({ conductor, primary, task, ready }) => {
      await ready(2);
      const ids = await Promise.all([task({ ms: 3_600_000 }), task({ ms: 3_600_000 })]);
      await waitFor(() => primary.stdout.filter((line) => line.startsWith("began")).length === 2, { what: "2 to run" });
      const pressed = performance.now();
      process.kill(-primary.pid, "SIGINT");
      await waitFor(() => lines(primary, "stopping: no further polls").length === 2, { what: "both to drain" });
      process.kill(-primary.pid, "SIGINT");
      await waitFor(() => performance.now() - pressed > 2_200, { what: "2.2 s" });
      expect(primary.running).toBe(true);
      process.kill(-primary.pid, "SIGINT");
      expect(await primary.waitForExit(15_000)).toEqual({ code: 0, signal: null });
      for (const id of ids) {
        const [only, ...more] = (await conductor.workflow(id)).tasks ?? [];
        expect(only?.status).toBe("SCHEDULED");
        expect(more).toEqual([]);
      }
    }));

  test("a process that something else holds after its drain is killed; all is drained, so the exit code is 0", () => {
    const script = `
    import { TaskHandler, defineWorker } from "ostinato";
    const worker = defineWorker({ taskDefName: "work", execute: () => ({}) });
    await new TaskHandler({ workers: [worker] }).start();
    setInterval(() => {}, 1000);
  `;
    return withSupervisor({ script }, async ({ primary, ready }) => {
      const [first] = await ready(1);
      primary.signal("SIGTERM");
      expect(await primary.waitForExit(20_000)).toEqual({ code: 0, signal: null });
      expect(primary.output).toContain("something else held the process");
      expect(isAlive(first!)).toBe(false);
    });
  });

  test("what a script closes on SIGTERM it closes when all is drained", () => {
    const script = `
    import { createServer } from "node:http";
    import { TaskHandler, defineWorker } from "ostinato";
    const worker = defineWorker({ taskDefName: "work", execute: () => ({}) });
    const handler = new TaskHandler({ workers: [worker] });
    await handler.start();
    const server = createServer().listen(0);
    process.on("SIGTERM", async () => {
      await handler.stop();
      server.close(() => console.log("closed"));
    });
  `;
    return withSupervisor({ script }, async ({ primary, ready }) => {
      await ready(1);
      primary.signal("SIGTERM");
      expect(await primary.waitForExit(8_000)).toEqual({ code: 0, signal: null });
      expect(primary.output).toContain("closed");
    });
  });

  test("a stderr that nobody can write to costs the supervisor nothing but lines", () => {
    const script = `
    import { TaskHandler, defineWorker } from "ostinato";
    const worker = defineWorker({ taskDefName: "work", execute: () => ({}) });
    setInterval(() => console.error("a line"), 50).unref();
    await new TaskHandler({ workers: [worker] }).run();
  `;
    return withSupervisor(
      { script, under: ["sh", "-c", 'exec "$@" 2>/dev/full', "sh"] },
      async ({ primary, ready }) => {
        await ready(1);
        await new Promise((resolve) => setTimeout(resolve, 500));
        expect(primary.running).toBe(true);
        primary.signal("SIGTERM");
        expect(await primary.waitForExit(15_000)).toEqual({ code: 0, signal: null });
      },
    );
  });

  test("a stdout that nobody can write to costs the processes nothing but lines", () => {
    // It has lost lines before it starts a handler, and its first tasks write theirs while that starts.
    const script = `
    console.log("booting");
    await new Promise((resolve) => setTimeout(resolve, 50));
    ${WORKER}
  `;
    const under = ["sh", "-c", 'exec "$@" >/dev/full', "sh"];
    return withSupervisor({ script, under }, async ({ conductor, task }) => {
      const ids = await Promise.all(Array.from({ length: 20 }, () => task({ ms: 50 })));
      for (const id of ids) {
        const { status, tasks } = await conductor.waitForWorkflow(id, { timeoutMs: 15_000 });
        expect(status).toBe("COMPLETED");
        expect(tasks).toHaveLength(1);
      }
    });
  });

  test("a terminal that closes sends SIGHUP to all of them: each task is finished, exit 0", () =>
    withSupervisor({ args: ["--processes", "2"], inTerminal: true }, async ({ conductor, primary, task, ready }) => {
      await ready(2);
      const ids = await Promise.all(Array.from({ length: 6 }, () => task({ ms: 1_500 })));
      await waitFor(() => primary.stdout.filter((line) => line.startsWith("began")).length === 6, { what: "6 to run" });
      process.kill(-(lines(primary, "running /")[0]!.pid as number), "SIGHUP");
      expect(await primary.waitForExit(15_000)).toEqual({ code: 0, signal: null });
      for (const id of ids) expect((await conductor.workflow(id)).status).toBe("COMPLETED");
    }));

  test("a terminal that closes stops it as well when its log goes through a pipe", () =>
    withSupervisor({ inTerminal: "piped" }, async ({ primary, ready }) => {
      await ready(1);
      process.kill(lines(primary, "running /")[0]!.pid as number, "SIGHUP");
      await primary.waitForExit(15_000);
      expect(lines(primary, "all processes have ended")).toHaveLength(1);
    }));

  test("SIGHUP replaces both processes, one after the other, and no task is lost or run twice", () =>
    withSupervisor({ args: ["--processes", "2"] }, async ({ conductor, primary, task, ready }) => {
      const old = await ready(2);
      const ids: string[] = [];
      let isOver = false;
      const feeding = (async () => {
        while (!isOver) {
          ids.push(await task({ ms: 60 }));
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      })();
      primary.signal("SIGHUP");
      await primary.waitForLine(/all processes are replaced/, 30_000);
      isOver = true;
      await feeding;
      for (const id of ids) {
        const ended = await conductor.waitForWorkflow(id, { timeoutMs: 15_000 });
        expect(ended.status).toBe("COMPLETED");
        expect(ended.tasks).toHaveLength(1);
      }
      expect(ids.length).toBeGreaterThan(20);
      expect(old.some(isAlive)).toBe(false);
      const events = primary.stdout.filter((line) => /a worker process (is ready|has ended)/.test(line)).slice(2);
      expect(events.map((line) => (line.includes("is ready") ? "ready" : "ended"))).toEqual([
        "ended",
        "ready",
        "ended",
        "ready",
      ]);
    }));

  test("SIGHUP with a version that does not reach the server replaces one process, until there is a better one", () =>
    withSupervisor({ args: ["--processes", "2"] }, async ({ conductor, primary, task, ready, write }) => {
      const old = await ready(2);
      write("worker.mjs", `process.env.CONDUCTOR_SERVER_URL = "http://127.0.0.1:9/api";${WORKER}`);
      primary.signal("SIGHUP");
      await primary.waitForLine(/the roll waits: the server does not answer the new process/, 30_000);
      expect(old.filter(isAlive)).toHaveLength(1);
      expect((await conductor.waitForWorkflow(await task({ ms: 1 }), { timeoutMs: 15_000 })).status).toBe("COMPLETED");
      write("worker.mjs", WORKER);
      primary.signal("SIGHUP");
      await primary.waitForLine(/all processes are replaced/, 30_000);
      expect(old.some(isAlive)).toBe(false);
      expect((await conductor.waitForWorkflow(await task({ ms: 1 }), { timeoutMs: 15_000 })).status).toBe("COMPLETED");
    }));

  test("when the primary is killed, its children finish what runs, and end", () =>
    withSupervisor({ args: ["--processes", "2"] }, async ({ conductor, primary, task, ready }) => {
      const children = await ready(2);
      const ids = await Promise.all(Array.from({ length: 8 }, () => task({ ms: 1_500 })));
      await waitFor(() => primary.stdout.filter((line) => line.startsWith("began")).length === 8, { what: "8 to run" });
      primary.signal("SIGKILL");
      expect(children.every(isAlive)).toBe(true);
      await waitFor(() => !children.some(isAlive), { boundMs: 15_000, what: "the children to end" });
      for (const id of ids) {
        const ended = await conductor.workflow(id);
        expect(ended.status).toBe("COMPLETED");
        expect(ended.tasks).toHaveLength(1);
      }
    }));

  test("a process that cannot drain, for it is stuck, is killed at the deadline, and the exit code says so", () =>
    withSupervisor({ args: ["--drain-timeout-ms", "500"] }, async ({ primary, task, ready }) => {
      const [first] = await ready(1);
      await task({ act: "spin" });
      await primary.waitForLine(/began spin/);
      primary.signal("SIGTERM");
      expect(await primary.waitForExit(20_000)).toEqual({ code: 1, signal: null });
      expect(primary.output).toContain("its drain had not ended in time");
      expect(isAlive(first!)).toBe(false);
    }));
});
