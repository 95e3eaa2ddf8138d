import { describe, expect, test } from "vitest";
import type { TaskStatus } from "../../../src/conductor/types.js";
import type { WorkerConfig } from "../../../src/config/types.js";
import { TaskCancelledError, TaskDeadlineError } from "../../../src/worker/errors.js";
import { workerConfig } from "../../support/runner-world.js";
import { answered, createScriptedWorld, never, parse, record, refused, type Script } from "./support.js";

/** One task whose function takes `ms`; `extendedAt` has the times, since the task came, of its lease extensions. */
function createLeaseWorld(ms: number, worker: Partial<WorkerConfig>, more: Partial<ReturnType<Script>> = {}) {
  const extendedAt: number[] = [];
  const signals: AbortSignal[] = [];
  let beganAt = 0;
  const world = createScriptedWorld(
    [
      workerConfig("t", async (_input, ctx) => {
        signals.push(ctx.signal);
        beganAt = world.clock.now();
        await world.sleep(ms);
        return {};
      }, worker), // prettier-ignore
    ],
    (model) => ({
      update: (taskId, body) => {
        if (parse(body).extendLease !== true) return model.update(taskId, body);
        extendedAt.push(world.clock.now() - beganAt);
        return model.update(taskId, body);
      },
      ...more,
    }),
  );
  world.group.start();
  return { world, extendedAt, signals };
}

describe("the lease", () => {
  test("is extended at half of the response timeout, again and again, until the function ends", async () => {
    const { world, extendedAt } = createLeaseWorld(23_000, { executionTimeoutMs: 60_000 });
    const extended = record(world, "leaseExtended");
    world.server.push("a", "t", { responseTimeoutSeconds: 10 });
    await world.clock.advanceAsync(40_000);
    expect(extendedAt.map(Math.round)).toEqual([5_000, 10_000, 15_000, 20_000]);
    expect(extended).toHaveLength(4);
    expect(world.server.count("COMPLETED")).toBe(1);
    expect(world.clock.pendingTimers).toBeLessThanOrEqual(2); // the loop's slice and a held poll
  });

  test.each([{ executionTimeoutMs: 7_500 }, { executionTimeoutMs: 100 }, {}])(
    "is left alone for a deadline within the response timeout (%j)",
    async (worker) => {
      const { world, extendedAt } = createLeaseWorld(1e9, worker);
      world.server.push("a", "t", { responseTimeoutSeconds: 10 });
      await world.clock.advanceAsync(40_000);
      expect(extendedAt).toEqual([]);
      expect(world.server.count("FAILED")).toBe(1);
    },
  );

  test("is extended for a deadline so short of the response timeout that a report might come late", async () => {
    const { world, extendedAt } = createLeaseWorld(1e9, { executionTimeoutMs: 9_000 });
    world.server.push("a", "t", { responseTimeoutSeconds: 10 });
    await world.clock.advanceAsync(40_000);
    expect(extendedAt.map(Math.round)).toEqual([5_000]);
  });

  test("an attempt that failed is repeated soon", async () => {
    let extensions = 0;
    const { world, extendedAt } = createLeaseWorld(9_000, { executionTimeoutMs: 60_000 });
    world.server.fate = (request) => (request === "update" && ++extensions <= 3 ? "serverError" : "ok");
    world.server.push("a", "t", { responseTimeoutSeconds: 10 });
    await world.clock.advanceAsync(20_000);
    expect(extendedAt.length).toBeGreaterThanOrEqual(4);
    expect(extendedAt[3]! - extendedAt[0]!).toBeLessThan(3_000);
    expect(world.server.count("COMPLETED")).toBe(1);
  });

  test("each attempt gets less time than is left", async () => {
    const deadlines: number[] = [];
    const { world } = createLeaseWorld(1e9, { executionTimeoutMs: 60_000 }, {
      update: async (_taskId, _body, deadlineMs) => {
        deadlines.push(deadlineMs!);
        await world.sleep(1);
        return refused(500, "boom");
      },
    }); // prettier-ignore
    world.server.push("a", "t", { responseTimeoutSeconds: 10 });
    await world.clock.advanceAsync(9_000);
    expect(deadlines[0]).toBeCloseTo(2_500, -1);
    for (const [index, deadline] of deadlines.entries())
      expect(deadline).toBeLessThanOrEqual(deadlines[index - 1] ?? 10_000);
    expect(Math.min(...deadlines)).toBeGreaterThanOrEqual(500);
  });

  test("stops at the deadline, which is kept though the server is silent", async () => {
    const { world, extendedAt } = createLeaseWorld(1e9, { executionTimeoutMs: 20_000 });
    world.server.push("a", "t", { responseTimeoutSeconds: 10 });
    await world.clock.advanceAsync(120_000);
    expect(Math.max(...extendedAt)).toBeLessThan(20_000);
    expect(world.server.updates).toMatchObject([
      { status: "FAILED", reasonForIncompletion: "the deadline has passed: executionTimeoutMs of 20000 ms" },
    ]);
  });

  test("goes on while the result waits to be delivered", async () => {
    const { world, extendedAt } = createLeaseWorld(2_000, { executionTimeoutMs: 60_000 }, {
      update: async (taskId, body) => {
        await world.sleep(1);
        if (parse(body).extendLease === true) extendedAt.push(world.clock.now());
        else if (world.clock.now() < 25_000) return refused(500, "boom", { retryable: true });
        else return world.server.update(taskId, body);
        return answered<true>(true);
      },
    }); // prettier-ignore
    world.server.push("a", "t", { responseTimeoutSeconds: 10 });
    await world.clock.advanceAsync(24_000);
    expect(world.group.status).toMatchObject({ resultsWaiting: 1, runners: [{ running: 0 }] });
    expect(extendedAt.length).toBeGreaterThanOrEqual(4);
    await world.clock.advanceAsync(10_000);
    expect(world.server.count("COMPLETED")).toBe(1);
    const { length } = extendedAt;
    await world.clock.advanceAsync(60_000);
    expect(extendedAt).toHaveLength(length);
  });
});

