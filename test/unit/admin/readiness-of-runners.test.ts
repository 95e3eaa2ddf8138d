import { describe, expect, test } from "vitest";
import { judgeReadiness } from "../../../src/admin/health.js";
import { createWorld, workerConfig } from "../../support/unit/runner-world.js";

const judge = ({ group }: ReturnType<typeof createWorld>) => judgeReadiness({ state: "running", ...group.status });

describe("the readiness of runners", () => {
  test("turns red 10 s after the first failed poll, and green with the first success", async () => {
    const world = createWorld([workerConfig("a", () => ({})), workerConfig("b", () => ({}))]);
    world.group.start();
    expect(judge(world).reasons).toEqual(["starting: no poll has succeeded yet"]);
    await world.clock.advanceAsync(10_000);
    expect(judge(world).isReady).toBe(true);

    world.server.fate = () => "notSent";
    // A poll under way is answered first.
    await world.clock.advanceAsync(10_000);
    expect(judge(world).isReady).toBe(true);
    await world.clock.advanceAsync(3_000);
    expect(judge(world)).toMatchObject({
      isReady: false,
      reasons: [expect.stringMatching(/^polls have failed for 1\d s/)],
    });

    world.server.fate = () => "ok";
    await world.clock.advanceAsync(5_000);
    expect(judge(world).isReady).toBe(true);
  });

  test("does not flap where every third poll fails", async () => {
    const world = createWorld([workerConfig("a", () => ({}))]);
    world.group.start();
    await world.clock.advanceAsync(3_000);
    let polls = 0;
    world.server.fate = () => (++polls % 3 === 0 ? "unavailable" : "ok");
    for (let i = 0; i < 600; i++) {
      await world.clock.advanceAsync(100);
      expect(judge(world).reasons).toEqual([]);
    }
    expect(polls).toBeGreaterThan(10);
  });

  test("turns red as well when deliveries are what finds out that the server is away", async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const worker = workerConfig("a", () => finished, { concurrency: 20 });
    const world = createWorld([worker]);
    world.group.start();
    for (let i = 0; i < 15; i++) world.server.push(`task-${i}`, "a");
    await world.clock.advanceAsync(5_000);
    world.server.fate = () => "unavailable";
    finish();
    await world.clock.advanceAsync(13_000);
    expect(world.group.status.resultsWaiting).toBe(15);
    expect(judge(world).reasons).toEqual([
      expect.stringMatching(/answered no poll for 1\d s|polls have failed for 1\d s/),
    ]);
    world.server.fate = () => "ok";
    await world.clock.advanceAsync(6_000);
    expect(judge(world).isReady).toBe(true);
  });

  test("stays green while a runner is full for long", async () => {
    const world = createWorld([workerConfig("a", () => world.sleep(600_000), { executionTimeoutMs: 700_000 })]);
    world.group.start();
    world.server.push("long", "a");
    await world.clock.advanceAsync(300_000);
    expect(world.group.status.runners[0]).toMatchObject({ phase: "full" });
    expect(world.group.status.runners[0]!.lastPollAgoMs).toBeGreaterThan(250_000);
    expect(judge(world).isReady).toBe(true);
  });

  test("is green again after an outage also where held polls are rationed, and task types without work poll rarely", async () => {
    const workers = Array.from({ length: 6 }, (_, i) => workerConfig(`t${i}`, () => ({})));
    const world = createWorld(workers, { maxHeldPolls: 2 });
    world.group.start();
    await world.clock.advanceAsync(60_000);
    expect(judge(world).isReady).toBe(true);
    world.server.fate = () => "notSent";
    await world.clock.advanceAsync(30_000);
    expect(judge(world).isReady).toBe(false);
    world.server.fate = () => "ok";
    await world.clock.advanceAsync(30_000);
    expect(judge(world).reasons).toEqual([]);
    await world.clock.advanceAsync(600_000);
    expect(judge(world).reasons).toEqual([]);
  });
});
