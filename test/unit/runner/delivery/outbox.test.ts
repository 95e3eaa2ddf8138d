import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { createScriptedWorld, drain, never, refused, type World } from "../../../support/unit/runner.js";
import { workerConfig } from "../../../support/unit/runner-world.js";

const KB = 1024;
const push = (world: World, count: number) => {
  for (let i = 0; i < count; i += 1) world.server.push(`t${world.server.tasks.size}`, "t");
};
const busy = () => Promise.resolve(refused(503));
const worker = (kb: number, concurrency = 1) =>
  workerConfig("t", () => ({ data: "x".repeat(kb * KB) }), { concurrency });

describe("the bounds of the outbox", () => {
  test("count results that wait and those that are sent again", async () => {
    const outboxLimits = { maxResults: 1_000, maxBytes: 35 * KB };
    const world = createScriptedWorld([worker(10)], () => ({ update: busy, updateV2: busy }), { outboxLimits });
    push(world, 10);
    world.group.start();
    await world.clock.advanceAsync(60_000);
    expect(world.group.status).toMatchObject({ resultsWaiting: 4, outboxFull: true, inFlight: 4 });
  });

  test("count results that are sent for the first time, once any waits", async () => {
    let sent = 0;
    const update = () => ((sent += 1) === 1 ? busy() : never<never>());
    const outboxLimits = { maxResults: 1_000, maxBytes: 25 * KB };
    const world = createScriptedWorld([worker(10, 10)], () => ({ update, updateV2: update }), { outboxLimits });
    push(world, 1);
    world.group.start();
    await world.clock.advanceAsync(10);
    expect(world.group.status).toMatchObject({ resultsWaiting: 1, outboxFull: false });
    push(world, 2);
    await world.clock.advanceAsync(5_000);
    expect(world.group.status).toMatchObject({ resultsWaiting: 1, outboxFull: true, inFlight: 3 });
  });

  test("hold up nobody while none waits, however much is on its way", async () => {
    const outboxLimits = { maxResults: 1_000, maxBytes: 5 * KB };
    const world = createScriptedWorld([worker(10, 10)], () => ({ update: never, updateV2: never }), { outboxLimits });
    push(world, 8);
    world.group.start();
    await world.clock.advanceAsync(5_000);
    expect(world.group.status).toMatchObject({ resultsWaiting: 0, outboxFull: false, inFlight: 8 });
  });

  test("are free again when results have left, whichever door they took", async () => {
    let isAway = true;
    const outboxLimits = { maxResults: 1_000, maxBytes: 25 * KB };
    const world = createScriptedWorld(
      [worker(10)],
      (model) => ({
        update: (taskId, body) => {
          if (isAway) return busy();
          return taskId === "t0" ? Promise.resolve(refused(400, "no")) : model.update(taskId, body);
        },
        updateV2: (body) => (isAway ? busy() : model.updateV2(body)),
      }),
      { outboxLimits },
    );
    push(world, 10);
    world.group.start();
    await world.clock.advanceAsync(30_000);
    expect(world.group.status).toMatchObject({ resultsWaiting: 3, outboxFull: true });
    isAway = false;
    await world.clock.advanceAsync(60_000);
    expect(world.group.status).toMatchObject({ resultsWaiting: 0, outboxFull: false });
    expect(await drain(world)).toMatchObject({ leftInFlight: 0 });
  });
});

describe("what a waiting result keeps in memory", () => {
  test("is its bytes, and neither its task's input nor its output as objects", { timeout: 60_000 }, async () => {
    const script = `
      import { workerConfig } from "./test/support/unit/runner-world.ts";
      import { createScriptedWorld, refused } from "./test/support/unit/runner.ts";
      const busy = () => Promise.resolve(refused(503));
      const rows = () => Array.from({ length: 10_000 }, (_, i) => ({ id: i, name: "n" + i }));
      const worker = workerConfig("t", (input, context) => {
        context.log("seen " + context.task.taskId);
        context.signal;
        return { rows: rows() };
      });
      const world = createScriptedWorld([worker], () => ({ update: busy, updateV2: busy }));
      world.group.start();
      const used = () => { globalThis.gc(); return process.memoryUsage(); };
      const run = async (count) => {
        for (let i = 0; i < count; i += 1) {
          const id = "t" + world.server.tasks.size;
          world.server.push(id, "t");
          // The model hands out its own task; what a real answer brings is nobody else's.
          world.server.tasks.get(id).task.inputData = { rows: rows() };
          while (world.server.tasks.get(id).status === "SCHEDULED") await world.clock.advanceAsync(100);
          world.server.tasks.get(id).task.inputData = {};
        }
      };
      await run(5);
      const before = used();
      await run(50);
      await world.clock.advanceAsync(1_000);
      const after = used();
      console.log(JSON.stringify({
        waiting: world.group.status.resultsWaiting,
        heapKbEach: Math.round((after.heapUsed - before.heapUsed) / 50 / 1024),
        bytesKbEach: Math.round((after.arrayBuffers - before.arrayBuffers) / 50 / 1024),
      }));
    `;
    const args = ["--expose-gc", "--import", "tsx", "--input-type=module", "-e", script];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const seen = JSON.parse(stdout) as { waiting: number; heapKbEach: number; bytesKbEach: number };
    expect(seen.waiting).toBe(55);
    // The input and the output have some 600 kB each as objects.
    expect(seen.heapKbEach).toBeLessThan(60);
    expect(seen.bytesKbEach).toBeGreaterThan(200);
  });
});
