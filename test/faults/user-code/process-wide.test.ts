import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import { misbehaving } from "../../support/faults/misbehaving-worker.js";
import { startProcessWorld } from "../../support/faults/process-world.js";
import { startTcpProxy } from "../../support/network/tcp-proxy.js";
import { waitFor } from "../../support/time/wait-for.js";

const group = "User code";

describe.concurrent("errors that nobody catches", () => {
  for (const [variant, mode, kind] of [
    ["an unhandled rejection", "rejects", "unhandledRejection"],
    ["a throw from a timer", "throwsLater", "uncaughtException"],
  ] as const) {
    fault(
      {
        number: 28,
        group,
        name: "an error that nobody catches",
        variant,
        boundMs: 3_000,
        guard: "what is in flight is ended before the process",
      },
      async (run) => {
        const world = await startProcessWorld(run);
        const proxy = await startTcpProxy(new URL(world.conductor.serverUrl).origin);
        run.onEnd(() => proxy.close());
        const serverUrl = `${proxy.url}/api`;
        const first = await world.startWorker(
          ...misbehaving({ name: "first", logs: true, serverUrl, longPollMs: 3_000 }),
        );
        // A retry is on its way to the poll it still has when its failures are acknowledged.
        proxy.delay(150);
        const neighbours = await world.begin(3, { mode: "slow", data: 8_000 });
        await world.began(3);
        const ids = await world.begin(1, { mode });
        // The errors come within a second, and what is in flight may take 5 s.
        expect(await first.waitForExit(8_000)).toEqual({ code: 1, signal: null });
        expect(first.output).toContain(kind);
        expect(first.output).toContain("nobody catches this");
        await world.startWorker(...misbehaving({ name: "second" }));
        run.injected();
        await run.worksAgain(world);
        for (const { tasks } of await world.done([...ids, ...neighbours], 20_000)) {
          expect(tasks[0]?.status).toBe("FAILED");
          expect(tasks[0]?.reasonForIncompletion).toContain(`the worker process had an ${kind}`);
        }
        return "It was logged. Its task and those beside it were reported failed (retryable), what its poll still brought was handed back, and the process ended with code 1. The next one ran the retries.";
      },
    );
  }
});

describe.concurrent("a function that computes", () => {
  fault(
    {
      number: 29,
      group,
      name: "a function blocks the event loop for 10 s",
      variant: "neighbours have 5 s",
      boundMs: 3_000,
      guard: "late results are kept, and the block is named",
    },
    async (run) => {
      const world = await startProcessWorld(run, {
        taskTypes: { heavy: {} },
        taskDef: { responseTimeoutSeconds: 5 },
        mayTimeOut: "no lease can be extended while the event loop is blocked for longer than it lasts",
      });
      const worker = await world.startWorker(
        ...misbehaving({ otherType: "heavy", executionTimeoutMs: 60_000, logs: true }),
      );
      const neighbours = await world.begin(4, { mode: "slow", data: 3_000 });
      await world.began(4);
      const heavy = await world.begin(1, { mode: "block", data: 10_000 }, "heavy");
      await world.began(5);
      const meanwhile = await world.begin(4);
      const entered = () =>
        worker.events.filter(({ name, fields }) => name === "taskExecuted" && fields.taskType === "heavy");
      await waitFor(() => entered().length > 0, { boundMs: 15_000, what: "the block to end" });
      run.injected();
      await run.worksAgain(world);
      const ended = await world.done([...neighbours, ...meanwhile, ...heavy], 20_000);
      for (const { tasks } of ended) expect(tasks.length, "attempts").toBeLessThanOrEqual(2);
      await worker.waitForLine(/the event loop was blocked for (9|10|11)\d{3} ms \(the function entered last: heavy\)/);
      return "The server had timed the neighbours out; their retries ran once, and every workflow completed. The log names the block, how long it was, and the task type.";
    },
  );

  fault(
    {
      number: 29,
      group,
      name: "a function blocks the event loop for 10 s",
      variant: "neighbours have 30 s",
      boundMs: 3_000,
      guard: "late results are kept",
    },
    async (run) => {
      const world = await startProcessWorld(run, { taskTypes: { heavy: {} }, taskDef: { responseTimeoutSeconds: 30 } });
      const worker = await world.startWorker(...misbehaving({ otherType: "heavy", executionTimeoutMs: 60_000 }));
      const neighbours = await world.begin(4, { mode: "slow", data: 3_000 });
      await world.began(4);
      const heavy = await world.begin(1, { mode: "block", data: 10_000 }, "heavy");
      await world.began(5);
      const meanwhile = await world.begin(4);
      const isOver = () =>
        worker.events.some(({ name, fields }) => name === "taskExecuted" && fields.taskType === "heavy");
      await waitFor(isOver, { boundMs: 15_000, what: "the block to end" });
      run.injected();
      await run.worksAgain(world);
      for (const { tasks } of await world.done([...neighbours, ...meanwhile, ...heavy])) expect(tasks).toHaveLength(1);
      return "Results that were finished meanwhile were accepted; nothing ran again.";
    },
  );
});
