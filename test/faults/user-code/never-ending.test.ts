import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import { eventsOf, sleep, taskIdsOf, until } from "../../support/faults/helpers.js";

const group = "User code";
const never = () => new Promise(() => {});

describe.concurrent("functions that never settle", () => {
  for (const concurrency of [1, 10]) {
    const variant = `concurrency ${concurrency}`;
    const guard = "the deadline of a task frees its slot";
    fault({ number: 24, group, name: "a function never settles", variant, boundMs: 3_000, guard }, async (run) => {
      const world = await run.world({
        worker: {
          concurrency,
          executionTimeoutMs: 700,
          execute: ({ mode }, { retryCount }) => (mode === "hangs" && retryCount === 0 ? never() : {}),
        },
      });
      const ids = await world.begin(concurrency, { mode: "hangs" });
      await until(() => world.seen("taskStarted").length === concurrency);
      run.injected();
      await run.worksAgain(world);
      for (const { tasks } of await world.done(ids)) {
        expect(tasks.map(({ status }) => status)).toEqual(["FAILED", "COMPLETED"]);
        expect(tasks[0]?.reasonForIncompletion).toContain("executionTimeoutMs of 700 ms");
      }
      expect(world.handler.status.abandoned).toBe(concurrency);
      await until(() => world.handler.status.runners[0]?.running === 0);
      return "At its deadline of 0.7 s each was reported failed and its slot was free; the retry ran. Functions that go on are counted.";
    });
  }

  const options = {
    number: 24,
    group,
    name: "a function never settles",
    variant: "without a deadline of its own",
  } as const;
  fault({ ...options, boundMs: 3_000, guard: "a margin before the server's timeout" }, async (run) => {
    const world = await run.world({
      taskDef: { responseTimeoutSeconds: 2 },
      worker: {
        concurrency: 1,
        execute: ({ mode }, { retryCount }) => (mode === "hangs" && retryCount === 0 ? never() : {}),
      },
    });
    const ids = await world.begin(1, { mode: "hangs" });
    await until(() => world.seen("taskStarted").length === 1);
    run.injected();
    await run.worksAgain(world);
    const [workflow] = await world.done(ids);
    const { status, reasonForIncompletion, startTime, endTime } = workflow!.tasks[0]!;
    expect(status).toBe("FAILED");
    expect(reasonForIncompletion).toContain("responseTimeoutSeconds of 2 s");
    expect(endTime - startTime, "ms until it was reported").toBeLessThan(2_000);
    return "It was reported failed before the response timeout of 2 s, and not timed out by the server.";
  });
});

describe.concurrent("functions that ignore their abort signal", () => {
  const name = "a function ignores its abort signal";

  fault(
    {
      number: 25,
      group,
      name,
      variant: "at its deadline",
      boundMs: 3_000,
      guard: "an ended task's function is not waited for",
    },
    async (run) => {
      let isAborted = false;
      const world = await run.world({
        worker: {
          concurrency: 1,
          executionTimeoutMs: 500,
          execute: async ({ mode }, { signal, retryCount }) => {
            if (mode !== "ignores" || retryCount > 0) return {};
            await sleep(4_000);
            isAborted = signal.aborted;
            return { late: true };
          },
        },
      });
      const ids = await world.begin(1, { mode: "ignores" });
      await until(() => world.seen("taskStarted").length === 1);
      run.injected();
      await run.worksAgain(world);
      await world.done(ids);
      await until(() => world.seen("taskAbandoned").length === 1);
      expect(world.handler.status.abandoned).toBe(1);
      await until(() => world.handler.status.abandoned === 0);
      expect(isAborted).toBe(true);
      const [taskId = ""] = await taskIdsOf(world, ids);
      const updates = (await world.conductor.ledger()).filter(
        (entry) => entry.kind === "update" && entry.taskId === taskId,
      );
      expect(updates, "what was told about the task").toMatchObject([{ status: "FAILED" }]);
      return "Its task was reported failed, its slot was free, and it was counted as abandoned until it ended; what it brought was dropped.";
    },
  );

  fault(
    { number: 25, group, name, variant: "when the worker stops", boundMs: 3_000, guard: "the drain has a deadline" },
    async (run) => {
      const world = await run.world({
        worker: {
          concurrency: 2,
          execute: async ({ mode }, { pollCount }) => {
            if (mode === "ignores" && pollCount === 1) await sleep(4_000);
            return { pollCount };
          },
        },
      });
      const ids = await world.begin(2, { mode: "ignores" });
      await until(() => world.seen("taskStarted").length === 2);
      const stopAt = performance.now();
      await world.handler.stop({ drainTimeoutMs: 500 });
      expect(performance.now() - stopAt, "ms that the stop took").toBeLessThan(2_500);
      for (const taskId of await taskIdsOf(world, ids)) {
        expect(eventsOf(world, "taskHandedBack", taskId)).toMatchObject([{ fields: { reason: "stopping" } }]);
      }
      await world.handler.start();
      run.injected();
      await run.worksAgain(world);
      const ended = await world.done(ids);
      expect(ended.map(({ tasks }) => tasks.map(({ outputData }) => outputData))).toEqual([
        [{ pollCount: 2 }],
        [{ pollCount: 2 }],
      ]);
      return "The stop ended at its deadline. The tasks went back to the queue after their signal had aborted, and ran again after the start.";
    },
  );
});
