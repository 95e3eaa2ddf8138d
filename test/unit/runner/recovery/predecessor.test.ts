import { describe, expect, test } from "vitest";
import type { TaskDef } from "../../../../src/conductor/types.js";
import type { Predecessor, HeldTask } from "../../../../src/runner/recovery/held-task.js";
import { answered, drain, failed, nonsense, record, refused } from "../../../support/unit/runner.js";
import { createWorld, workerConfig } from "../../../support/unit/runner-world.js";

const REASON = "crashed (exit code 3)";
const FAILED = { status: "FAILED", reasonForIncompletion: `the worker process died: ${REASON}` };
const HANDED_BACK = { status: "IN_PROGRESS", callbackAfterSeconds: 0 };

/** A world in which another process, `dead`, had tasks. The runner is paused, so that what comes back stays visible. */
function afterDeath(overrides: Parameters<typeof createWorld>[1] = {}) {
  const world = createWorld([workerConfig("t", () => ({}), { paused: true, concurrency: 10 })], overrides);
  world.group.start();
  const give = (taskId: string, definition: Partial<TaskDef> = {}, workerId = "dead") => {
    world.server.push(taskId, "t", { responseTimeoutSeconds: 3600, ...definition });
    const known = world.server.tasks.get(taskId)!;
    known.status = "IN_PROGRESS";
    known.task.workerId = workerId;
    known.task.pollCount = 1;
    return known;
  };
  const takeOver = async (left: Partial<Predecessor>, withinMs = 40_000) => {
    let isOver = false;
    void world.group.takeOver({ id: 1, tasks: [], pollers: [], reason: REASON, ...left }).then(() => (isOver = true));
    for (let i = 0; i < 400 && !isOver; i += 1) await world.clock.advanceAsync(withinMs / 400);
    expect(isOver).toBe(true);
  };
  const updates = () => world.server.updates.map(({ taskId, ...rest }) => ({ taskId, ...rest }));
  return { world, give, takeOver, updates };
}

const held = (taskId: string, given: Partial<HeldTask> = {}): HeldTask => ({
  taskId,
  workflowInstanceId: "wf",
  taskType: "t",
  workerId: "dead",
  pollCount: 1,
  state: "running",
  ...given,
});
const poller = { taskType: "t", domain: undefined, workerId: "dead", isUnique: true };

