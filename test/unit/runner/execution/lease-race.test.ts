import { describe, expect, test } from "vitest";
import { inProgress } from "../../../../src/worker/in-progress.js";
import { createWorld, workerConfig } from "../../../support/unit/runner-world.js";

// The server carries out a lease extension by reading the task and writing it back: a result that arrives in between is
// undone, although both were answered 200.
describe("a result beside a lease extension", () => {
  test.each([
    ["a result", () => ({}), "COMPLETED"],
    ["a hand-back", () => inProgress({ callbackAfterSeconds: 60 }), "SCHEDULED"],
  ] as const)("%s is not sent while a lease extension is under way", async (_name, outcome, status) => {
    for (let ms = 1_100; ms <= 2_600; ms += 100) {
      const worker = workerConfig(
        "t",
        async () => {
          await world.sleep(ms);
          return outcome();
        },
        { executionTimeoutMs: 60_000 },
      );
      const world = createWorld([worker]);
      world.server.latencyMs = () => 400;
      world.server.push("a", "t", { responseTimeoutSeconds: 2 });
      world.group.start();
      await world.clock.advanceAsync(10_000);
      expect(world.server.extensions, `extensions of a task of ${ms} ms`).toBeGreaterThan(0);
      expect(world.server.tasks.get("a")?.status, `a task of ${ms} ms`).toBe(status);
      const draining = world.group.drain(0);
      await world.clock.advanceAsync(5_000);
      expect((await draining).leftInFlight).toBe(0);
    }
  });

  test("a result that a lease extension without an answer undoes later is sent again", async () => {
    const worker = workerConfig(
      "t",
      async () => {
        await world.sleep(2_000);
        return { n: 1 };
      },
      { executionTimeoutMs: 60_000 },
    );
    const world = createWorld([worker]);
    let updates = 0;
    // The extension is lost on the way back, and carried out after the result has been acknowledged.
    const update = world.server.update.bind(world.server);
    world.server.update = async (taskId, body) => {
      updates += 1;
      if (updates > 1) return update(taskId, body);
      void world.sleep(1_500).then(() => {
        world.server.tasks.get(taskId)!.status = "IN_PROGRESS";
      });
      world.server.fate = () => "lostRequest";
      const reply = await update(taskId, body);
      world.server.fate = () => "ok";
      return reply;
    };
    world.server.push("a", "t", { responseTimeoutSeconds: 2 });
    world.group.start();
    await world.clock.advanceAsync(10_000);
    expect(world.server.tasks.get("a")?.status).toBe("COMPLETED");
    expect(world.group.status.inFlight).toBe(0);
  });
});
