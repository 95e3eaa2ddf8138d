import { describe, expect, test, vi } from "vitest";
import { TaskStoppingError } from "../../../src/worker/errors.js";
import { createScriptedWorld, drain, never, parse, record } from "../../support/unit/runner.js";
import { createWorld, workerConfig } from "../../support/unit/runner-world.js";

describe("draining a runner group", () => {
  test("an idle worker stops as soon as its poll has returned", async () => {
    const world = createWorld([workerConfig("t", () => ({}))]);
    world.group.start();
    await world.clock.advanceAsync(500);
    const report = await drain(world);
    expect(report).toMatchObject({ abandoned: 0, leftInFlight: 0 });
    expect(report.tookMs).toBeLessThan(2_100);
    expect(world.clock.pendingTimers).toBe(0);
    const { requests } = world.server;
    await world.clock.advanceAsync(60_000);
    expect(world.server.requests).toBe(requests);
  });

  test("what runs may finish, and the drain ends with it", async () => {
    const world = createWorld([workerConfig("t", () => world.sleep(5_000), { concurrency: 3 })]);
    world.group.start();
    for (const id of ["a", "b", "c", "d"]) world.server.push(id, "t");
    await world.clock.advanceAsync(1_000);
    const report = await drain(world);
    expect(report.tookMs).toBeLessThan(5_000);
    expect({ done: world.server.count("COMPLETED"), waiting: world.server.count("SCHEDULED") }).toEqual({
      done: 3,
      waiting: 1,
    });
    expect(world.clock.pendingTimers).toBe(0);
  });

  test("what a poll under way still brings is handed back", async () => {
    const world = createWorld([workerConfig("t", () => ({}))]);
    const handedBack = record(world, "taskHandedBack");
    world.group.start();
    await world.clock.advanceAsync(500);
    const draining = world.group.drain(25_000);
    world.server.push("a", "t");
    await world.clock.advanceAsync(3_000);
    await draining;
    expect(handedBack).toMatchObject([{ taskId: "a", reason: "stopping" }]);
    expect(world.server.count("SCHEDULED")).toBe(1);
  });

  describe("while an answer is missing", () => {
    /** A task was handed out in an answer that is lost as the drain begins. */
    function loseAndDrain(worker: object = {}) {
      const world = createWorld([workerConfig("t", () => ({}), worker)]);
      let isFirst = true;
      world.server.fate = (request) => {
        if (request !== "poll" || !isFirst) return "ok";
        isFirst = false;
        return "lostAnswer";
      };
      world.server.push("a", "t", { responseTimeoutSeconds: 3_600 });
      world.group.start();
      return world;
    }
    const owed = [{ taskType: "t", domain: undefined, workerId: "w", isUnique: true, leftNothing: true }];

    test("it is searched for, and what was in it goes back", async () => {
      const world = loseAndDrain();
      const handedBack = record(world, "taskHandedBack");
      await world.clock.advanceAsync(100);
      const report = await drain(world);
      expect(report).toMatchObject({ leftInFlight: 0, givenUp: 0, owed: [] });
      expect(report.tookMs).toBeLessThan(10_000);
      expect(handedBack).toMatchObject([{ taskId: "a", reason: "lost" }]);
      expect(world.server.count("SCHEDULED")).toBe(1);
      expect(world.clock.pendingTimers).toBe(0);
    });

    test.each([0, 1_000, 3_000])("a drain of %i ms keeps its deadline, and tells what it owes", async (drainMs) => {
      const world = loseAndDrain();
      await world.clock.advanceAsync(100);
      const report = await drain(world, drainMs);
      expect(report.owed).toEqual(owed);
      expect(report.tookMs).toBeLessThan(drainMs + 3_200);
      expect(world.clock.pendingTimers).toBe(0);
    });

    test("a server that stays away is not waited for until the deadline", async () => {
      const world = loseAndDrain();
      await world.clock.advanceAsync(100);
      world.server.fate = () => "notSent";
      const report = await drain(world);
      expect(report.owed).toEqual(owed);
      expect(report.tookMs).toBeLessThan(12_000);
    });

    test("a poll that is still unanswered at the end is owed as well", async () => {
      const world = createScriptedWorld([workerConfig("t", () => ({}))], () => ({ pollBatch: never }));
      world.group.start();
      await world.clock.advanceAsync(100);
      const report = await drain(world, 500);
      expect(report.owed).toEqual(owed);
      expect(report.tookMs).toBeLessThan(5_000);
    });

    test("under a workerId of the user's own nothing is owed: it may be another process's", async () => {
      const world = loseAndDrain({ isWorkerIdUnique: false });
      await world.clock.advanceAsync(100);
      expect((await drain(world, 1_000)).owed).toEqual([]);
    });
  });

  describe("at the deadline", () => {
    /** One task that runs for ever; `log` has what happened, in order. */
    function createStubbornWorld(definition: object = {}, worker: object = {}, longPollMs = 2_000) {
      const log: string[] = [];
      let reason: unknown;
      const world = createScriptedWorld(
        [
          workerConfig("t", (_input, ctx) => {
          ctx.signal.addEventListener("abort", () => {
            log.push("aborted");
            reason = ctx.signal.reason;
          });
          ctx.log("got so far");
          return never();
        }, { concurrency: 2, longPollMs, ...worker }), // prettier-ignore
        ],
        (model) => ({
          pollBatch: async (request) => {
            const reply = await model.pollBatch(request);
            log.push("polled");
            return reply;
          },
          update: (taskId, body) => {
            log.push(parse(body).status);
            return model.update(taskId, body);
          },
        }),
      );
      world.group.start();
      world.server.push("a", "t", definition);
      return { world, log, reason: () => reason };
    }

    test("started tasks go back, after the polls have returned and the signals are aborted", async () => {
      const { world, log, reason } = createStubbornWorld();
      world.server.tasks.get("a")!.task.outputData = { checkpoint: 7 };
      const handedBack = record(world, "taskHandedBack");
      await world.clock.advanceAsync(300);
      log.length = 0;
      const { abandoned, leftInFlight, tookMs } = await drain(world, 1_000);
      expect(log).toEqual(["polled", "aborted", "IN_PROGRESS"]);
      expect(reason()).toBeInstanceOf(TaskStoppingError);
      expect(handedBack).toMatchObject([{ taskId: "a", reason: "stopping" }]);
      expect(world.server.updates).toMatchObject([
        { callbackAfterSeconds: 0, outputData: { checkpoint: 7 }, logs: [{ log: "got so far" }] },
      ]);
      expect({ abandoned, leftInFlight }).toEqual({ abandoned: 1, leftInFlight: 0 });
      expect(tookMs).toBeLessThan(3_000);
    });

    test.each<[string, object, object, RegExp]>([
      ["retryCount 0", { retryCount: 0 }, {}, /retryCount 0/],
      ["onDrainDeadline fail", {}, { onDrainDeadline: "fail" }, /onDrainDeadline is fail/],
      ["pollTimeoutSeconds that have passed", { pollTimeoutSeconds: 1 }, {}, /pollTimeoutSeconds have passed/],
    ])("with %s they are failed", async (_name, definition, worker, why) => {
      const { world } = createStubbornWorld(definition, worker);
      await world.clock.advanceAsync(2_000);
      await drain(world, 1_000);
      expect(world.server.updates).toMatchObject([
        { status: "FAILED", reasonForIncompletion: expect.stringMatching(why) },
      ]);
      expect(world.server.count("SCHEDULED")).toBe(0);
    });

    test("while a poll stays unanswered they are failed: it might bring them back to us", async () => {
      let polls = 0;
      const world = createScriptedWorld([workerConfig("t", () => never(), { concurrency: 2 })], (model) => ({
        pollBatch: (request) => (++polls > 1 ? never() : model.pollBatch(request)),
      }));
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(1_000);
      await drain(world, 1_000);
      expect(world.server.updates).toMatchObject([
        { status: "FAILED", reasonForIncompletion: expect.stringContaining("unanswered") },
      ]);
    });

    test("what a function brings later is dropped", async () => {
      const world = createWorld([workerConfig("t", () => world.sleep(10_000))]);
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(500);
      await drain(world, 1_000);
      await world.clock.advanceAsync(30_000);
      expect(world.server.updates.map(({ status }) => status)).toEqual(["IN_PROGRESS"]);
      expect(world.group.status.abandoned).toBe(0);
      expect(world.clock.pendingTimers).toBe(0);
    });

    test("a drain of 0 ends at once but for the polls", async () => {
      const { world } = createStubbornWorld({}, { concurrency: 1 });
      await world.clock.advanceAsync(500);
      const { tookMs } = await drain(world, 0);
      expect(tookMs).toBeLessThan(500);
      expect(world.server.count("SCHEDULED")).toBe(1);
    });

    test("with a server that is silent it ends all the same", async () => {
      const { world } = createStubbornWorld();
      await world.clock.advanceAsync(500);
      world.server.latencyMs = () => 1e9;
      const { tookMs } = await drain(world, 2_000);
      expect(tookMs).toBeLessThan(7_000);
    });

    test("with a server that is away it ends all the same, and says what is lost", async () => {
      const { world } = createStubbornWorld();
      const undeliverable = record(world, "taskUndeliverable");
      await world.clock.advanceAsync(500);
      world.server.fate = () => "notSent";
      const { tookMs, leftInFlight } = await drain(world, 2_000);
      expect(tookMs).toBeLessThan(6_000);
      expect(leftInFlight).toBe(0);
      expect(undeliverable).toMatchObject([{ taskId: "a" }]);
    });

    test("a function that heeds its signal is not called abandoned", async () => {
      const world = createWorld([
        workerConfig(
          "t",
          (_input, ctx) =>
            new Promise<void>((resolve) => {
              ctx.signal.addEventListener("abort", () => resolve());
            }),
        ),
      ]);
      const abandoned = record(world, "taskAbandoned");
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(500);
      expect(await drain(world, 1_000)).toMatchObject({ abandoned: 0, leftInFlight: 0 });
      await world.clock.advanceAsync(2_000);
      expect(abandoned).toEqual([]);
    });

    test("nothing is left behind once functions that were abandoned have been spoken of", async () => {
      const { world } = createStubbornWorld();
      const abandoned = record(world, "taskAbandoned");
      await world.clock.advanceAsync(500);
      await drain(world, 1_000);
      await world.clock.advanceAsync(2_000);
      expect(abandoned).toMatchObject([{ taskId: "a" }]);
      expect(world.clock.pendingTimers).toBe(0);
    });
  });

  test("hurry brings the end forward, and never puts it off", async () => {
    const ended = async (hurryMs: number) => {
      const world = createWorld([workerConfig("t", () => never())]);
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(1_000);
      let endedAt = Infinity;
      void world.group.drain(10_000).then(() => (endedAt = world.clock.now() - 1_000));
      await world.clock.advanceAsync(1_000);
      world.group.hurry(hurryMs);
      await world.clock.advanceAsync(60_000);
      return endedAt;
    };
    expect(await ended(500)).toBeLessThan(2_000);
    expect(await ended(50_000)).toBeLessThanOrEqual(10_000);
  });

  test("hurry without a drain is nothing", async () => {
    const world = createWorld([workerConfig("t", () => ({}))]);
    world.group.start();
    world.group.hurry(0);
    world.server.push("a", "t");
    await world.clock.advanceAsync(1_000);
    expect(world.server.count("COMPLETED")).toBe(1);
  });

  test("a worker that was never started can be drained", async () => {
    const world = createWorld([workerConfig("t", () => ({}))]);
    expect(await drain(world)).toMatchObject({ abandoned: 0, leftInFlight: 0 });
    expect(world.clock.pendingTimers).toBe(0);
  });

  test("a result whose delivery hangs when the worker stops is recorded before the drain ends", async () => {
    const world = createScriptedWorld([workerConfig("t", () => ({ precious: 1 }))], () => ({
      update: never,
      updateV2: never,
    }));
    const undeliverable = record(world, "taskUndeliverable");
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(1_000);
    const report = await drain(world, 1_000);
    expect(undeliverable).toMatchObject([{ taskId: "a", result: { outputData: { precious: 1 } } }]);
    expect(report.leftInFlight).toBe(0);
  });

  test("a started task whose workflow says retryCount 0 is failed at the drain deadline, not handed back", async () => {
    const world = createWorld([workerConfig("t", () => never())]);
    world.group.start();
    world.server.push("a", "t", { retryCount: 3 });
    world.server.tasks.get("a")!.task.workflowTask!.retryCount = 0;
    await world.clock.advanceAsync(1_000);
    await drain(world, 1_000);
    expect(world.server.count("FAILED")).toBe(1);
  });

  test("a second drain cannot lengthen the first", async () => {
    const world = createWorld([workerConfig("t", () => never())]);
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(1_000);
    const ended = vi.fn();
    void world.group.drain(1_000).then(ended);
    await world.clock.advanceAsync(10);
    void world.group.drain(60_000).then(ended);
    await world.clock.advanceAsync(10_000);
    expect(ended).toHaveBeenCalled();
  });
});