describe("what a predecessor left", () => {
  describe("what it told", () => {
    test("what it ran fails with the reason, what it had not begun goes back", async () => {
      const { world, give, takeOver, updates } = afterDeath();
      const reclaimed = record(world, "taskReclaimed");
      for (const taskId of ["a", "b", "c", "d"]) give(taskId);
      await takeOver({
        tasks: [
          held("a"),
          held("b", { state: "received" }),
          held("c", { state: "delivering" }),
          held("d", { state: "handingBack" }),
        ],
      });
      await world.clock.advanceAsync(100);
      expect(updates()).toEqual([
        expect.objectContaining({ taskId: "a", ...FAILED }),
        expect.objectContaining({ taskId: "b", ...HANDED_BACK }),
        expect.objectContaining({ taskId: "c", ...FAILED }),
        expect.objectContaining({ taskId: "d", ...FAILED }),
      ]);
      expect(reclaimed.map(({ taskId, reason }) => [taskId, reason])).toEqual(
        ["a", "b", "c", "d"].map((taskId) => [taskId, "predecessor"]),
      );
      expect(world.group.status.inFlight).toBe(0);
      expect(world.server.violations).toEqual([]);
    });

    test("what must not run twice fails, though it may not have begun", async () => {
      const { give, takeOver, updates, world } = afterDeath();
      give("a", { retryCount: 0 });
      await takeOver({ tasks: [held("a", { state: "received" })] });
      await world.clock.advanceAsync(100);
      expect(updates()).toEqual([expect.objectContaining({ taskId: "a", ...FAILED })]);
    });

    test("what another process has by now, or nobody, is left alone", async () => {
      const { world, give, takeOver, updates } = afterDeath();
      give("elsewhere", {}, "alive");
      give("again").task.pollCount = 2;
      give("over").status = "COMPLETED";
      give("waits").status = "SCHEDULED";
      const tasks = ["elsewhere", "again", "over", "waits", "gone"].map((taskId) => held(taskId));
      await takeOver({ tasks });
      await world.clock.advanceAsync(100);
      expect(updates()).toEqual([]);
    });

    test("without a poll count the name alone decides", async () => {
      const { world, give, takeOver, updates } = afterDeath();
      give("a").task.pollCount = 7;
      await takeOver({ tasks: [held("a", { pollCount: undefined })] });
      await world.clock.advanceAsync(100);
      expect(updates()).toEqual([expect.objectContaining({ taskId: "a", ...FAILED })]);
    });

    test("a server that is away for a moment is asked again", async () => {
      const { world, give, takeOver, updates } = afterDeath();
      give("a");
      const awayUntil = world.clock.now() + 3_000;
      world.server.fate = () => (world.clock.now() < awayUntil ? "notSent" : "ok");
      await takeOver({ tasks: [held("a")] });
      await world.clock.advanceAsync(5_000);
      expect(updates()).toEqual([expect.objectContaining({ taskId: "a", ...FAILED })]);
    });

    test.each([refused(403), refused(500, "boom"), nonsense(), failed("notSent", "INVALID_REQUEST")])(
      "what cannot be looked at is left to the search by name, soon and not for ever: %j",
      async (reply) => {
        const { world, give, takeOver, updates } = afterDeath();
        give("a");
        give("b");
        const get = world.server.get.bind(world.server);
        let looks = 0;
        world.server.get = (taskId) => {
          if (taskId !== "a") return get(taskId);
          looks += 1;
          return Promise.resolve(reply);
        };
        await takeOver({ tasks: [held("a"), held("b")] });
        expect(looks).toBeLessThanOrEqual(5);
        await world.clock.advanceAsync(100);
        expect(updates()).toEqual([expect.objectContaining({ taskId: "b", ...FAILED })]);
        expect(world.group.status.inFlight).toBe(0);
      },
    );

    test("nothing is taken over by a process that drains itself", async () => {
      const { world, give, takeOver, updates } = afterDeath();
      give("a");
      void world.group.drain(1_000);
      await takeOver({ tasks: [held("a")], pollers: [poller] });
      expect(updates()).toEqual([]);
    });
  });

  describe("what only the server knows of", () => {
    test("is found by the name of the dead, and fails: it may have been started", async () => {
      const { world, give, takeOver, updates } = afterDeath();
      give("young");
      give("alive", {}, "alive");
      give("ours", {}, "w");
      await takeOver({ pollers: [poller] });
      await world.clock.advanceAsync(100);
      expect(updates()).toEqual([expect.objectContaining({ taskId: "young", ...FAILED })]);
    });

    test("what a held poll of the dead still got goes back: nobody can have started it", async () => {
      const { world, give, takeOver, updates } = afterDeath();
      give("young");
      world.clock.setTimer(() => give("late"), 1_500);
      await takeOver({ pollers: [poller] });
      await world.clock.advanceAsync(100);
      expect(updates()).toEqual([
        expect.objectContaining({ taskId: "young", ...FAILED }),
        expect.objectContaining({ taskId: "late", ...HANDED_BACK }),
      ]);
    });

    test("is not looked for under a name of the user's own: a living process may have it as well", async () => {
      const { world, give, takeOver, updates } = afterDeath();
      give("theirs", {}, "mine");
      give("known", {}, "mine");
      const tasks = [held("known", { workerId: "mine" })];
      await takeOver({ tasks, pollers: [{ ...poller, workerId: "mine", isUnique: false }] });
      await world.clock.advanceAsync(100);
      expect(updates()).toEqual([expect.objectContaining({ taskId: "known", ...FAILED })]);
    });

    test.each([answered({ t: 2_000 }), refused(403, "no"), refused(404)])(
      "is given up where the queue stays too long, or the search is not allowed: %j",
      async (sizes) => {
        const { world, give, takeOver, updates } = afterDeath();
        give("young");
        world.server.queueSizes = () => Promise.resolve(sizes);
        await takeOver({ pollers: [poller] }, 3_600_000);
        expect(updates()).toEqual([]);
      },
    );

    test("was never begun where the process had ended all it had: it goes back, whenever it is found", async () => {
      const { world, give, takeOver, updates } = afterDeath();
      give("lost");
      await takeOver({ pollers: [{ ...poller, leftNothing: true }] });
      await world.clock.advanceAsync(100);
      expect(updates()).toEqual([expect.objectContaining({ taskId: "lost", ...HANDED_BACK })]);
    });

    test("is still owed when this process stops before it has found it", async () => {
      const { world, give } = afterDeath();
      give("young");
      world.server.queueSizes = () => Promise.resolve(refused(403));
      const taken = world.group.takeOver({ id: 1, tasks: [], pollers: [poller], reason: REASON });
      await world.clock.advanceAsync(1_000);
      const { owed } = await drain(world, 1_000);
      expect(owed).toEqual([{ ...poller, leftNothing: false }]);
      expect(await taken).toBe(false);
    });

    test("is not owed any more when the drain of this process had time for the search", async () => {
      const { world, give, updates } = afterDeath();
      give("young");
      const taken = world.group.takeOver({ id: 1, tasks: [], pollers: [poller], reason: REASON });
      await world.clock.advanceAsync(10);
      const { owed } = await drain(world, 30_000);
      expect(owed).toEqual([]);
      expect(updates()).toMatchObject([{ taskId: "young", status: "FAILED" }]);
      expect(await taken).toBe(true);
    });

    test("many task types are not searched all at once", async () => {
      const types = Array.from({ length: 40 }, (_, i) => `t${i}`);
      const world = createWorld(types.map((type) => workerConfig(type, () => ({}), { paused: true })));
      world.group.start();
      let asking = 0;
      let most = 0;
      const queueSizes = world.server.queueSizes.bind(world.server);
      world.server.queueSizes = async (names) => {
        asking += 1;
        most = Math.max(most, asking);
        await world.sleep(50);
        asking -= 1;
        return queueSizes(names);
      };
      let isOver = false;
      const pollers = types.map((taskType) => ({ ...poller, taskType }));
      void world.group.takeOver({ id: 1, tasks: [], pollers, reason: REASON }).then(() => (isOver = true));
      await world.clock.advanceAsync(20_000);
      expect(isOver).toBe(true);
      expect(most).toBe(4);
    });
  });

  test("a finished result in a journal is worth more than a failure: that hand-out is left to whoever delivers it", async () => {
    const kept = { isOnDisk: true, synced: undefined, settle: () => {} };
    const finishedElsewhere = () => Promise.resolve(new Set(["finished 1", "found 1", "older 0"]));
    const journal = { keep: () => kept, adoptInto: () => {}, finishedElsewhere };
    const { world, give, takeOver, updates } = afterDeath({ journal });
    for (const taskId of ["finished", "running", "older", "found"]) give(taskId);
    await takeOver({ tasks: [held("finished"), held("running"), held("older")], pollers: [poller] });
    await world.clock.advanceAsync(100);
    expect(updates()).toEqual([
      expect.objectContaining({ taskId: "running", ...FAILED }),
      expect.objectContaining({ taskId: "older", ...FAILED }),
    ]);
  });

  test("a hand-back for a dead process whose request was lost is sent again: the server still shows it as that one's", async () => {
    const { world, give, takeOver } = afterDeath();
    give("a");
    let isFirst = true;
    world.server.fate = (request) => {
      if (request !== "update" || !isFirst) return "ok";
      isFirst = false;
      return "lostRequest";
    };
    await takeOver({ tasks: [held("a", { state: "received" })] });
    await world.clock.advanceAsync(20_000);
    expect(isFirst).toBe(false);
    expect(world.server.tasks.get("a")?.status).toBe("SCHEDULED");
  });

  test("what it had ended does not run again here, should a cache repeat the hand-out", async () => {
    const { world, give, takeOver } = afterDeath();
    const { task } = give("a");
    await takeOver({ ended: [{ taskId: "a", pollCount: 1, updateTime: task.updateTime }] });
    world.server.pollBatch = async () => {
      await world.sleep(10);
      return answered({
        handOuts: [{ task: { ...task, status: "IN_PROGRESS" as const }, problem: undefined }],
        malformed: 0,
      });
    };
    world.group.runners[0]!.resume();
    await world.clock.advanceAsync(10_000);
    expect(world.server.updates).toEqual([]);
  });

  test("a thousand tasks of a dead process are ended within seconds, and a look that hangs holds up no other", async () => {
    const { world, give } = afterDeath();
    const names = Array.from({ length: 1_000 }, (_, i) => `t${i}`);
    for (const name of names) give(name);
    world.server.latencyMs = () => 20;
    const get = world.server.get.bind(world.server);
    world.server.get = (taskId) => (taskId === "t0" ? new Promise(() => {}) : get(taskId));
    void world.group.takeOver({ id: 1, tasks: names.map((name) => held(name)), pollers: [], reason: REASON });
    await world.clock.advanceAsync(10_000);
    expect(world.server.count("FAILED")).toBe(999);
  });
});