describe("a cancellation", () => {
  test.each<TaskStatus>(["CANCELED", "TIMED_OUT", "FAILED", "COMPLETED", "SKIPPED"])(
    "(%s) is found out within ten seconds, and its slot is free",
    async (status) => {
      const { world, signals } = createLeaseWorld(1e9, {});
      const moot = record(world, "taskMoot");
      world.server.push("a", "t");
      await world.clock.advanceAsync(15_000);
      expect(signals[0]!.aborted).toBe(false);
      world.server.tasks.get("a")!.status = status as never;
      await world.clock.advanceAsync(10_100);
      expect(signals[0]!.reason).toBeInstanceOf(TaskCancelledError);
      expect((signals[0]!.reason as Error).message).toContain(status);
      expect(moot).toMatchObject([{ taskId: "a" }]);
      expect(world.server.updates).toEqual([]);
      expect(world.group.status).toMatchObject({ inFlight: 0, abandoned: 1, runners: [{ running: 0 }] });
    },
  );

  test("is also that the server does not know the task any more", async () => {
    const { world, signals } = createLeaseWorld(1e9, {});
    world.server.push("a", "t");
    await world.clock.advanceAsync(1_000);
    world.server.tasks.delete("a");
    await world.clock.advanceAsync(11_000);
    expect(signals[0]!.reason).toBeInstanceOf(TaskCancelledError);
  });

  test("is not what a proxy's 404 or a broken look says", async () => {
    let looks = 0;
    const { world, signals } = createLeaseWorld(60_000, {}, {
      get: async () => {
        await world.sleep(1);
        looks += 1;
        return looks % 2 === 1 ? refused(404) : refused(500, "boom");
      },
    }); // prettier-ignore
    world.server.push("a", "t");
    await world.clock.advanceAsync(70_000);
    expect(looks).toBeGreaterThanOrEqual(5);
    expect(signals[0]!.aborted).toBe(false);
    expect(world.server.count("COMPLETED")).toBe(1);
  });

  test("tasks that end soon are never looked up", async () => {
    let looks = 0;
    const { world } = createLeaseWorld(4_900, {}, {
      get: () => {
        looks += 1;
        return never();
      },
    }); // prettier-ignore
    world.server.push("a", "t");
    await world.clock.advanceAsync(30_000);
    expect(looks).toBe(0);
  });

  test("while a look hangs the deadline is kept, and no timer runs hot", async () => {
    const { world, signals } = createLeaseWorld(1e9, { executionTimeoutMs: 30_000 }, { get: never });
    world.server.push("a", "t");
    let timers = 0;
    const setTimer = world.clock.setTimer.bind(world.clock);
    world.clock.setTimer = (callback, delayMs) => {
      timers += 1;
      return setTimer(callback, delayMs);
    };
    await world.clock.advanceAsync(40_000);
    expect(signals[0]!.reason).toBeInstanceOf(TaskDeadlineError);
    expect(timers).toBeLessThan(1_000); // the model's own, ten a second, included
    expect(world.group.status.runners[0]!.running).toBe(0);
  });
});
