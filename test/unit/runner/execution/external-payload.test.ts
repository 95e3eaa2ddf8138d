import { describe, expect, test } from "vitest";
import {
  answered,
  createScriptedWorld,
  drain,
  handOut,
  parse,
  record,
  type World,
} from "../../../support/unit/runner.js";
import { createWorld, workerConfig } from "../../../support/unit/runner-world.js";

const EXTERNAL = { externalInputPayloadStoragePath: "task/input/4711.json" };

/** A task on the server whose input is elsewhere. */
const push = (world: World, taskId: string, fields = EXTERNAL) => {
  world.server.push(taskId, "t");
  Object.assign(world.server.tasks.get(taskId)!.task, fields);
};

describe("external payload storage", () => {
  test("a task whose input lies in external storage is failed for good before its function runs", async () => {
    let runs = 0;
    const bodies: string[] = [];
    const world = createScriptedWorld([workerConfig("t", () => (runs++, {}))], (model) => ({
      update: (taskId, body) => {
        bodies.push(String(body));
        return model.update(taskId, body);
      },
    }));
    const told = record(world, "externalPayloadUsed");
    world.group.start();
    push(world, "a");
    await world.clock.advanceAsync(3_000);
    expect(runs).toBe(0);
    expect(bodies.map(parse)).toMatchObject([
      {
        status: "FAILED_WITH_TERMINAL_ERROR",
        reasonForIncompletion: expect.stringContaining("lies in external payload storage") as string,
      },
    ]);
    const workflowInstanceId = expect.any(String) as string;
    const payload = { operation: "READ", payloadType: "TASK_INPUT" };
    expect(told).toEqual([{ taskType: "t", taskId: "a", workflowInstanceId, ...payload }]);
    expect(world.group.status.inFlight).toBe(0);
  });

  test("so is one that comes along with an update", async () => {
    const ran: unknown[] = [];
    const results: string[] = [];
    let chained = 0;
    const config = workerConfig("t", (_input, ctx) => void ran.push(ctx.taskId), { concurrency: 2 });
    const world = createScriptedWorld([config], (model) => ({
      updateV2: async (body) => {
        const reply = await model.updateV2(body);
        chained += 1;
        return chained === 1 ? answered(handOut({ taskId: "external", ...EXTERNAL })) : reply;
      },
      update: (taskId, body) => {
        if (taskId !== "external") return model.update(taskId, body);
        results.push(parse(body).status);
        return Promise.resolve(answered<true>(true));
      },
    }));
    for (let i = 0; i < 20; i += 1) world.server.push(`a${i}`, "t");
    world.group.start();
    await world.clock.advanceAsync(10_000);
    expect(results).toEqual(["FAILED_WITH_TERMINAL_ERROR"]);
    expect(ran).not.toContain("external");
  });

  test("an empty path means that there is none", async () => {
    let runs = 0;
    const world = createWorld([workerConfig("t", () => (runs++, {}))]);
    world.group.start();
    push(world, "a", { externalInputPayloadStoragePath: "" });
    await world.clock.advanceAsync(3_000);
    expect(runs).toBe(1);
  });

  test("while the worker stops it is given back, for another SDK may read its input", async () => {
    const world = createWorld([workerConfig("t", () => ({}))]);
    const told = record(world, "externalPayloadUsed");
    const returned = record(world, "taskHandedBack");
    world.group.start();
    await world.clock.advanceAsync(100);
    const drained = drain(world, 5_000);
    push(world, "a");
    await drained;
    expect(told).toEqual([]);
    expect(returned).toMatchObject([{ taskId: "a", reason: "stopping" }]);
  });
});
