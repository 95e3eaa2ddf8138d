import { describe, expect, test } from "vitest";
import type { WorkerConfig } from "../../../../src/config/types.js";
import { silentLogger } from "../../../support/log/loggers.js";
import { answered, createScriptedWorld, lostAnswer, refused, type World, parse } from "../../../support/unit/runner.js";
import { createWorld, workerConfig } from "../../../support/unit/runner-world.js";

const RESPONSE_TIMEOUT = { responseTimeoutSeconds: 3600 };

/** The answer to the next poll is lost on its way; asks whether it was. */
function loseNextPoll(world: World): () => boolean {
  let isLost = false;
  world.server.fate = (request) => {
    if (request !== "poll" || isLost) return "ok";
    isLost = true;
    return "lostAnswer";
  };
  return () => isLost;
}

function loseThePoll(overrides: Partial<WorkerConfig> = {}) {
  const executed: string[] = [];
  const world = createWorld([
    workerConfig(
      "t",
      (_input, ctx) => {
        executed.push(ctx.taskId);
        return {};
      },
      overrides,
    ),
  ]);
  loseNextPoll(world);
  world.server.push("a", "t", RESPONSE_TIMEOUT);
  world.group.start();
  return { world, executed };
}

describe("reclaiming lost hand-outs", () => {
  test("a task in an answer that was lost is given back and run within seconds", async () => {
    const { world, executed } = loseThePoll();
    await world.clock.advanceAsync(200);
    expect(world.server.tasks.get("a")).toMatchObject({ status: "IN_PROGRESS", handOutLost: true });
    await world.clock.advanceAsync(5_000);
    expect(world.server.count("COMPLETED")).toBe(1);
    expect(executed).toEqual(["a"]);
    expect(world.server.violations).toEqual([]);
  });

  test("a task that came along with an update whose answer was lost is given back as well", async () => {
    const world = createWorld([workerConfig("t", () => ({}), { concurrency: 1 })]);
    const updateV2 = world.server.updateV2.bind(world.server);
    let lost = 0;
    world.server.updateV2 = async (body) => {
      if (lost > 0) return updateV2(body);
      lost += 1;
      world.server.fate = () => "lostAnswer";
      const reply = updateV2(body);
      world.server.fate = () => "ok";
      return reply;
    };
    for (let i = 0; i < 5; i += 1) world.server.push(`a${i}`, "t", RESPONSE_TIMEOUT);
    world.group.start();
    await world.clock.advanceAsync(10_000);
    expect(lost).toBe(1);
    expect(world.server.count("COMPLETED")).toBe(5);
    expect(world.server.violations).toEqual([]);
  });

  test("tasks that we work on, and tasks of others, are left alone", async () => {
    const world = createWorld([
      workerConfig("t", () => world.sleep(20_000), { concurrency: 2, executionTimeoutMs: 60_000 }),
    ]);
    world.server.push("ours", "t", RESPONSE_TIMEOUT);
    world.server.push("theirs", "t", RESPONSE_TIMEOUT);
    const theirs = world.server.tasks.get("theirs")!;
    theirs.status = "IN_PROGRESS";
    theirs.task.workerId = "somebody else";
    world.group.start();
    await world.clock.advanceAsync(500);
    const wasLost = loseNextPoll(world);
    await world.clock.advanceAsync(12_000);
    expect(wasLost()).toBe(true);
    expect(world.server.updates).toEqual([]);
    expect(world.server.tasks.get("ours")?.task.pollCount).toBe(1);
    expect(theirs.status).toBe("IN_PROGRESS");
  });

  test("with a workerId of the user's own nothing is reclaimed: it may be another process's", async () => {
    const { world, executed } = loseThePoll({ isWorkerIdUnique: false });
    await world.clock.advanceAsync(60_000);
    expect(world.server.tasks.get("a")?.status).toBe("IN_PROGRESS");
    expect(executed).toEqual([]);
  });

  test("the late answer to a poll that was given up for lost is not worked on", async () => {
    let polls = 0;
    const executed: string[] = [];
    const world = createScriptedWorld(
      [
        workerConfig("t", (_input, ctx) => {
          executed.push(`${ctx.taskId} ${ctx.pollCount}`);
          return {};
        }),
      ],
      (model) => ({
        pollBatch: async (request) => {
          polls += 1;
          if (polls > 1) return model.pollBatch(request);
          const reply = await model.pollBatch(request);
          // It went to two places: the first is lost, and a copy of it arrives much later.
          if (reply.kind === "answered") late.push(...reply.value.handOuts);
          return lostAnswer();
        },
      }),
    );
    const late: Parameters<typeof structuredClone>[0][] = [];
    world.server.push("a", "t", RESPONSE_TIMEOUT);
    world.group.start();
    await world.clock.advanceAsync(8_000);
    expect(executed).toEqual(["a 2"]);
    world.server.pollBatch = () => Promise.resolve(answered({ handOuts: late.splice(0) as never, malformed: 0 }));
    await world.clock.advanceAsync(10_000);
    expect(late).toEqual([]);
    expect(executed).toEqual(["a 2"]);
  });

  test.each([403, 404, 405])(
    "where the listing is not allowed (%i) it is asked for once, and polling goes on",
    async (status) => {
      let asked = 0;
      const warnings: string[] = [];
      const log = {
        debug: () => {},
        info: () => {},
        error: () => {},
        warn: (_: object, text: string) => warnings.push(text),
      };
      let isFirst = true;
      const world = createScriptedWorld(
        [workerConfig("t", () => ({}))],
        (model) => ({
          pending: () => {
            asked += 1;
            return Promise.resolve(refused(status, "no"));
          },
          pollBatch: async (request) => {
            const reply = await model.pollBatch(request);
            const isLost = isFirst;
            isFirst = false;
            return isLost ? lostAnswer() : reply;
          },
        }),
        { log },
      );
      world.group.start();
      await world.clock.advanceAsync(30_000);
      expect(asked).toBe(1);
      expect(warnings.filter((text) => text.includes("search for lost tasks"))).toHaveLength(1);
      world.server.push("b", "t");
      await world.clock.advanceAsync(5_000);
      expect(world.server.count("COMPLETED")).toBe(1);
    },
  );

  test("a queue that is too long is not searched", async () => {
    let asked = 0;
    const { world } = loseThePoll();
    world.server.queueSizes = () => Promise.resolve(answered({ t: 2_000 }));
    const pending = world.server.pending.bind(world.server);
    world.server.pending = (type) => {
      asked += 1;
      return pending(type);
    };
    await world.clock.advanceAsync(30_000);
    expect(asked).toBe(0);
  });

  test("a suspect that is gone when it is looked at says nothing about the search", async () => {
    const warnings: string[] = [];
    let lost = 0;
    let isGone = false;
    const world = createScriptedWorld(
      [workerConfig("t", () => ({}))],
      (model) => ({
        get: (taskId) => {
          if (taskId !== "a" || isGone) return model.get(taskId);
          isGone = true;
          world.server.tasks.delete("a");
          return Promise.resolve(refused(404, "No such task found by id: a"));
        },
      }),
      { log: { ...silentLogger, warn: (_: object, text: string) => warnings.push(text) } },
    );
    world.server.fate = (request) => (request === "poll" && lost-- > 0 ? "lostAnswer" : "ok");
    world.server.push("a", "t", RESPONSE_TIMEOUT);
    lost = 1;
    world.group.start();
    await world.clock.advanceAsync(20_000);
    expect(isGone).toBe(true);
    world.server.push("b", "t", RESPONSE_TIMEOUT);
    lost = 1;
    await world.clock.advanceAsync(30_000);
    expect(world.server.tasks.get("b")?.status).toBe("COMPLETED");
    expect(warnings.filter((text) => text.includes("does not allow"))).toEqual([]);
  });

  test("a search that was not allowed is tried again for an answer that is lost much later", async () => {
    const { world, executed } = loseThePoll();
    world.server.queueSizes = () => Promise.resolve(refused(404)); // of a proxy, while the server is replaced
    await world.clock.advanceAsync(20_000);
    expect(executed).toEqual([]);
    world.server.queueSizes = () => Promise.resolve(answered({}));
    await world.clock.advanceAsync(600_000);
    loseNextPoll(world);
    await world.clock.advanceAsync(20_000);
    expect(executed).toEqual(["a"]);
  });

  test("answers that are lost one after the other do not put the search off for ever", async () => {
    let polls = 0;
    const world = createScriptedWorld([workerConfig("t", () => ({}), { longPollMs: 5_000 })], (model) => ({
      pollBatch: async (request) => {
        polls += 1;
        if (polls === 1) await model.pollBatch(request);
        else if (request.timeoutMs === 0) return answered({ handOuts: [], malformed: 0 });
        await world.sleep(1_000);
        return lostAnswer();
      },
    }));
    world.server.push("a", "t", RESPONSE_TIMEOUT);
    world.group.start();
    await world.clock.advanceAsync(30_000);
    expect(world.server.updates).toMatchObject([{ taskId: "a", status: "IN_PROGRESS" }]);
  });

  test("a search that is given up says so, once", async () => {
    const warnings: string[] = [];
    let isFirst = true;
    const world = createScriptedWorld(
      [workerConfig("t", () => ({}))],
      () => ({ pending: () => Promise.resolve(refused(500, "out of memory")) }),
      { log: { ...silentLogger, warn: (_: object, text: string) => warnings.push(text) } },
    );
    world.server.fate = (request) => {
      if (request !== "poll" || !isFirst) return "ok";
      isFirst = false;
      return "lostAnswer";
    };
    world.server.push("a", "t", RESPONSE_TIMEOUT);
    world.group.start();
    await world.clock.advanceAsync(120_000);
    expect(warnings.filter((text) => text.includes("given up"))).toHaveLength(1);
  });

  test.each([500, 502, 503, 504, 524])(
    "a gateway's %i instead of the answer to a poll is an answer that was lost",
    async (status) => {
      let polls = 0;
      const world = createScriptedWorld([workerConfig("t", () => ({}))], (model) => ({
        pollBatch: async (request) => {
          const reply = await model.pollBatch(request);
          polls += 1;
          return polls === 1 ? refused(status) : reply;
        },
      }));
      world.server.push("a", "t", RESPONSE_TIMEOUT);
      world.group.start();
      await world.clock.advanceAsync(10_000);
      expect(world.server.count("COMPLETED")).toBe(1);
      expect(world.server.violations).toEqual([]);
    },
  );

  test("a gateway's 504 instead of the answer to an update that carried a task is a lost answer as well", async () => {
    const world = createWorld([workerConfig("t", () => ({}))]);
    const updateV2 = world.server.updateV2.bind(world.server);
    let chained = 0;
    world.server.updateV2 = async (body) => {
      chained += 1;
      if (chained > 1) return updateV2(body);
      world.server.fate = () => "lostAnswer";
      const reply = updateV2(body);
      world.server.fate = () => "ok";
      await reply;
      return refused(504);
    };
    for (let i = 0; i < 5; i += 1) world.server.push(`a${i}`, "t", RESPONSE_TIMEOUT);
    world.group.start();
    await world.clock.advanceAsync(15_000);
    expect(chained).toBeGreaterThan(0);
    expect(world.server.count("COMPLETED")).toBe(5);
    expect(world.server.violations).toEqual([]);
  });

  test("a task that ran, and whose result the server refused for good, is not taken for a lost one and run again", async () => {
    let runs = 0;
    const world = createScriptedWorld(
      [
        workerConfig("t", () => {
          runs += 1;
          return {};
        }),
      ],
      (model) => ({
        queueSizes: () => Promise.resolve(answered({ t: 1 })),
        update: async (taskId, body) => {
          await world.sleep(1);
          return parse(body).status === "IN_PROGRESS" ? model.update(taskId, body) : refused(400, "no");
        },
      }),
    );
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(1_000);
    expect(runs).toBe(1);
    let lost = 0;
    world.server.fate = (request) => (request === "poll" && ++lost <= 1 ? "lostAnswer" : "ok");
    await world.clock.advanceAsync(30_000);
    expect(runs).toBe(1);
  });
});
