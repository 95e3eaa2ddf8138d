import { describe, expect, test, vi } from "vitest";
import { BOARD_LAYOUT, createHeartbeatBoard } from "../../../src/liveness/board.js";
import { inProgress } from "../../../src/worker/in-progress.js";
import { silentLogger } from "../../support/log/loggers.js";
import {
  answered,
  createScriptedWorld,
  drain,
  handOut,
  never,
  parse,
  record,
  refused,
} from "../../support/unit/runner.js";
import { createWorld, workerConfig } from "../../support/unit/runner-world.js";

/** A server that gives the scripted answers to polls, one after the other, then holds them empty. */
function createPollWorld(
  answers: readonly ReturnType<typeof handOut>[][],
  workers = [workerConfig("t", () => ({}))],
  malformed = 0,
) {
  const updates: string[] = [];
  const polls: number[] = [];
  const world = createScriptedWorld(workers, () => ({
    pollBatch: async ({ timeoutMs, count }) => {
      polls.push(count);
      const handOuts = answers[polls.length - 1];
      await world.sleep(handOuts === undefined ? Math.max(timeoutMs, 1) : 10);
      return answered({ handOuts: handOuts ?? [], malformed: handOuts === undefined ? 0 : malformed });
    },
    update: async (taskId, body) => {
      const { status, callbackAfterSeconds } = parse(body);
      updates.push(`${taskId} ${status}${callbackAfterSeconds === undefined ? "" : ` ${callbackAfterSeconds}`}`);
      await world.sleep(1);
      return answered<true>(true);
    },
    updateV2: async (body) => {
      updates.push(`${parse(body).taskId} ${parse(body).status}`);
      await world.sleep(1);
      return answered(null);
    },
  }));
  return { world, updates, polls };
}

const tasks = (...ids: string[]) => ids.map((taskId) => handOut({ taskId }));

