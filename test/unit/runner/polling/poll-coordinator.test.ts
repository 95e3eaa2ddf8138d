import { describe, expect, test } from "vitest";
import type { Reply } from "../../../../src/conductor/reply.js";
import type { Logger } from "../../../../src/log/logger.js";
import { memoryLogger, silentLogger } from "../../../support/log/loggers.js";
import { answered, createScriptedWorld, lostAnswer, nonsense, refused } from "../../../support/unit/runner.js";
import { workerConfig } from "../../../support/unit/runner-world.js";

/** Runners of `types` task types against a model whose held polls are counted. */
function createRationedWorld(
  types: number,
  maxHeldPolls: number,
  overrides: {
    sizesRefused?: boolean;
    refusal?: () => Exclude<Reply<never>, { kind: "answered" }> | undefined;
    overrunMs?: number;
    /** What every request takes on the way; the first of each held poll, on a new connection, three times as much. */
    roundTripMs?: number;
    /** The sizes as they are told. Default: as they are. */
    told?: (names: readonly string[]) => Record<string, number>;
  } = {},
  log: Logger = silentLogger,
) {
  let held = 0;
  let mostHeld = 0;
  let sizeRequests = 0;
  let polls = 0;
  const done: string[] = [];
  const workers = Array.from({ length: types }, (_, i) =>
    workerConfig(`t${i}`, (_input, ctx) => {
      done.push(ctx.taskId);
      return {};
    }),
  );
  const world = createScriptedWorld(
    workers,
    (model) => ({
      pollBatch: async (request) => {
        polls += 1;
        if (request.timeoutMs === 0) return model.pollBatch(request);
        held += 1;
        mostHeld = Math.max(mostHeld, held);
        const reply = await model.pollBatch(request);
        if (overrides.overrunMs !== undefined && held > 4) await world.sleep(overrides.overrunMs);
        const isFirst = polls <= types;
        if (overrides.roundTripMs !== undefined) await world.sleep(overrides.roundTripMs * (isFirst ? 3 : 1));
        held -= 1;
        return reply;
      },
      queueSizes: async (names) => {
        sizeRequests += 1;
        await world.sleep(overrides.roundTripMs ?? 1);
        const refusal = overrides.sizesRefused === true ? refused(403, "no") : overrides.refusal?.();
        if (refusal !== undefined) return refusal;
        const waiting = (name: string) =>
          [...world.server.tasks.values()].filter(
            ({ task, status }) => task.taskType === name && status === "SCHEDULED",
          ).length;
        if (overrides.told !== undefined) return answered(overrides.told(names));
        return answered(Object.fromEntries(names.map((name) => [name, waiting(name)])));
      },
    }),
    { maxHeldPolls, log },
  );
  world.group.start();
  return { world, done, counts: () => ({ held, mostHeld, sizeRequests, polls }) };
}

