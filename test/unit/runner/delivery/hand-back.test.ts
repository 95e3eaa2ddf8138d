import { describe, expect, test } from "vitest";
import type { Reply } from "../../../../src/conductor/reply.js";
import type { Task } from "../../../../src/conductor/types.js";
import { inProgress } from "../../../../src/worker/in-progress.js";
import {
  createScriptedWorld,
  drain,
  handOut,
  failed,
  lostAnswer,
  nonsense,
  parse,
  record,
  refused,
  unreachable,
  answered,
} from "../../../support/unit/runner.js";
import { workerConfig } from "../../../support/unit/runner-world.js";

/** A world whose function gives its task back; the server's replies to that come one after the other, then all is well. */
function createHandBackWorld(replies: readonly (Reply<true> & { kind: Exclude<Reply<true>["kind"], "answered"> })[]) {
  const sent: string[] = [];
  let next = 0;
  const world = createScriptedWorld(
    [workerConfig("t", () => inProgress({ callbackAfterSeconds: 600, output: { page: 2 } }))],
    (model) => ({
      get: (taskId) => {
        sent.push("get");
        return model.get(taskId);
      },
      update: async (taskId, body) => {
        sent.push("update");
        const reply = replies[next++];
        if (reply === undefined) return model.update(taskId, body);
        await world.sleep(1);
        return reply;
      },
    }),
  );
  world.group.start();
  world.server.push("a", "t");
  return { world, sent };
}

