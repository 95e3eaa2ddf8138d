import { describe, expect, test } from "vitest";
import { createScriptedWorld, never, record } from "../../support/unit/runner.js";
import { createWorld, workerConfig } from "../../support/unit/runner-world.js";

type World = ReturnType<typeof createWorld>;

/** Evacuates, turning the clock until it has ended; gives how long it took, in ms. */
async function evacuate({ clock, group }: World, boundMs = 5_000, after100Ms = () => {}): Promise<number> {
  const startedAt = clock.now();
  let isOver = false;
  void group.evacuate("the process was stuck", boundMs).then(() => (isOver = true));
  for (let i = 0; i < 600 && !isOver; i += 1) {
    await clock.advanceAsync(100);
    if (i === 0) after100Ms();
  }
  expect(isOver).toBe(true);
  return clock.now() - startedAt;
}

describe("evacuating a runner group", () => {
  test("what was started is failed at once, and what a poll under way still brings is handed back", async () => {
    const world = createWorld([workerConfig("t", never, { concurrency: 2 })]);
    const handedBack = record(world, "taskHandedBack");
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(1_000);
    expect(world.group.status.inFlight).toBe(1);
    const tookMs = await evacuate(world, 5_000, () => {
      expect(world.server.count("FAILED")).toBe(1);
      // As the server's retry of the task does: it goes to whoever polls.
      world.server.push("a, again", "t");
    });
    expect(tookMs).toBeLessThanOrEqual(3_000);
    expect(handedBack).toMatchObject([{ taskId: "a, again", reason: "stopping" }]);
    expect(world.server.count("SCHEDULED")).toBe(1);
    expect(world.server.violations).toEqual([]);
  });

  test("a poll that does not return is not waited for beyond its time", async () => {
    const world = createScriptedWorld([workerConfig("t", never)], () => ({ pollBatch: never }));
    world.group.start();
    await world.clock.advanceAsync(500);
    expect(await evacuate(world)).toBeLessThanOrEqual(2_600);
    expect(await evacuate(world)).toBe(100);
  });

  test("nothing is waited for beyond the bound", async () => {
    const world = createScriptedWorld([workerConfig("t", never)], () => ({ update: never }));
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(500);
    expect(await evacuate(world, 700)).toBe(700);
  });
});