describe("the task runner", () => {
  describe("what comes", () => {
    test("beyond the free slots is handed back at once", async () => {
      const { world, updates } = createPollWorld(
        [tasks("a", "b", "c")],
        [workerConfig("t", () => world.sleep(5_000), { concurrency: 2 })],
      );
      const handedBack = record(world, "taskHandedBack");
      world.group.start();
      await world.clock.advanceAsync(1_000);
      expect(updates).toEqual(["c IN_PROGRESS 0"]);
      expect(handedBack).toMatchObject([{ taskId: "c", reason: "surplus" }]);
      expect(world.group.status.runners[0]!.running).toBe(2);
    });

    test("twice runs once", async () => {
      let runs = 0;
      const { world, updates } = createPollWorld([tasks("a", "a"), tasks("a")], [
      workerConfig("t", async () => {
        runs += 1;
        await world.sleep(100);
      }, { concurrency: 3 }),
    ]); // prettier-ignore
      world.group.start();
      await world.clock.advanceAsync(1_000);
      expect({ runs, updates }).toEqual({ runs: 1, updates: ["a COMPLETED"] });
      expect(world.group.status).toMatchObject({ inFlight: 0, runners: [{ running: 0 }] });
    });

    test("again, in the hand-out that has ended, is not run and not handed back: a cache repeats an answer", async () => {
      let runs = 0;
      const repeated = handOut({ taskId: "a", pollCount: 1, updateTime: 5_000 });
      const again = handOut({ taskId: "a", pollCount: 2, updateTime: 9_000 });
      const { world, updates } = createPollWorld(
        [[repeated], ...Array.from({ length: 20 }, () => [repeated]), [again], [repeated], [again]],
        [workerConfig("t", () => void (runs += 1))],
      );
      world.group.start();
      await world.clock.advanceAsync(120_000);
      expect({ runs, updates }).toEqual({ runs: 2, updates: ["a COMPLETED", "a COMPLETED"] });
      expect(world.group.status.inFlight).toBe(0);
    });

    test("again after it was handed back is run where the server counts its hand-outs, or tells their times", async () => {
      for (const next of [
        { pollCount: 2, updateTime: 5_000 },
        { pollCount: 1, updateTime: 9_000 },
        { pollCount: 0, updateTime: 0 },
      ]) {
        let runs = 0;
        const first = { pollCount: Math.min(next.pollCount, 1), updateTime: Math.min(next.updateTime, 5_000) };
        const { world } = createPollWorld(
          [[handOut({ taskId: "a", ...first })], [handOut({ taskId: "a", ...next })]],
          [workerConfig("t", () => ((runs += 1) === 1 ? inProgress({ callbackAfterSeconds: 0 }) : {}))],
        );
        world.group.start();
        await world.clock.advanceAsync(20_000);
        expect(runs, JSON.stringify(next)).toBe(2);
      }
    });

    test("malformed, with ids, is a terminal failure; its neighbour runs", async () => {
      const { world, updates } = createPollWorld(
        [[handOut({ taskId: "bad" }, "inputData is no object but a string"), ...tasks("good")]],
        [workerConfig("t", () => ({}), { concurrency: 2 })],
      );
      world.group.start();
      await world.clock.advanceAsync(1_000);
      expect(updates.sort()).toEqual(["bad FAILED_WITH_TERMINAL_ERROR", "good COMPLETED"]);
    });

    test("of another type is handed back, with a delay so that it does not come round at once", async () => {
      const { world, updates } = createPollWorld([[handOut({ taskId: "a", taskType: "other", taskDefName: "other" })]]);
      const handedBack = record(world, "taskHandedBack");
      world.group.start();
      await world.clock.advanceAsync(1_000);
      expect(updates).toEqual(["a IN_PROGRESS 5"]);
      expect(handedBack).toMatchObject([{ taskId: "a", reason: "notOurs" }]);
    });

    test.each([
      ["type", { taskType: "t", taskDefName: "other" }],
      ["definition", { taskType: "SIMPLE", taskDefName: "t" }],
      ["neither, as they are missing", { taskType: undefined, taskDefName: undefined }],
    ])("with our name as its %s is ours", async (_name, names) => {
      const one = handOut({ taskId: "a" });
      Object.assign(one.task, names);
      const { world, updates } = createPollWorld([[one]]);
      world.group.start();
      await world.clock.advanceAsync(1_000);
      expect(updates).toEqual(["a COMPLETED"]);
    });

    test("while paused is handed back, and not asked for again until resumed", async () => {
      const { world, updates, polls } = createPollWorld([tasks("a"), tasks("b")]);
      const runner = world.group.runners[0]!;
      const handedBack = record(world, "taskHandedBack");
      world.group.start();
      runner.pause();
      await world.clock.advanceAsync(10_000);
      expect(updates).toEqual(["a IN_PROGRESS 0"]);
      expect(handedBack).toMatchObject([{ reason: "paused" }]);
      expect({ polls: polls.length, state: runner.status.state }).toEqual({ polls: 1, state: "paused" });
      runner.resume();
      await world.clock.advanceAsync(1_000);
      expect(updates).toEqual(["a IN_PROGRESS 0", "b COMPLETED"]);
    });

    test("past its pollTimeoutSeconds is failed instead of handed back: the queue would time it out", async () => {
      const late = handOut({
        taskId: "a",
        taskDefinition: { pollTimeoutSeconds: 3 },
        scheduledTime: 1_000,
        updateTime: 6_000,
      });
      const { world, updates } = createPollWorld([[late]]);
      world.group.start();
      world.group.runners[0]!.pause();
      await world.clock.advanceAsync(1_000);
      expect(updates).toEqual(["a FAILED"]);
    });

    test("without ids is said, and met with patience", async () => {
      const answers = Array.from({ length: 1_000 }, () => []);
      const { world, polls } = createPollWorld(answers, undefined, 1);
      world.group.start();
      await world.clock.advanceAsync(30_000);
      expect(polls.length).toBeLessThan(12);
    });
  });

  describe("concurrency", () => {
    test.each([1, 3, 10])("of %i is used, and never passed", async (concurrency) => {
      let running = 0;
      let most = 0;
      const world = createWorld([
      workerConfig("t", async () => {
        most = Math.max(most, ++running);
        await world.sleep(50);
        running -= 1;
      }, { concurrency }),
    ]); // prettier-ignore
      for (let i = 0; i < 100; i += 1) world.server.push(`a${i}`, "t");
      world.group.start();
      await world.clock.advanceAsync(15_000);
      expect({ most, done: world.server.count("COMPLETED") }).toEqual({ most: concurrency, done: 100 });
    });

    test("changes while tasks run, up at once, down for what begins later", async () => {
      const world = createWorld([workerConfig("t", () => world.sleep(1_000))]);
      const runner = world.group.runners[0]!;
      const running = () => runner.status.running;
      for (let i = 0; i < 100; i += 1) world.server.push(`a${i}`, "t");
      world.group.start();
      await world.clock.advanceAsync(500);
      expect(running()).toBe(1);
      runner.setConcurrency(5);
      await world.clock.advanceAsync(300);
      expect(running()).toBe(5);
      runner.setConcurrency(2);
      expect(running()).toBe(5);
      await world.clock.advanceAsync(1_500);
      expect(running()).toBe(2);
      expect(world.server.violations).toEqual([]);
    });

    test.each([0, -1, 1.5, NaN, Infinity, "3", 10_001, 2 ** 40])("of %s is refused", (concurrency) => {
      const world = createWorld([workerConfig("t", () => ({}))]);
      expect(() => world.group.runners[0]!.setConcurrency(concurrency as number)).toThrow(RangeError);
    });
  });

  describe("answers to polls", () => {
    const MB = 1_000_000;

    /** 300 tasks wait; what the worker asks for, and how much comes. */
    function answersOf(bytesOf: (taskId: string) => number, concurrency = 100) {
      const counts: number[] = [];
      const world = createScriptedWorld([workerConfig("t", () => world.sleep(50), { concurrency })], (model) => ({
        pollBatch: (request) => {
          if (request.timeoutMs === 0) counts.push(request.count);
          return model.pollBatch(request);
        },
      }));
      world.server.bytesOf = bytesOf;
      world.server.maxAnswerBytes = 64 * MB;
      for (let i = 0; i < 300; i += 1) world.server.push(`t${i}`, "t", { responseTimeoutSeconds: 3_600 });
      return { world, counts };
    }

    test("of small tasks fill all slots", async () => {
      const { world, counts } = answersOf(() => 2_400);
      world.group.start();
      await world.clock.advanceAsync(5_000);
      expect(Math.max(...counts)).toBeGreaterThanOrEqual(99);
      expect(world.server.count("COMPLETED")).toBe(300);
    });

    test("of large tasks are for as many as can be parsed in a moment", async () => {
      const { world, counts } = answersOf(() => 0.5 * MB);
      world.group.start();
      await world.clock.advanceAsync(60_000);
      expect(Math.max(...counts)).toBe(8);
      expect(world.server.count("COMPLETED")).toBe(300);
    });

    test("that are too long to be taken are asked for with fewer; what was lost in one is found and run", async () => {
      const { world, counts } = answersOf((taskId) => (Number(taskId.slice(1)) < 5 ? 1_000 : 2 * MB));
      world.group.start();
      await world.clock.advanceAsync(20_000);
      expect(counts.filter((count) => count > 32)).toHaveLength(1);
      await world.clock.advanceAsync(1_800_000);
      expect(world.server.count("COMPLETED")).toBe(300);
      expect(world.server.violations).toEqual([]);
    });
  });

  describe("chaining", () => {
    const count = (pushed: number, act: (world: ReturnType<typeof createWorld>) => void = () => {}) => {
      let chained = 0;
      const world = createScriptedWorld([workerConfig("t", () => world.sleep(100))], (model) => ({
        updateV2: (body) => {
          chained += 1;
          return model.updateV2(body);
        },
      }));
      for (let i = 0; i < pushed; i += 1) world.server.push(`a${i}`, "t");
      world.group.start();
      return { world, chained: () => chained, act: () => act(world) };
    };

    test("not for a task that comes alone", async () => {
      const { world, chained } = count(1);
      await world.clock.advanceAsync(2_000);
      world.server.push("later", "t");
      await world.clock.advanceAsync(2_000);
      expect({ done: world.server.count("COMPLETED"), chained: chained() }).toEqual({ done: 2, chained: 0 });
    });

    test("under a backlog, without a poll between", async () => {
      const { world, chained } = count(50);
      await world.clock.advanceAsync(6_000);
      expect(world.server.count("COMPLETED")).toBe(50);
      expect(chained()).toBeGreaterThan(40);
      expect(world.server.requests).toBeLessThan(65);
    });

    test.each<[string, (world: ReturnType<typeof createWorld>) => void]>([
      ["paused", (world) => world.group.runners[0]!.pause()],
      ["draining", (world) => void world.group.drain(10_000)],
    ])("not when %s", async (_name, act) => {
      const { world, chained } = count(50);
      await world.clock.advanceAsync(1_030);
      const before = chained();
      expect(before).toBeGreaterThan(3);
      act(world);
      await world.clock.advanceAsync(3_000);
      expect(chained()).toBe(before);
      expect(world.group.status).toMatchObject({ inFlight: 0, runners: [{ running: 0 }] });
    });
  });

  describe("the loop beats, whatever happens", () => {
    const beating = async (
      act: (world: ReturnType<typeof createWorld>) => void | Promise<void>,
      worker = workerConfig("t", () => ({})),
    ) => {
      const board = createHeartbeatBoard(1);
      const counters = new Int32Array(board.buffer).subarray(BOARD_LAYOUT.firstCell);
      const world = createWorld([worker], { board, sliceMs: 1_000 });
      expect(counters[0]).toBe(1); // before anything can go wrong
      world.group.start();
      await act(world);
      await world.clock.advanceAsync(1_000);
      const beats: number[] = [];
      for (let i = 0; i < 10; i += 1) {
        const before = counters[0]!;
        await world.clock.advanceAsync(1_000);
        beats.push(counters[0]! - before);
      }
      return { least: Math.min(...beats), most: Math.max(...beats), world, counters };
    };

    test("idle", async () => {
      const { least, most } = await beating(() => {});
      expect(least).toBeGreaterThanOrEqual(1);
      expect(most).toBeLessThan(10);
    });

    test("full", async () => {
      const { least, most, world } = await beating(
        ({ server }) => server.push("a", "t"),
        workerConfig("t", () => never()),
      );
      expect(world.group.status.runners[0]!.running).toBe(1);
      expect([least, most]).toEqual([1, 1]);
    });

    test("paused", async () => {
      const { least, most } = await beating(({ group }) => group.runners[0]!.pause());
      expect([least, most]).toEqual([1, 1]);
    });

    test("backing off", async () => {
      const { least, most } = await beating(({ server }) => (server.fate = () => "unavailable") && undefined);
      expect(least).toBeGreaterThanOrEqual(1);
      expect(most).toBeLessThan(10);
    });

    test("a poll that hangs", async () => {
      const { least } = await beating(({ server }) => void (server.latencyMs = () => 1e9));
      expect(least).toBe(1);
    });

    test("draining; and it lets go of its cell at the end", async () => {
      const { least, world, counters } = await beating(async ({ server, clock, group }) => {
      server.push("a", "t");
      await clock.advanceAsync(500);
      void group.drain(20_000);
    }, workerConfig("t", () => never())); // prettier-ignore
      expect(least).toBe(1);
      await world.clock.advanceAsync(20_000);
      expect(world.group.status.runners[0]!.state).toBe("stopped");
      expect(counters[0]).toBe(-1);
    });
  });

  describe("polls that fail", () => {
    test.each([
      ["403 for this type", refused(403, "no access")],
      ["404", refused(404, "no such type")],
      ["400", refused(400, "Long Poll Timeout value cannot be more than 5 seconds")],
      ["500", refused(500, "boom")],
    ])("(%s) are repeated with patience, and end when the server is well", async (_name, reply) => {
      let isIll = true;
      let polls = 0;
      const world = createScriptedWorld([workerConfig("t", () => ({}))], (model) => ({
        pollBatch: async (request) => {
          polls += 1;
          if (!isIll) return model.pollBatch(request);
          await world.sleep(1);
          return reply;
        },
      }));
      const pollFailed = record(world, "pollFailed");
      world.group.start();
      await world.clock.advanceAsync(60_000);
      expect(polls).toBeLessThan(20);
      expect(pollFailed).toHaveLength(polls);
      isIll = false;
      world.server.push("a", "t");
      await world.clock.advanceAsync(31_000);
      expect(world.server.count("COMPLETED")).toBe(1);
    });

    test("a poll that throws, which none may, does not end the loop", async () => {
      let polls = 0;
      const world = createScriptedWorld([workerConfig("t", () => ({}))], (model) => ({
        pollBatch: (request) => {
          if (++polls <= 3) throw new Error("a bug of ours");
          return model.pollBatch(request);
        },
      }));
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(10_000);
      expect(world.server.count("COMPLETED")).toBe(1);
    });
  });

  test("the status says what a runner does", async () => {
    const world = createWorld([workerConfig("t", () => ({}), { domain: "d", concurrency: 3, paused: true })]);
    const runner = world.group.runners[0]!;
    expect(runner.status).toEqual({
      taskType: "t",
      domain: "d",
      state: "paused",
      phase: "starting",
      concurrency: 3,
      running: 0,
      lastBeatAgoMs: 0,
      lastPollAgoMs: undefined,
      pollsFailing: undefined,
    });
    world.group.start();
    await world.clock.advanceAsync(5_000);
    expect(world.server.requests).toBe(0);
    runner.resume();
    await world.clock.advanceAsync(2_500);
    expect(runner.status).toMatchObject({ state: "polling" });
    expect(runner.status.lastPollAgoMs).toBeLessThan(1_000);
    await drain(world);
    expect(runner.status.state).toBe("stopped");
  });

  test("polls that bring nothing but tasks without ids fail: said once, and seen in the status", async () => {
    const lines: string[] = [];
    const write = (_: object, message: string) => lines.push(message);
    const world = createScriptedWorld(
      [workerConfig("t", () => ({}))],
      () => ({
        pollBatch: async () => {
          await world.sleep(1);
          return answered({ handOuts: [], malformed: 1 });
        },
      }),
      { log: { ...silentLogger, warn: write, error: write } },
    );
    world.group.start();
    await world.clock.advanceAsync(600_000);
    expect(lines.length).toBeLessThan(12);
    expect(world.group.status.runners[0]!.lastPollAgoMs).toBeUndefined();
    expect(world.group.status.runners[0]!.pollsFailing?.forMs).toBeGreaterThan(590_000);
  });

  test("one task type that the server refuses to serve does not slow the others", async () => {
    const world = createScriptedWorld(
      [workerConfig("secret", () => ({})), workerConfig("t", () => ({}), { concurrency: 1 })],
      (model) => ({
        pollBatch: async (request) => {
          if (request.taskType !== "secret") return model.pollBatch(request);
          await world.sleep(1);
          return refused(403, "no access to this task type");
        },
      }),
    );
    world.group.start();
    await world.clock.advanceAsync(60_000);
    for (let i = 0; i < 50; i += 1) world.server.push(`a${i}`, "t");
    await world.clock.advanceAsync(5_000);
    expect(world.server.count("COMPLETED")).toBe(50);
  });

  test("one task type in two domains: the success of one does not end the trouble of the other", async () => {
    const info = vi.fn();
    const log = { debug: () => {}, info, warn: () => {}, error: () => {} };
    const world = createScriptedWorld(
      [workerConfig("t", () => ({}), { domain: "a" }), workerConfig("t", () => ({}), { domain: "b" })],
      (model) => ({
        pollBatch: async (request) => {
          if (request.domain === "b") return model.pollBatch(request);
          await world.sleep(1);
          return refused(500, "boom");
        },
      }),
      { log },
    );
    world.group.start();
    await world.clock.advanceAsync(30_000);
    expect(info).not.toHaveBeenCalled();
  });

  test("a queue full of tasks that cannot run is not swallowed faster than they can be reported", async () => {
    let polls = 0;
    const world = createScriptedWorld([workerConfig("t", () => ({}))], () => ({
      pollBatch: async () => {
        polls += 1;
        await world.sleep(1);
        return answered({ handOuts: [handOut({ taskId: `m${polls}` }, "inputData is no object")], malformed: 0 });
      },
      update: async () => {
        await world.sleep(5_000);
        return answered<true>(true);
      },
    }));
    world.group.start();
    await world.clock.advanceAsync(3_000);
    expect(world.group.status.inFlight).toBeLessThan(100);
  });
});
