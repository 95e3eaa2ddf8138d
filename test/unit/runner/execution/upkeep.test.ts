import { describe, expect, test } from "vitest";
import type { TaskStatus } from "../../../../src/conductor/types.js";
import type { WorkerConfig } from "../../../../src/config/types.js";
import { TaskCancelledError, TaskDeadlineError } from "../../../../src/worker/errors.js";
import { silentLogger } from "../../../support/log/loggers.js";
import {
  answered,
  createScriptedWorld,
  failed,
  never,
  parse,
  record,
  refused,
  type Script,
  lostAnswer,
} from "../../../support/unit/runner.js";
import { workerConfig } from "../../../support/unit/runner-world.js";

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

describe("the upkeep of running tasks", () => {
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

  describe("while the server is away", () => {
    const TASKS = 50;

    test("many leases make few requests and few lines, and all are extended as soon as it is back", async () => {
      const attemptedAt: number[] = [];
      const lines: string[] = [];
      const isAway = () => world.clock.now() >= 4_000 && world.clock.now() < 64_000;
      const world = createScriptedWorld(
        [workerConfig("t", () => world.sleep(90_000), { concurrency: TASKS, executionTimeoutMs: 120_000 })],
        (model) => ({
          update: (taskId, body) => {
            attemptedAt.push(world.clock.now());
            return model.update(taskId, body);
          },
        }),
        { log: { ...silentLogger, warn: (_fields: object, message: string) => lines.push(message) } },
      );
      const extendedAt: number[] = [];
      world.events.on("leaseExtended", () => extendedAt.push(world.clock.now()));
      world.server.fate = () => (isAway() ? "notSent" : "ok");
      for (let i = 0; i < TASKS; i += 1) world.server.push(`t${i}`, "t", { responseTimeoutSeconds: 10 });
      world.group.start();
      await world.clock.advanceAsync(68_000);
      // All find out together; from then on one request at a time asks for all, two a second while leases end.
      const whileAway = attemptedAt.filter((at) => at >= 4_000 && at < 64_000);
      expect(whileAway.length).toBeGreaterThanOrEqual(TASKS);
      expect(whileAway.length).toBeLessThan(2 * TASKS);
      expect(attemptedAt.filter((at) => at > 6_000 && at < 10_000).length).toBeGreaterThanOrEqual(6);
      expect(lines.filter((line) => line.includes("lease")).length).toBeLessThan(5);
      expect(extendedAt.filter((at) => at >= 64_000 && at < 67_000)).toHaveLength(TASKS);
      await world.clock.advanceAsync(30_000);
      expect(world.server.count("COMPLETED")).toBe(TASKS);
    });

    test("a lease that would end is tried for until its end, and all that wait are extended when that gets through", async () => {
      const world = createScriptedWorld(
        [workerConfig("t", () => world.sleep(30_000), { concurrency: TASKS, executionTimeoutMs: 120_000 })],
        () => ({}),
      );
      const extendedAt: number[] = [];
      world.events.on("leaseExtended", () => extendedAt.push(world.clock.now()));
      // By then one request in two seconds is made for everybody, and the next would come too late.
      world.server.fate = () => (world.clock.now() >= 1_500 && world.clock.now() < 9_300 ? "notSent" : "ok");
      for (let i = 0; i < TASKS; i += 1) world.server.push(`t${i}`, "t", { responseTimeoutSeconds: 10 });
      world.group.start();
      await world.clock.advanceAsync(12_000);
      expect(extendedAt.filter((at) => at >= 9_300 && at < 10_000)).toHaveLength(TASKS);
    });

    test("a lease that is over is extended with the whole request timeout: there is nothing left to hurry for", async () => {
      const attempts: { readonly at: number; readonly deadlineMs: number }[] = [];
      const { world } = createLeaseWorld(60_000, { executionTimeoutMs: 120_000 }, {
      update: async (taskId, body, deadlineMs) => {
        if (parse(body).extendLease === true) attempts.push({ at: world.clock.now(), deadlineMs: deadlineMs! });
        await world.sleep(1);
        return world.clock.now() < 20_000 ? failed("notSent", "CONNECT_FAILED") : world.server.update(taskId, body);
      },
    }); // prettier-ignore
      world.server.push("a", "t", { responseTimeoutSeconds: 4 });
      await world.clock.advanceAsync(25_000);
      const late = attempts.filter(({ at }) => at > 4_000 && at <= 20_500);
      expect(late.length).toBeGreaterThan(0);
      expect(late.map(({ deadlineMs }) => deadlineMs)).toEqual(late.map(() => 10_000));
    });

    test("a result that waits is not extended any more once its lease is over: it is the next to be sent itself", async () => {
      const { world, extendedAt } = createLeaseWorld(5_000, { executionTimeoutMs: 120_000 });
      world.server.fate = () => (world.clock.now() >= 4_500 && world.clock.now() < 64_000 ? "notSent" : "ok");
      world.server.push("a", "t", { responseTimeoutSeconds: 8 });
      await world.clock.advanceAsync(12_500);
      const { length } = extendedAt;
      await world.clock.advanceAsync(55_000);
      expect(extendedAt).toHaveLength(length);
      expect(world.server.count("COMPLETED")).toBe(1);
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

    describe("of large tasks", () => {
      const MB = 1_000_000;

      /** Fifty tasks that run for long; what the looks at them read is counted. */
      function lookAt(bytesOf: (taskId: string) => number) {
        const TASKS = 50;
        const looks: string[] = [];
        const signals: AbortSignal[] = [];
        const warnings: string[] = [];
        const log = { ...silentLogger, warn: (_fields: object, text: string) => void warnings.push(text) };
        const world = createScriptedWorld(
          [
            workerConfig(
              "t",
              (_input, ctx) => {
                signals.push(ctx.signal);
                return never();
              },
              { concurrency: TASKS, executionTimeoutMs: 36_000_000 },
            ),
          ],
          (model) => ({
            get: (taskId, maxBodyBytes) => {
              looks.push(taskId);
              return model.get(taskId, maxBodyBytes);
            },
          }),
          { log },
        );
        for (let i = 0; i < TASKS; i += 1) world.server.push(`t${i}`, "t", { responseTimeoutSeconds: 36_000 });
        world.group.start();
        const start = async () => {
          await world.clock.advanceAsync(2_000);
          expect(signals).toHaveLength(TASKS);
          world.server.bytesOf = bytesOf;
          world.server.bytesRead = 0;
        };
        return { world, looks, signals, warnings, start };
      }

      test("they read so many bytes a second together, and one that was cancelled is found out all the same", async () => {
        const { world, signals, start } = lookAt(() => 2.2 * MB);
        await start();
        await world.clock.advanceAsync(40_000);
        expect(world.server.bytesRead).toBeLessThan(40 * 0.27 * MB);
        world.server.bytesRead = 0;
        await world.clock.advanceAsync(3_600_000);
        expect(world.server.bytesRead).toBeLessThan(3_600 * 0.27 * MB);
        expect(world.server.bytesRead).toBeGreaterThan(50 * 2.2 * MB);
        for (const known of world.server.tasks.values()) known.status = "FAILED";
        await world.clock.advanceAsync(1_800_000);
        expect(signals.every(({ aborted }) => aborted)).toBe(true);
      });

      test("small ones are looked up as often as ever", async () => {
        const { world, looks, start } = lookAt((taskId) => (taskId === "t0" ? 2_000 : 2.2 * MB));
        await start();
        looks.length = 0;
        await world.clock.advanceAsync(100_000);
        const ofSmall = looks.filter((taskId) => taskId === "t0").length;
        expect(ofSmall).toBeGreaterThanOrEqual(9);
        expect(looks.length - ofSmall).toBeLessThan(49 * 3);
      });

      test("one that is larger than there can be is not looked up any more, which is said once", async () => {
        const { world, looks, warnings, start } = lookAt(() => 30 * MB);
        await start();
        await world.clock.advanceAsync(36_000_000 - 10_000);
        expect(looks.length).toBe(50 * 4);
        // Once, and then in a summary a minute at most.
        expect(warnings.filter((text) => text.includes("too large to be looked up")).length).toBeLessThan(50);
        expect(warnings[0]).toContain("too large to be looked up");
      });
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

  test.each([
    ["403", refused(403, "no access")],
    ["500", refused(500, "boom")],
    ["409", refused(409, "conflict")],
  ])(
    "extensions that are refused for what they are (%s) come less and less often, though the gate is open",
    async (_name, reply) => {
      const TASKS = 50;
      let attempts = 0;
      const world = createScriptedWorld(
        [workerConfig("t", () => world.sleep(100_000), { concurrency: TASKS, executionTimeoutMs: 110_000 })],
        (model) => ({
          update: async (taskId, body) => {
            if (parse(body).extendLease !== true) return model.update(taskId, body);
            attempts += 1;
            await world.sleep(2);
            return reply;
          },
        }),
      );
      for (let i = 0; i < TASKS; i += 1) world.server.push(`t${i}`, "t", { responseTimeoutSeconds: 10 });
      world.group.start();
      await world.clock.advanceAsync(65_000);
      expect(attempts / TASKS).toBeGreaterThan(3);
      expect(attempts / TASKS).toBeLessThan(24);
    },
  );

  test("Retry-After in the answer to an extension or a look is obeyed by each errand that got one", async () => {
    const limited = { ...refused(429, undefined, { retryAfterMs: 20_000 }) };
    const sentAt: number[] = [];
    let isLimited = false;
    const say = async () => {
      isLimited = true;
      sentAt.push(world.clock.now());
      await world.sleep(1);
      return limited;
    };
    const world = createScriptedWorld(
      [workerConfig("t", () => world.sleep(60_000), { executionTimeoutMs: 100_000, concurrency: 2 })],
      (model) => ({ get: say, update: say, pollBatch: (request) => (isLimited ? say() : model.pollBatch(request)) }),
    );
    world.server.push("a", "t", { responseTimeoutSeconds: 120 });
    world.group.start();
    await world.clock.advanceAsync(25_000);
    // One poll and one look for each of the two tasks at most.
    expect(sentAt.length).toBeLessThanOrEqual(3);
  });

  test("looks that hang are few, however many tasks run: they share a lane with the results", async () => {
    let looks = 0;
    let most = 0;
    const world = createScriptedWorld(
      [workerConfig("t", () => world.sleep(50_000), { concurrency: 300, executionTimeoutMs: 100_000 })],
      () => ({
        get: async () => {
          most = Math.max(most, ++looks);
          await world.sleep(10_000);
          looks -= 1;
          return failed("maybeApplied", "DEADLINE_EXCEEDED");
        },
      }),
    );
    for (let i = 0; i < 300; i += 1) world.server.push(`t${i}`, "t");
    world.group.start();
    await world.clock.advanceAsync(40_000);
    expect(most).toBeGreaterThan(4);
    expect(most).toBeLessThanOrEqual(16);
  });

  test("a running task survives a 404 that is not Conductor's, met by its lease", async () => {
    let extensions = 0;
    const world = createScriptedWorld(
      [workerConfig("t", () => world.sleep(8_000), { executionTimeoutMs: 30_000 })],
      (model) => ({
        update: (taskId, body) => {
          if (parse(body).extendLease !== true) return model.update(taskId, body);
          extensions += 1;
          return Promise.resolve(extensions === 1 ? refused(404) : answered<true>(true));
        },
      }),
    );
    world.group.start();
    world.server.push("a", "t", { responseTimeoutSeconds: 10 });
    await world.clock.advanceAsync(20_000);
    expect(world.server.count("COMPLETED")).toBe(1);
  });

  test("a cancellation check that hangs does not cost the lease", async () => {
    const extendedAt: number[] = [];
    const world = createScriptedWorld(
      [workerConfig("t", () => world.sleep(60_000), { executionTimeoutMs: 120_000 })],
      (model) => ({
        get: async () => {
          await world.sleep(10_000);
          return lostAnswer();
        },
        update: async (taskId, body) => {
          if (parse(body).extendLease !== true) return model.update(taskId, body);
          extendedAt.push(world.clock.now());
          await world.sleep(1);
          return answered<true>(true);
        },
      }),
    );
    world.group.start();
    world.server.push("a", "t", { responseTimeoutSeconds: 6 });
    await world.clock.advanceAsync(50_000);
    const gaps = extendedAt.map((at, index) => at - (extendedAt[index - 1] ?? 0));
    expect(Math.max(...gaps)).toBeLessThan(6_000);
  });

  test("polls that are told to wait for long do not cost the lease of what runs", async () => {
    const extendedAt: number[] = [];
    const world = createScriptedWorld(
      [workerConfig("t", () => world.sleep(60_000), { executionTimeoutMs: 120_000, concurrency: 2 })],
      (model) => ({
        pollBatch: async (request) => {
          if (world.clock.now() < 1_000) return model.pollBatch(request);
          await world.sleep(1);
          return refused(429, undefined, { retryAfterMs: 30_000 });
        },
        update: async (taskId, body) => {
          if (parse(body).extendLease !== true) return model.update(taskId, body);
          extendedAt.push(world.clock.now());
          await world.sleep(1);
          return answered<true>(true);
        },
      }),
    );
    world.group.start();
    world.server.push("a", "t", { responseTimeoutSeconds: 10 });
    await world.clock.advanceAsync(50_000);
    const gaps = [...extendedAt, 50_000].map((at, index) => at - (extendedAt[index - 1] ?? 0));
    expect(Math.max(...gaps)).toBeLessThan(10_000);
  });
});
