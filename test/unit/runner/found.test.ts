import { expect, test, vi } from "vitest";
import type { TaskDef } from "../../../src/conductor/types.js";
import { taskTimes } from "../../../src/runner/execution/task-times.js";
import { ServerGate } from "../../../src/runner/gate/server-gate.js";
import { failureVerdict } from "../../../src/runner/gate/verdict.js";
import { returned, returnedTaskResult, threw, type Outcome } from "../../../src/runner/outcome.js";
import { toParcel } from "../../../src/runner/parcel.js";
import { inProgress } from "../../../src/worker/in-progress.js";
import { makeTask } from "../../support/servers/conductor-stub.js";
import { FakeClock } from "../../support/time/fake-clock.js";
import {
  answered,
  createScriptedWorld,
  drain,
  entryOf,
  handOut,
  lostAnswer,
  never,
  parse,
  record,
  refused,
} from "../../support/unit/runner.js";
import { createWorld, workerConfig } from "../../support/unit/runner-world.js";

const parcelOf = (outcome: Outcome) => {
  if (outcome.kind !== "completed" && outcome.kind !== "failed") throw new Error(`no result: ${outcome.kind}`);
  return parse(toParcel(entryOf(), outcome).body);
};

test("a running task survives a 404 that is not Conductor's, met by its lease", async () => {
  let extensions = 0;
  const world = createScriptedWorld(
    [workerConfig("t", () => world.sleep(8_000), { executionTimeoutMs: 30_000 })],
    (model) => ({
      update: (taskId, body) => {
        if (parse(body).extendLease !== true) return model.update(taskId, body);
        extensions += 1;
        return Promise.resolve(extensions === 1 ? refused(404) : answered<true>(true));
      },
    }),
  );
  world.group.start();
  world.server.push("a", "t", { responseTimeoutSeconds: 10 });
  await world.clock.advanceAsync(20_000);
  expect(world.server.count("COMPLETED")).toBe(1);
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

const cycle: Record<string, unknown> = {};
cycle.self = cycle;

test.each<[string, Record<string, unknown>]>([
  ["BigInt", { n: 1n }],
  ["cycle", cycle],
])("an inProgress output that cannot be serialised (%s) becomes a terminal failure", async (_name, output) => {
  const world = createWorld([workerConfig("t", () => inProgress({ callbackAfterSeconds: 1, output }))]);
  world.group.start();
  world.server.push("a", "t");
  await world.clock.advanceAsync(5_000);
  expect(world.server.count("FAILED_WITH_TERMINAL_ERROR")).toBe(1);
});

test("a proxy's 404 for update-v2 is found out, and does not hold up the others", async () => {
  let asked = 0;
  const world = createScriptedWorld([workerConfig("t", () => ({}), { concurrency: 2 })], () => ({
    updateV2: async () => {
      asked += 1;
      await world.sleep(1);
      return refused(404);
    },
  }));
  for (let i = 0; i < 100; i += 1) world.server.push(`a${i}`, "t");
  world.group.start();
  await world.clock.advanceAsync(10_000);
  expect({ done: world.server.count("COMPLETED"), askedOften: asked > 4 }).toEqual({ done: 100, askedOften: false });
});

test.each([400, 405, 413, 414, 415, 422, 431])(
  "an HTML %i to an update is about that update, not the server",
  (status) => {
    expect(["ok", "neutral"]).toContain(failureVerdict(refused(status)));
  },
);

test("one task type that the server refuses to serve does not slow the others", async () => {
  const world = createScriptedWorld(
    [workerConfig("secret", () => ({})), workerConfig("t", () => ({}), { concurrency: 1 })],
    (model) => ({
      pollBatch: async (request) => {
        if (request.taskType !== "secret") return model.pollBatch(request);
        await world.sleep(1);
        return refused(403, "no access to this task type");
      },
    }),
  );
  world.group.start();
  await world.clock.advanceAsync(60_000);
  for (let i = 0; i < 50; i += 1) world.server.push(`a${i}`, "t");
  await world.clock.advanceAsync(5_000);
  expect(world.server.count("COMPLETED")).toBe(50);
});

test("a probe that is never reported does not close the gate for ever", async () => {
  const clock = new FakeClock();
  const gate = new ServerGate(clock, () => 0);
  const first = gate.admit();
  if ("waitMs" in first) throw new Error("closed");
  first.report("unreachable");
  clock.advance(200);
  expect(gate.admit()).toMatchObject({ isProbe: true }); // and forgotten
  clock.advance(3_600_000);
  expect(gate.admit()).not.toHaveProperty("waitMs");
});

test("a cancellation check that hangs does not cost the lease", async () => {
  const extendedAt: number[] = [];
  const world = createScriptedWorld(
    [workerConfig("t", () => world.sleep(60_000), { executionTimeoutMs: 120_000 })],
    (model) => ({
      get: async () => {
        await world.sleep(10_000);
        return lostAnswer();
      },
      update: async (taskId, body) => {
        if (parse(body).extendLease !== true) return model.update(taskId, body);
        extendedAt.push(world.clock.now());
        await world.sleep(1);
        return answered<true>(true);
      },
    }),
  );
  world.group.start();
  world.server.push("a", "t", { responseTimeoutSeconds: 6 });
  await world.clock.advanceAsync(50_000);
  const gaps = extendedAt.map((at, index) => at - (extendedAt[index - 1] ?? 0));
  expect(Math.max(...gaps)).toBeLessThan(6_000);
});

test("a result whose delivery hangs when the worker stops is recorded before the drain ends", async () => {
  const world = createScriptedWorld([workerConfig("t", () => ({ precious: 1 }))], () => ({
    update: never,
    updateV2: never,
  }));
  const undeliverable = record(world, "taskUndeliverable");
  world.group.start();
  world.server.push("a", "t");
  await world.clock.advanceAsync(1_000);
  const report = await drain(world, 1_000);
  expect(undeliverable).toMatchObject([{ taskId: "a", result: { outputData: { precious: 1 } } }]);
  expect(report.leftInFlight).toBe(0);
});

test.each([
  ["a Date", new Date(0)],
  ["an object whose toJSON gives a string", { toJSON: () => "text" }],
  ["an object whose toJSON gives an array", { toJSON: () => [1] }],
  ["a boxed string", Object("text") as object],
])("%s as the output reaches the server as an object", (_name, value) => {
  const { outputData, status } = parcelOf(returned(value));
  if (status === "COMPLETED") expect(outputData).toBeTypeOf("object");
  if (status === "COMPLETED") expect(Array.isArray(outputData)).toBe(false);
});

test.each([new Error("no"), 42, { code: 1 }, true])(
  "a reasonForIncompletion that is no text (%s) does not cost the status",
  (reasonForIncompletion) => {
    const result = parcelOf(returnedTaskResult({ status: "FAILED_WITH_TERMINAL_ERROR", reasonForIncompletion }));
    expect(result.status).toBe("FAILED_WITH_TERMINAL_ERROR");
    expect(result.reasonForIncompletion).toBeTypeOf("string");
  },
);

test.each([undefined, 42])("an error without a message, and with the name %s, still has a reason", (name) => {
  const error = Object.defineProperty(new Error(""), "name", { value: name });
  expect(parcelOf(threw(error)).reasonForIncompletion).toBeTypeOf("string");
});

test("log lines of the official shape that are no objects do not cost the result", () => {
  const logs = Array.from({ length: 11 }, () => null);
  expect(parcelOf(returnedTaskResult({ status: "COMPLETED", outputData: { a: 1 }, logs })).status).toBe("COMPLETED");
});

test("a timeoutSeconds that only alerts is no deadline", () => {
  const taskDefinition: TaskDef = {
    name: "t",
    timeoutSeconds: 60,
    timeoutPolicy: "ALERT_ONLY",
    responseTimeoutSeconds: 3600,
  };
  const task = makeTask({ taskDefinition });
  expect(taskTimes(task, 300_000).budgetMs).toBe(300_000);
  expect(taskTimes(task, undefined).budgetMs).toBe(3_595_000);
});

test("a started task whose workflow says retryCount 0 is failed at the drain deadline, not handed back", async () => {
  const world = createWorld([workerConfig("t", () => never())]);
  world.group.start();
  world.server.push("a", "t", { retryCount: 3 });
  world.server.tasks.get("a")!.task.workflowTask!.retryCount = 0;
  await world.clock.advanceAsync(1_000);
  await drain(world, 1_000);
  expect(world.server.count("FAILED")).toBe(1);
});

test("while results fill the outbox no task is asked for along with an update", async () => {
  const world = createScriptedWorld(
    [workerConfig("t", () => world.sleep(10), { concurrency: 2 })],
    (model) => ({
      // Results of even tasks are not taken, for a reason that does not tell on the server as a whole.
      update: async (taskId, body) => {
        if (Number(taskId.slice(1)) % 2 === 1) return model.update(taskId, body);
        await world.sleep(1);
        return refused(500, "boom");
      },
      updateV2: async (body) => {
        if (Number(parse(body).taskId.slice(1)) % 2 === 1) return model.updateV2(body);
        await world.sleep(1);
        return refused(500, "boom");
      },
    }),
    { outboxLimits: { maxResults: 3, maxBytes: 1e9 } },
  );
  for (let i = 0; i < 1_000; i += 1) world.server.push(`a${i}`, "t");
  world.group.start();
  let most = 0;
  for (let i = 0; i < 200; i += 1) {
    await world.clock.advanceAsync(10);
    most = Math.max(most, world.group.status.resultsWaiting);
  }
  expect(most).toBeLessThanOrEqual(5);
});

test("a second drain cannot lengthen the first", async () => {
  const world = createWorld([workerConfig("t", () => never())]);
  world.group.start();
  world.server.push("a", "t");
  await world.clock.advanceAsync(1_000);
  const ended = vi.fn();
  void world.group.drain(1_000).then(ended);
  await world.clock.advanceAsync(10);
  void world.group.drain(60_000).then(ended);
  await world.clock.advanceAsync(10_000);
  expect(ended).toHaveBeenCalled();
});

test("one task type in two domains: the success of one does not end the trouble of the other", async () => {
  const info = vi.fn();
  const log = { debug: () => {}, info, warn: () => {}, error: () => {} };
  const world = createScriptedWorld(
    [workerConfig("t", () => ({}), { domain: "a" }), workerConfig("t", () => ({}), { domain: "b" })],
    (model) => ({
      pollBatch: async (request) => {
        if (request.domain === "b") return model.pollBatch(request);
        await world.sleep(1);
        return refused(500, "boom");
      },
    }),
    { log },
  );
  world.group.start();
  await world.clock.advanceAsync(30_000);
  expect(info).not.toHaveBeenCalled();
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

test("an output whose toJSON throws is a terminal failure, as any that cannot be serialised", async () => {
  const output = {
    toJSON: () => {
      throw new Error("no");
    },
  };
  const world = createWorld([workerConfig("t", () => output)]);
  world.group.start();
  world.server.push("a", "t");
  await world.clock.advanceAsync(1_000);
  expect(world.server.updates).toMatchObject([{ status: "FAILED_WITH_TERMINAL_ERROR" }]);
});

test("a first delivery that fails by a bug of ours does not cost the result", async () => {
  let attempts = 0;
  const world = createScriptedWorld([workerConfig("t", () => ({ n: 1 }))], (model) => ({
    update: (taskId, body) => {
      if (++attempts === 1) throw new Error("a bug of ours");
      return model.update(taskId, body);
    },
  }));
  world.group.start();
  world.server.push("a", "t");
  await world.clock.advanceAsync(20_000);
  expect(world.server.count("COMPLETED")).toBe(1);
  expect(world.group.status).toMatchObject({ inFlight: 0, runners: [{ running: 0 }] });
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

test("polls that are told to wait for long do not cost the lease of what runs", async () => {
  const extendedAt: number[] = [];
  const world = createScriptedWorld(
    [workerConfig("t", () => world.sleep(60_000), { executionTimeoutMs: 120_000, concurrency: 2 })],
    (model) => ({
      pollBatch: async (request) => {
        if (world.clock.now() < 1_000) return model.pollBatch(request);
        await world.sleep(1);
        return refused(429, undefined, { retryAfterMs: 30_000 });
      },
      update: async (taskId, body) => {
        if (parse(body).extendLease !== true) return model.update(taskId, body);
        extendedAt.push(world.clock.now());
        await world.sleep(1);
        return answered<true>(true);
      },
    }),
  );
  world.group.start();
  world.server.push("a", "t", { responseTimeoutSeconds: 10 });
  await world.clock.advanceAsync(50_000);
  const gaps = [...extendedAt, 50_000].map((at, index) => at - (extendedAt[index - 1] ?? 0));
  expect(Math.max(...gaps)).toBeLessThan(10_000);
});

test("a queue full of tasks that cannot run is not swallowed faster than they can be reported", async () => {
  let polls = 0;
  const world = createScriptedWorld([workerConfig("t", () => ({}))], () => ({
    pollBatch: async () => {
      polls += 1;
      await world.sleep(1);
      return answered({ handOuts: [handOut({ taskId: `m${polls}` }, "inputData is no object")], malformed: 0 });
    },
    update: async () => {
      await world.sleep(5_000);
      return answered<true>(true);
    },
  }));
  world.group.start();
  await world.clock.advanceAsync(3_000);
  expect(world.group.status.inFlight).toBeLessThan(100);
});
