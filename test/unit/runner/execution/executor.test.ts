import { AsyncLocalStorage } from "node:async_hooks";
import { describe, expect, test } from "vitest";
import type { Task } from "../../../../src/conductor/types.js";
import type { WorkerConfig } from "../../../../src/config/types.js";
import type { Execute } from "../../../../src/worker/define-worker.js";
import { createWorld, workerConfig } from "../../../support/unit/runner-world.js";

/** Runs ten tasks: some come together, some one with the result of the other. */
async function runTen(execute: Execute<Record<string, unknown>, unknown>, options: Partial<WorkerConfig> = {}) {
  const world = createWorld([workerConfig("t", execute, { concurrency: 3, ...options })]);
  for (let i = 0; i < 10; i += 1) world.server.push(`id-${i}`, "t");
  world.group.start();
  await world.clock.advanceAsync(5_000);
  return { completed: world.server.count("COMPLETED"), inFlight: world.group.status.inFlight };
}

describe("the executor", () => {
  test.each([
    ["before it waits", async () => {}],
    ["without waiting", () => ({})],
  ])("what a function does to its async context, %s, is not there for the next one", async (_name, end) => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    await runTen((_input, { taskId }) => {
      seen.push(storage.getStore());
      storage.enterWith(taskId);
      return end();
    });
    expect(seen).toEqual(Array.from({ length: 10 }, () => undefined));
    expect(storage.getStore()).toBeUndefined();
  });

  const spoil = (task: Task) => {
    Object.assign(task, { taskId: "another", workflowInstanceId: "another" });
    Reflect.deleteProperty(task, "pollCount");
    return { status: "COMPLETED" };
  };

  test.each([
    ["of ours", (_input: object, { task }: { task: Task }) => spoil(task), false],
    ["of the official SDK's shape", (task: object) => spoil(task as Task), true],
  ])("a function %s that spoils its task is reported all the same", async (_name, execute, takesTask) => {
    expect(await runTen(execute, { takesTask })).toEqual({ completed: 10, inFlight: 0 });
  });

  test("between functions that compute the event loop turns, and the result of each is sent", async () => {
    const order: string[] = [];
    const execute = (_input: unknown, { taskId }: { taskId: string }) => {
      order.push(`ran ${taskId}`);
      setImmediate(() => order.push("turned"));
      computedMs += 20;
    };
    const world = createWorld([workerConfig("t", execute, { concurrency: 4 })]);
    const now = world.clock.now.bind(world.clock);
    let computedMs = 0;
    world.clock.now = () => now() + computedMs;
    world.events.on("taskExecuted", ({ taskId }) => order.push(`executed ${taskId}`));
    for (let i = 0; i < 4; i += 1) world.server.push(`id-${i}`, "t");
    world.group.start();
    await world.clock.advanceAsync(5_000);
    expect(order).toEqual(Array.from({ length: 4 }, (_, i) => [`ran id-${i}`, `executed id-${i}`, "turned"]).flat());
    expect(world.server.count("COMPLETED")).toBe(4);
  });

  test("a function that waits for the event loop when the worker stops is not entered any more", async () => {
    const ran: string[] = [];
    const execute = (_input: unknown, { taskId }: { taskId: string }) => {
      ran.push(taskId);
      computedMs += 20;
      // With the first of those that came together; the scout brought one.
      if (ran.length === 2) void world.group.drain(1_000);
    };
    const world = createWorld([workerConfig("t", execute, { concurrency: 4 })]);
    const now = world.clock.now.bind(world.clock);
    let computedMs = 0;
    world.clock.now = () => now() + computedMs;
    for (let i = 0; i < 4; i += 1) world.server.push(`id-${i}`, "t");
    world.group.start();
    await world.clock.advanceAsync(5_000);
    expect(ran).toEqual(["id-0", "id-1"]);
    expect([world.server.count("COMPLETED"), world.server.count("SCHEDULED")]).toEqual([2, 2]);
    expect(world.group.status.inFlight).toBe(0);
  });

  test("a task that others computed away half of the lease of goes back, but not for ever", async () => {
    const ran: string[] = [];
    const execute = (_input: unknown, { taskId, pollCount }: { taskId: string; pollCount: number }) => {
      ran.push(`${taskId} ${pollCount}`);
      computedMs += 6_000;
    };
    const world = createWorld([workerConfig("t", execute, { concurrency: 8 })]);
    const now = world.clock.now.bind(world.clock);
    let computedMs = 0;
    world.clock.now = () => now() + computedMs;
    const reasons: string[] = [];
    world.events.on("taskHandedBack", ({ taskId, reason }) => reasons.push(`${taskId} ${reason}`));
    for (let i = 0; i < 8; i += 1) world.server.push(`id-${i}`, "t", { responseTimeoutSeconds: 10 });
    world.group.start();
    await world.clock.advanceAsync(20_000);
    expect(world.server.count("COMPLETED")).toBe(8);
    expect(ran, "each ran once").toHaveLength(8);
    expect(new Set(reasons.map((one) => one.split(" ")[1]))).toEqual(new Set(["surplus"]));
    expect(Math.max(...ran.map((one) => Number(one.split(" ")[1]))), "hand-outs").toBe(4);
  });
});