describe("handing a task back", () => {
  test("goes out once, with its output and delay", async () => {
    const { world, sent } = createHandBackWorld([]);
    await world.clock.advanceAsync(1_000);
    expect(sent).toEqual(["update"]);
    expect(world.server.updates).toMatchObject([
      { status: "IN_PROGRESS", callbackAfterSeconds: 600, outputData: { page: 2 } },
    ]);
    expect(world.group.status).toMatchObject({ inFlight: 0, runners: [{ running: 0 }] });
  });

  describe("the fence", () => {
    test.each([
      ["a lost answer", lostAnswer()],
      ["nonsense", nonsense()],
      ["503", refused(503)],
      ["500", refused(500, "boom")],
      ["a stranger's 429", refused(429)],
      ["a stranger's 401", refused(401)],
      ["a stranger's 404", refused(404)],
      ["a maintenance page's 405", refused(405)],
    ])("after %s it is sent again only once the server shows the task as ours", async (_name, reply) => {
      const { world, sent } = createHandBackWorld([reply]);
      await world.clock.advanceAsync(10_000);
      expect(sent).toEqual(["update", "get", "update"]);
      expect(world.server.count("SCHEDULED")).toBe(1);
    });

    test.each([
      ["a refused connection", unreachable()],
      ["429 in Conductor's words", refused(429, "later")],
      ["401 in Conductor's words", refused(401, "no token")],
      ["403 in Conductor's words", refused(403, "no rights")],
    ])("after %s it was not applied and is sent again", async (_name, reply) => {
      const { world, sent } = createHandBackWorld([reply]);
      await world.clock.advanceAsync(10_000);
      expect(sent).toEqual(["update", "update"]);
      expect(world.server.count("SCHEDULED")).toBe(1);
    });

    test.each([
      ["is in the queue again", (known: { status: string }) => (known.status = "SCHEDULED")],
      ["has ended", (known: { status: string }) => (known.status = "COMPLETED")],
      ["is somebody else's", (known: { task: { workerId?: string } }) => (known.task.workerId = "other")],
      ["was handed out again", (known: { task: { pollCount: number } }) => (known.task.pollCount += 1)],
    ])("it is not sent again when the task %s", async (_name, change) => {
      const { world, sent } = createHandBackWorld([lostAnswer()]);
      await world.clock.advanceAsync(5);
      const known = world.server.tasks.get("a")!;
      known.visibleAt = Infinity;
      change(known);
      await world.clock.advanceAsync(30_000);
      expect(sent).toEqual(["update", "get"]);
      expect(world.group.status.inFlight).toBe(0);
    });

    test("a look that a cache answers with the task as it was before the hand-out is repeated", async () => {
      const { world, sent } = createHandBackWorld([lostAnswer()]);
      await world.clock.advanceAsync(5);
      const known = world.server.tasks.get("a")!;
      const show = (change: Partial<Task>) => Object.assign(known.task, change);
      const { pollCount, updateTime } = known.task;
      show({ pollCount: pollCount - 1, updateTime: updateTime - 1 });
      await world.clock.advanceAsync(5_000);
      expect(new Set(sent.slice(1))).toEqual(new Set(["get"]));
      expect(world.group.status.inFlight).toBe(1);
      show({ pollCount, updateTime });
      await world.clock.advanceAsync(30_000);
      expect(sent.at(-1)).toBe("update");
      expect(world.group.status.inFlight).toBe(0);
    });

    test("a look that fails is repeated before anything is sent", async () => {
      const { world, sent } = createHandBackWorld([lostAnswer()]);
      let looks = 0;
      world.server.fate = (request) => (request === "get" && ++looks <= 2 ? "lostAnswer" : "ok");
      await world.clock.advanceAsync(20_000);
      expect(sent).toEqual(["update", "get", "get", "get", "update"]);
    });
  });

  test("a task that the server does not know any more is moot, without a word of having been handed back", async () => {
    const { world, sent } = createHandBackWorld([refused(404, "No such task found by id: a")]);
    const undeliverable = record(world, "taskUndeliverable");
    const handedBack = record(world, "taskHandedBack");
    const moot = record(world, "taskMoot");
    await world.clock.advanceAsync(5_000);
    expect(sent).toEqual(["update"]);
    expect(handedBack).toEqual([]);
    expect(moot).toMatchObject([{ taskId: "a" }]);
    expect(undeliverable).toEqual([]);
    expect(world.group.status.inFlight).toBe(0);
  });

  test("goes as one that must not be done twice", async () => {
    const isOnce: unknown[] = [];
    const execute = (_input: unknown, { pollCount }: { pollCount: number }) =>
      pollCount === 1 ? inProgress({ callbackAfterSeconds: 0 }) : {};
    const world = createScriptedWorld([workerConfig("t", execute)], (model) => ({
      update: (taskId, body, _deadlineMs, once) => {
        isOnce.push([parse(body).status, once]);
        return model.update(taskId, body);
      },
    }));
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(5_000);
    expect(isOnce).toEqual([["IN_PROGRESS", true]]);
  });

  test("waits for a server that is away as long as the task is ours; the slot was free long before", async () => {
    const output = { page: 7 };
    const world = createScriptedWorld(
      [workerConfig("t", () => inProgress({ callbackAfterSeconds: 0, output }))],
      () => ({
        update: async () => {
          await world.sleep(1);
          return unreachable();
        },
      }),
    );
    const undeliverable = record(world, "taskUndeliverable");
    world.group.start();
    world.server.push("a", "t", { responseTimeoutSeconds: 300 });
    await world.clock.advanceAsync(1_000);
    expect(world.group.status).toMatchObject({ inFlight: 1, runners: [{ running: 0 }] });
    await world.clock.advanceAsync(297_000);
    expect(undeliverable).toEqual([]);
    await world.clock.advanceAsync(5_000);
    expect(undeliverable).toMatchObject([{ taskId: "a", result: { status: "IN_PROGRESS", outputData: output } }]);
    expect(world.group.status.inFlight).toBe(0);
  });

  test("that takes longer than a request may is given more time", async () => {
    const deadlines: number[] = [];
    const world = createScriptedWorld(
      [workerConfig("t", () => inProgress({ callbackAfterSeconds: 3600 }))],
      (model) => ({
        update: async (taskId, body, deadlineMs = 10_000) => {
          deadlines.push(deadlineMs);
          await world.sleep(Math.min(deadlineMs, 30_000));
          return deadlineMs >= 30_000 ? model.update(taskId, body) : failed("maybeApplied", "DEADLINE_EXCEEDED");
        },
      }),
      { maxRequestMs: 90_000 },
    );
    const undeliverable = record(world, "taskUndeliverable");
    world.group.start();
    world.server.push("a", "t", { responseTimeoutSeconds: 3600 });
    await world.clock.advanceAsync(300_000);
    expect([deadlines[0], deadlines.at(-1)]).toEqual([10_000, 40_000]);
    expect(undeliverable).toEqual([]);
    expect(world.group.status.inFlight).toBe(0);
  });

  test("is given up after a minute by a server that is there and does not take it", async () => {
    const world = createScriptedWorld([workerConfig("t", () => inProgress({ callbackAfterSeconds: 0 }))], () => ({
      update: async () => {
        await world.sleep(1);
        return refused(403, "no access");
      },
    }));
    const undeliverable = record(world, "taskUndeliverable");
    world.group.start();
    world.server.push("a", "t", { responseTimeoutSeconds: 3600 });
    await world.clock.advanceAsync(59_000);
    expect(undeliverable).toEqual([]);
    await world.clock.advanceAsync(4_000);
    expect(undeliverable).toMatchObject([{ taskId: "a" }]);
  });

  test.each([302, 400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 429, 431, 451])(
    "a stranger's %i is waited out for as long as the task is ours, and nothing is failed for it",
    async (status) => {
      const { world, sent } = createHandBackWorld([]);
      const undeliverable = record(world, "taskUndeliverable");
      world.server.fate = (request) => (request === "update" ? refused(status) : "ok");
      await world.clock.advanceAsync(300_000);
      expect(undeliverable).toEqual([]);
      // Not more often than a server that needs room is asked.
      expect(sent.filter((what) => what === "update").length).toBeLessThan(75);
      world.server.fate = () => "ok";
      await world.clock.advanceAsync(31_000);
      expect(world.server.updates).toMatchObject([{ status: "IN_PROGRESS", callbackAfterSeconds: 600 }]);
      expect(world.group.status.inFlight).toBe(0);
    },
  );

  test("gets through when the server was away for minutes, after a look", async () => {
    const { world, sent } = createHandBackWorld([]);
    let isAway = true;
    world.server.fate = (request) => (isAway && request !== "poll" ? "notSent" : "ok");
    await world.clock.advanceAsync(180_000);
    expect(world.group.status.inFlight).toBe(1);
    isAway = false;
    sent.length = 0;
    await world.clock.advanceAsync(5_000);
    expect(sent).toEqual(["get", "update"]);
    expect(world.server.updates).toMatchObject([{ callbackAfterSeconds: 600, outputData: { page: 2 } }]);
    expect(world.group.status.inFlight).toBe(0);
  });

  test("stopping ends its waiting", async () => {
    const { world } = createHandBackWorld([]);
    world.server.fate = (request) => (request === "update" ? "notSent" : "ok");
    const undeliverable = record(world, "taskUndeliverable");
    await world.clock.advanceAsync(2_000);
    expect(world.group.status.inFlight).toBe(1);
    const { tookMs, leftInFlight } = await drain(world, 1_000);
    expect(tookMs).toBeLessThan(6_000);
    expect(leftInFlight).toBe(0);
    expect(undeliverable).toMatchObject([{ taskId: "a" }]);
    expect(world.clock.pendingTimers).toBe(0);
  });

  test("a task that is polled again while its hand-back is unacknowledged runs again, and is not handed back twice", async () => {
    const calls: string[] = [];
    let polls = 0;
    const world = createScriptedWorld(
      [
        workerConfig("t", (_input, ctx) => {
        calls.push(`run ${ctx.pollCount}`);
        return ctx.pollCount === 1 ? inProgress({ callbackAfterSeconds: 0 }) : {};
      }, { concurrency: 2 }), // prettier-ignore
      ],
      () => ({
        pollBatch: async () => {
          polls += 1;
          await world.sleep(10);
          const found = polls <= 2 ? [handOut({ taskId: "a", pollCount: polls })] : [];
          if (polls > 2) await world.sleep(1_000);
          return { kind: "answered", value: { handOuts: found, malformed: 0 } };
        },
        update: async (_taskId, body) => {
          const { status } = parse(body);
          calls.push(status);
          // The hand-back's answer is on its way for long.
          await world.sleep(status === "IN_PROGRESS" ? 500 : 5);
          return { kind: "answered", value: true };
        },
        updateV2: async (body) => {
          calls.push(parse(body).status);
          return { kind: "answered", value: null };
        },
      }),
    );
    world.group.start();
    await world.clock.advanceAsync(3_000);
    expect(calls).toEqual(["run 1", "IN_PROGRESS", "run 2", "COMPLETED"]);
    expect(world.group.status.inFlight).toBe(0);
  });

  test("a task that comes again while it is not known whether its hand-back arrived has gone back, and that is told", async () => {
    const sent: string[] = [];
    let polls = 0;
    const world = createScriptedWorld([workerConfig("t", () => ({}))], () => ({
      pollBatch: async () => {
        polls += 1;
        const pollCount = polls;
        await world.sleep(100);
        if (pollCount === 2) sent.push("handed out again");
        return answered({ handOuts: pollCount <= 2 ? [handOut({ taskId: "a", pollCount })] : [], malformed: 0 });
      },
      get: async () => {
        sent.push("get");
        await world.sleep(1);
        return unreachable();
      },
      update: async (_taskId, body) => {
        sent.push(parse(body).status);
        await world.sleep(1);
        return sent.length === 1 ? lostAnswer() : answered<true>(true);
      },
    }));
    const handedBack = record(world, "taskHandedBack");
    world.group.start();
    world.group.runners[0]!.pause();
    await world.clock.advanceAsync(150);
    expect(handedBack).toEqual([]);
    world.group.runners[0]!.resume();
    await world.clock.advanceAsync(5_000);
    expect(handedBack).toHaveLength(1);
    expect(sent.filter((one) => one === "IN_PROGRESS")).toHaveLength(1);
    expect(sent.at(-1)).toBe("handed out again");
    expect(world.group.status.inFlight).toBe(0);
  });

  test("a hand-back is tried again after a 404 that is not Conductor's", async () => {
    let refusals = 0;
    const world = createScriptedWorld([workerConfig("t", () => inProgress({ callbackAfterSeconds: 60 }))], (model) => ({
      update: (taskId, body) => (refusals++ === 0 ? Promise.resolve(refused(404)) : model.update(taskId, body)),
    }));
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(10_000);
    expect(world.server.count("SCHEDULED")).toBe(1);
  });

  test("a hand-out that came twice in one answer is handed back once", async () => {
    const updates: string[] = [];
    let polls = 0;
    const world = createScriptedWorld([workerConfig("t", () => ({}))], () => ({
      pollBatch: async () => {
        polls += 1;
        await world.sleep(1_000);
        const one = handOut({ taskId: "a" });
        return answered({ handOuts: polls === 1 ? [one, structuredClone(one)] : [], malformed: 0 });
      },
      update: async (taskId) => {
        updates.push(taskId);
        await world.sleep(5);
        return answered<true>(true);
      },
    }));
    world.group.start();
    await world.clock.advanceAsync(500);
    world.group.runners[0]!.pause();
    await world.clock.advanceAsync(5_000);
    expect(updates).toEqual(["a"]);
  });

  test("a hand-back that the server refuses for good is not repeated for a minute, and the task does not stay open", async () => {
    let sent = 0;
    const world = createScriptedWorld([workerConfig("t", () => inProgress({ callbackAfterSeconds: 60 }))], (model) => ({
      update: async (taskId, body) => {
        sent += 1;
        await world.sleep(1);
        return parse(body).status === "IN_PROGRESS" ? refused(400, "no") : model.update(taskId, body);
      },
    }));
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(70_000);
    expect(sent).toBeLessThanOrEqual(2);
    expect(world.server.count("FAILED_WITH_TERMINAL_ERROR")).toBe(1);
  });
});
