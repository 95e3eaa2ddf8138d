import { describe, expect, test } from "vitest";
import type { WorkerConfig } from "../../../../src/config/types.js";
import { silentLogger } from "../../../support/log/loggers.js";
import {
  answered,
  createScriptedWorld,
  failed,
  lostAnswer,
  nonsense,
  parse,
  refused,
  type World,
} from "../../../support/unit/runner.js";
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
  const logged: { readonly fields: object; readonly msg: string }[] = [];
  const worker = workerConfig(
    "t",
    (_input, ctx) => {
      executed.push(ctx.taskId);
      return {};
    },
    overrides,
  );
  const log = { ...silentLogger, warn: (fields: object, msg: string) => void logged.push({ fields, msg }) };
  const world = createWorld([worker], { log });
  loseNextPoll(world);
  world.server.push("a", "t", RESPONSE_TIMEOUT);
  world.group.start();
  /** The fields of the lines that say so. */
  const lines = (text: string) => logged.filter(({ msg }) => msg.includes(text)).map(({ fields }) => fields);
  return { world, executed, lines };
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

  test("an update that went out twice is searched for the task that may have come along the first time", async () => {
    const world = createWorld([workerConfig("t", () => ({}), { concurrency: 1 })]);
    const updateV2 = world.server.updateV2.bind(world.server);
    let updates = 0;
    world.server.updateV2 = async (body) => {
      if (++updates > 1) return updateV2(body);
      await updateV2(body);
      return { ...(await updateV2(body)), isRepeated: true };
    };
    for (let i = 0; i < 5; i += 1) world.server.push(`a${i}`, "t", RESPONSE_TIMEOUT);
    world.group.start();
    await world.clock.advanceAsync(15_000);
    expect(world.server.count("COMPLETED")).toBe(5);
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

  test.each<[string, "sizes" | "pending", number]>([
    ["the sizes of queues", "sizes", 403],
    ["the sizes of queues", "sizes", 404],
    ["the listing", "pending", 403],
    ["the listing", "pending", 404],
    ["the listing", "pending", 405],
    ["the listing", "pending", 200],
  ])(
    "a stranger that answers for %s (%s %i) for a while is waited out, and the task is found",
    async (_, path, status) => {
      const { world, executed } = loseThePoll();
      let isThere = true;
      const queueSizes = world.server.queueSizes.bind(world.server);
      const pending = world.server.pending.bind(world.server);
      const stranger = () => Promise.resolve(status === 200 ? nonsense() : refused(status));
      if (path === "sizes") world.server.queueSizes = (names) => (isThere ? stranger() : queueSizes(names));
      else world.server.pending = (type, page) => (isThere ? stranger() : pending(type, page));
      await world.clock.advanceAsync(20_000);
      expect(executed).toEqual([]);
      isThere = false;
      await world.clock.advanceAsync(20_000);
      expect(executed).toEqual(["a"]);
    },
  );

  test("a poll that went out twice, for a stranger had refused it for its token, is searched for what the first may have got", async () => {
    const executed: string[] = [];
    const world = createWorld([workerConfig("t", (_input, ctx) => void executed.push(ctx.taskId))]);
    const pollBatch = world.server.pollBatch.bind(world.server);
    let polls = 0;
    world.server.pollBatch = async (request) => {
      if (++polls > 1) return pollBatch(request);
      await pollBatch(request);
      return { ...(await pollBatch({ ...request, timeoutMs: 0 })), isRepeated: true };
    };
    world.server.push("lost", "t", RESPONSE_TIMEOUT);
    world.group.start();
    await world.clock.advanceAsync(15_000);
    expect(executed).toEqual(["lost"]);
  });

  test("a stranger that refuses the search of one task type holds up no other", async () => {
    const executed: string[] = [];
    const types = ["t", "u"];
    const world = createWorld(types.map((type) => workerConfig(type, (_input, ctx) => void executed.push(ctx.taskId))));
    const pending = world.server.pending.bind(world.server);
    world.server.pending = (type, page) => (type === "t" ? Promise.resolve(refused(403)) : pending(type, page));
    let lost = 0;
    world.server.fate = (request) => (request === "poll" && ++lost <= 2 ? "lostAnswer" : "ok");
    for (const type of types) world.server.push(`of ${type}`, type, RESPONSE_TIMEOUT);
    world.group.start();
    await world.clock.advanceAsync(15_000);
    expect(executed).toEqual(["of u"]);
  });

  test("a task type whose polls were refused, and that does not poll any more, is searched all the same", async () => {
    const executed: string[] = [];
    const types = ["t", "u"];
    const world = createWorld(
      types.map((type) => workerConfig(type, (_input, ctx) => void executed.push(ctx.taskId))),
      { maxHeldPolls: 1 },
    );
    const pollBatch = world.server.pollBatch.bind(world.server);
    let polls = 0;
    world.server.pollBatch = (request) =>
      request.taskType === "t" && ++polls > 1 ? Promise.resolve(refused(403)) : pollBatch(request);
    loseNextPoll(world);
    world.server.push("lost", "t", RESPONSE_TIMEOUT);
    world.group.start();
    await world.clock.advanceAsync(15_000);
    // From the refusal on the other type holds, and this one is watched.
    expect(polls).toBeLessThan(5);
    expect(world.server.tasks.get("lost")).toMatchObject({ status: "SCHEDULED" });
  });

  test("a server that says itself that it has no listing is asked rarely, and what is owed is kept", async () => {
    const { world, executed, lines } = loseThePoll();
    const pending = world.server.pending.bind(world.server);
    let asked = 0;
    world.server.pending = (type, page) => {
      asked += 1;
      return asked <= 2 ? Promise.resolve(refused(404, "No static resource admin/task/t.")) : pending(type, page);
    };
    await world.clock.advanceAsync(590_000);
    expect(asked).toBe(1);
    await world.clock.advanceAsync(630_000);
    expect(asked).toBeGreaterThan(2);
    expect(executed).toEqual(["a"]);
    expect(lines("search for lost tasks has failed")).toEqual([]);
    expect(lines("no list of unfinished tasks").length).toBeGreaterThan(0);
  });

  test("a server that never has the listing is said once for all task types, and each search is given up", async () => {
    const types = ["t", "u", "v", "w", "x", "y"];
    const warnings: string[] = [];
    const log = { ...silentLogger, warn: (_: object, text: string) => void warnings.push(text) };
    const workers = types.map((type) => workerConfig(type, () => ({})));
    const world = createWorld(workers, { log });
    let asked = 0;
    world.server.pending = () => {
      asked += 1;
      return Promise.resolve(refused(404, "No static resource admin/task."));
    };
    let polls = 0;
    world.server.fate = (request) => (request === "poll" && ++polls <= types.length ? "lostAnswer" : "ok");
    world.group.start();
    for (const runner of world.group.runners) runner.pause();
    await world.clock.advanceAsync(590_000);
    // Those that asked at the same time have found out at the same time.
    expect(asked).toBeLessThanOrEqual(4);
    await world.clock.advanceAsync(7_200_000);
    expect(warnings.filter((text) => text.includes("given up"))).toHaveLength(types.length);
    expect(asked).toBe(3 * types.length);
    const said = "the server has no list of unfinished tasks: lost ones cannot be found; it is asked again later";
    expect(warnings.filter((text) => text === said)).toHaveLength(1);
  });

  test("a queue that is too long is searched when it is shorter", async () => {
    let asked = 0;
    const { world, executed } = loseThePoll();
    const pending = world.server.pending.bind(world.server);
    world.server.pending = (type, page) => {
      asked += 1;
      return pending(type, page);
    };
    world.server.queueSizes = () => Promise.resolve(answered({ t: 2_000 }));
    await world.clock.advanceAsync(30_000);
    expect(asked).toBe(0);
    world.server.queueSizes = () => Promise.resolve(answered({ t: 10 }));
    await world.clock.advanceAsync(60_000);
    expect(executed).toEqual(["a"]);
  });

  test.each([refused(403), refused(502), refused(500, "boom"), nonsense(), lostAnswer()])(
    "a suspect that cannot be looked at by itself is known by the listing that shows it again: %j",
    async (reply) => {
      const { world, executed } = loseThePoll();
      let looks = 0;
      world.server.get = () => {
        looks += 1;
        return Promise.resolve(reply);
      };
      await world.clock.advanceAsync(60_000);
      expect(executed).toEqual(["a"]);
      expect(looks).toBe(1);
    },
  );

  test("an id that cannot be put into a path holds up no other, and is said once", async () => {
    const { world, executed, lines } = loseThePoll({ concurrency: 2 });
    const get = world.server.get.bind(world.server);
    const half = "b\ud83d";
    const notSendable = failed("notSent", "INVALID_REQUEST");
    world.server.get = (taskId) => (taskId === half ? Promise.resolve(notSendable) : get(taskId));
    world.server.push(half, "t", RESPONSE_TIMEOUT);
    const other = world.server.tasks.get(half)!;
    other.status = "IN_PROGRESS";
    other.task.workerId = "w";
    other.task.pollCount = 1;
    await world.clock.advanceAsync(60_000);
    expect(executed).toEqual(["a"]);
    expect(lines("cannot be looked at")).toHaveLength(1);
  });

  describe("among large tasks", () => {
    const MB = 1_000_000;

    /** The poll that is lost has a task, and `waiting` others wait; the worker takes on no more. */
    function loseAmong(waiting: number, bytes: number) {
      const lost = loseThePoll();
      const { world } = lost;
      world.server.bytesOf = () => bytes;
      let size = waiting;
      world.server.queueSizes = () => Promise.resolve(answered({ t: size }));
      for (let i = 0; i < waiting; i += 1) world.server.push(`waits ${i}`, "t", RESPONSE_TIMEOUT);
      const clear = () => {
        for (const { task } of [...world.server.tasks.values()])
          if (task.taskId !== "a") world.server.tasks.delete(task.taskId);
        size = 0;
      };
      return { ...lost, clear };
    }

    test.each([
      [200, 10_000],
      [1_900, 2_000],
      [60, 500_000],
      [10, 5 * MB],
    ])("one of %i of %i bytes each is found, with less than twice their bytes a round", async (waiting, bytes) => {
      const { world, executed } = loseAmong(waiting, bytes);
      world.group.runners[0]!.pause();
      await world.clock.advanceAsync(200);
      world.server.bytesRead = 0;
      await world.clock.advanceAsync(5_000);
      expect(world.server.tasks.get("a")?.status).toBe("SCHEDULED");
      expect(world.server.bytesRead).toBeLessThan(2 * (waiting + 1) * bytes + 20 * MB);
      world.group.runners[0]!.resume();
      await world.clock.advanceAsync(2_000);
      expect(executed).toContain("a");
    });

    test("of a backlog that is too much to read little is read, and it is waited for", async () => {
      const { world, executed, clear, lines } = loseAmong(1_500, 200_000);
      world.group.runners[0]!.pause();
      await world.clock.advanceAsync(200);
      world.server.bytesRead = 0;
      await world.clock.advanceAsync(300_000);
      expect(world.server.bytesRead).toBeLessThan(16 * MB);
      expect(lines("search for lost tasks has failed").length).toBeGreaterThan(0);
      clear();
      await world.clock.advanceAsync(300_000);
      world.group.runners[0]!.resume();
      await world.clock.advanceAsync(5_000);
      expect(executed).toEqual(["a"]);
    });

    test("a backlog that stays too much to read is given up, with one line", async () => {
      const { world, lines } = loseAmong(1_500, 200_000);
      world.group.runners[0]!.pause();
      await world.clock.advanceAsync(200);
      world.server.bytesRead = 0;
      await world.clock.advanceAsync(3_600_000);
      expect(world.server.bytesRead).toBeLessThan(16 * MB);
      expect(lines("given up")).toHaveLength(1);
    });

    test("a server that heeds neither start nor count costs no more", async () => {
      const { world, lines } = loseAmong(1_500, 200_000);
      const pending = world.server.pending.bind(world.server);
      world.server.pending = (type, { maxBodyBytes }) => pending(type, { start: 0, count: 2_000, maxBodyBytes });
      world.group.runners[0]!.pause();
      await world.clock.advanceAsync(200);
      world.server.bytesRead = 0;
      await world.clock.advanceAsync(3_600_000);
      expect(world.server.bytesRead).toBeLessThan(64 * MB);
      expect(lines("given up")).toHaveLength(1);
    });

    test("answers that are lost again and again cost so many bytes a second, and not a listing each", async () => {
      const { world } = loseAmong(60, 500_000);
      world.group.runners[0]!.pause();
      await world.clock.advanceAsync(200);
      world.server.bytesRead = 0;
      world.server.queueSizes = () => Promise.resolve(answered({ t: 60 }));
      const pending = world.server.pending.bind(world.server);
      let listings = 0;
      world.server.pending = (type, page) => {
        listings += 1;
        return pending(type, page);
      };
      let polls = 0;
      world.server.fate = (request) => (request === "poll" && polls++ % 2 === 0 ? "lostAnswer" : "ok");
      world.group.runners[0]!.resume();
      await world.clock.advanceAsync(600_000);
      expect(listings).toBeGreaterThan(10);
      expect(world.server.bytesRead).toBeLessThan(70 * MB + 600 * 0.53 * MB);
    });
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

  test.each<[string, (world: World) => void]>([
    ["the listing", (world) => (world.server.pending = () => Promise.resolve(refused(500, "out of memory")))],
    ["the listing, by a stranger", (world) => (world.server.pending = () => Promise.resolve(refused(403)))],
    ["the sizes of queues, with a page", (world) => (world.server.queueSizes = () => Promise.resolve(nonsense()))],
  ])("a search that is always refused %s ends within its tries and an hour, and says so, once", async (_, refuse) => {
    const { world, lines } = loseThePoll();
    refuse(world);
    let asked = 0;
    const sizes = world.server.queueSizes.bind(world.server);
    world.server.queueSizes = (names) => {
      asked += 1;
      return sizes(names);
    };
    await world.clock.advanceAsync(3_600_000);
    expect(asked).toBe(12);
    expect(lines("given up")).toEqual([
      expect.objectContaining({ taskType: "t", workerId: "w", why: expect.any(String) as string }),
    ]);
    await world.clock.advanceAsync(3_600_000);
    expect(asked).toBe(12);
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