describe("the poll coordinator", () => {
  describe("held polls are rationed", () => {
    test("with few task types each holds, and nobody asks for sizes", async () => {
      const { world, counts } = createRationedWorld(4, 16);
      await world.clock.advanceAsync(20_000);
      expect(counts()).toMatchObject({ mostHeld: 4, sizeRequests: 0 });
    });

    test("with many, no more than allowed are held, and one request a second watches the rest", async () => {
      const { world, counts } = createRationedWorld(40, 16);
      await world.clock.advanceAsync(60_000);
      expect(counts().mostHeld).toBe(16);
      expect(counts().sizeRequests).toBeGreaterThan(50);
      expect(counts().sizeRequests).toBeLessThanOrEqual(60);
      // 16 held polls of two seconds each.
      expect(counts().polls).toBeLessThan(16 * 31);
    });

    test("a task of a watched type is found within about a second, and its type holds from then on", async () => {
      const { world, done } = createRationedWorld(40, 4);
      await world.clock.advanceAsync(10_000);
      for (let i = 0; i < 40; i += 1) world.server.push(`task-${i}`, `t${i}`);
      await world.clock.advanceAsync(2_500);
      expect(done).toHaveLength(40);
      await world.clock.advanceAsync(10_000);
      world.server.push("again", "t39");
      await world.clock.advanceAsync(1_500);
      expect(done).toContain("again");
    });

    test("where sizes are refused the types take turns, and every one is served", async () => {
      const { world, done, counts } = createRationedWorld(12, 4, { sizesRefused: true });
      await world.clock.advanceAsync(10_000);
      for (let i = 0; i < 12; i += 1) world.server.push(`task-${i}`, `t${i}`);
      await world.clock.advanceAsync(15_000);
      expect(done).toHaveLength(12);
      expect(counts().sizeRequests).toBe(1);
      expect(counts().mostHeld).toBe(4);
    });

    test("a server that fails over the sizes once goes on being asked for them", async () => {
      let asked = 0;
      const refusal = () => (++asked === 3 ? refused(500, "a bad moment", { retryable: true }) : undefined);
      const { world, counts } = createRationedWorld(40, 4, { refusal });
      await world.clock.advanceAsync(60_000);
      expect(counts().sizeRequests).toBeGreaterThan(50);
    });

    test.each([
      ["403 of Conductor", refused(403, "no")],
      ["404 of Conductor", refused(404, "no")],
      ["500 of Conductor", refused(500, "no")],
      ["a gateway's 400", refused(400)],
      ["a gateway's 403", refused(403)],
      ["a gateway's 404", refused(404)],
      ["a gateway's 429 with a Retry-After", refused(429, undefined, { retryAfterMs: 30_000 })],
      ["a gateway's 503", refused(503)],
      ["a redirect", refused(302)],
      ["nonsense with status 200", nonsense()],
      ["a connection that breaks", lostAnswer()],
    ])("sizes that are not told (%s) starve nobody, are said once and asked for again", async (_what, refusal) => {
      let mayTell = false;
      const { log, lines } = memoryLogger();
      const { world, done, counts } = createRationedWorld(
        30,
        4,
        { refusal: () => (mayTell ? undefined : refusal) },
        log,
      );
      await world.clock.advanceAsync(3_000);
      for (let i = 0; i < 30; i += 1) world.server.push(`early-${i}`, `t${i}`);
      await world.clock.advanceAsync(30_000);
      expect(done).toHaveLength(30);
      await world.clock.advanceAsync(570_000);
      expect(counts().sizeRequests).toBeLessThanOrEqual(3 * 5);
      expect(lines.filter((line) => line.includes("sizes of its queues"))).toHaveLength(1);
      mayTell = true;
      await world.clock.advanceAsync(620_000);
      const before = counts().sizeRequests;
      await world.clock.advanceAsync(60_000);
      expect(counts().sizeRequests - before).toBeGreaterThan(40);
      for (let i = 0; i < 30; i += 1) world.server.push(`late-${i}`, `t${i}`);
      await world.clock.advanceAsync(2_500);
      expect(done).toHaveLength(60);
    });

    test("sizes that a cache tells are not believed for ever", async () => {
      const told = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, 0]));
      const { world, done } = createRationedWorld(30, 4, { told });
      await world.clock.advanceAsync(3_000);
      for (let i = 0; i < 30; i += 1) world.server.push(`task-${i}`, `t${i}`);
      await world.clock.advanceAsync(65_000);
      expect(done).toHaveLength(30);
    });

    test("a delayed task that becomes due is found although the size does not change", async () => {
      const { world, done } = createRationedWorld(6, 2);
      await world.clock.advanceAsync(5_000);
      world.server.push("later", "t5");
      world.server.tasks.get("later")!.visibleAt = world.clock.now() + 20_000;
      await world.clock.advanceAsync(20_000);
      expect(done).toEqual([]);
      await world.clock.advanceAsync(8_000);
      expect(done).toEqual(["later"]);
    });

    test.each([100, 300])(
      "a server that is far away (%i ms) is not one that is short of threads",
      async (roundTripMs) => {
        const { world, counts } = createRationedWorld(6, 16, { roundTripMs });
        await world.clock.advanceAsync(60_000);
        expect(counts()).toMatchObject({ mostHeld: 6, sizeRequests: 0 });
        expect(counts().polls).toBeGreaterThanOrEqual(6 * 25);
        const watched = createRationedWorld(40, 16, { roundTripMs });
        await watched.world.clock.advanceAsync(60_000);
        expect(watched.counts().held).toBeGreaterThanOrEqual(14);
      },
    );

    test("when held polls are answered late, fewer are held, and more again later", async () => {
      const { world, counts } = createRationedWorld(16, 16, { overrunMs: 2_000 });
      await world.clock.advanceAsync(1_000);
      expect(counts().held).toBe(16);
      await world.clock.advanceAsync(9_000);
      expect(counts().held).toBeLessThanOrEqual(4);
      await world.clock.advanceAsync(20_000);
      const few = counts().held;
      expect(few).toBeGreaterThan(0);
      await world.clock.advanceAsync(70_000);
      expect(counts().held).toBeGreaterThan(few);
    });
  });

  test.each([true, false])("a type that is full lets others have its hold (sizes refused: %s)", async (isRefused) => {
    const done: string[] = [];
    const world = createScriptedWorld(
      [
        workerConfig("a", () => world.sleep(1_800_000), { executionTimeoutMs: 3_000_000 }),
        workerConfig("b", async (_input, ctx) => {
          await world.sleep(5_000);
          done.push(ctx.taskId);
        }),
      ],
      (model) => ({
        queueSizes: async (names) => {
          await world.sleep(1);
          const size = (name: string) =>
            [...model.tasks.values()].filter(({ task, status }) => task.taskType === name && status === "SCHEDULED");
          return isRefused
            ? refused(403, "no")
            : answered(Object.fromEntries(names.map((name) => [name, size(name).length])));
        },
      }),
      { maxHeldPolls: 1 },
    );
    world.group.start();
    await world.clock.advanceAsync(10_000);
    world.server.push("b1", "b", { responseTimeoutSeconds: 3600 });
    await world.clock.advanceAsync(3_000);
    world.server.push("a1", "a", { responseTimeoutSeconds: 3600 });
    await world.clock.advanceAsync(30_000);
    expect(done).toEqual(["b1"]);
    world.server.push("b2", "b", { responseTimeoutSeconds: 3600 });
    await world.clock.advanceAsync(15_000);
    expect(done).toEqual(["b1", "b2"]);
  });

  test("a type that is full for a moment still has its hold afterwards, where the others' sizes are told", async () => {
    const takenAfterMs: number[] = [];
    let pushedAt = 0;
    const world = createScriptedWorld(
      [
        workerConfig("busy", async () => {
          takenAfterMs.push(world.clock.now() - pushedAt);
          await world.sleep(50);
        }),
        workerConfig("idle", () => ({})),
      ],
      () => ({
        queueSizes: async (names) => {
          await world.sleep(1);
          return answered(Object.fromEntries(names.map((name) => [name, 0])));
        },
      }),
      { maxHeldPolls: 1 },
    );
    world.group.start();
    await world.clock.advanceAsync(10_000);
    for (let i = 0; i < 40; i += 1) {
      pushedAt = world.clock.now();
      world.server.push(`t${i}`, "busy", { responseTimeoutSeconds: 3600 });
      await world.clock.advanceAsync(400);
    }
    await world.clock.advanceAsync(5_000);
    // The first few find out who has the work.
    expect(takenAfterMs).toHaveLength(40);
    expect(Math.max(...takenAfterMs.slice(5))).toBeLessThan(300);
  });
});
