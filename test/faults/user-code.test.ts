import { http, HttpResponse } from "msw";
import { afterEach, beforeEach, expect, test } from "vitest";
import { defineWorker, TaskHandler, type WorkerEvents, type WorkerSpec } from "../../src/index.js";
import {
  makeTask,
  startConductorStub,
  type ServedConductorStub,
  type TaskOverrides,
} from "../support/conductor-stub.js";
import { silentLogger } from "../support/runner-world.js";
import { waitFor } from "../support/wait-for.js";

type Input = Record<string, unknown>;

let served: ServedConductorStub;
let handler: TaskHandler | undefined;

beforeEach(async () => {
  served = await startConductorStub();
});
afterEach(async () => {
  await handler?.stop({ drainTimeoutMs: 500 });
  handler = undefined;
  await served.close();
});

async function startWorker(spec: Omit<WorkerSpec<Input, unknown>, "taskDefName">): Promise<TaskHandler> {
  handler = new TaskHandler({
    serverUrl: served.serverUrl,
    logger: silentLogger,
    workers: [defineWorker<Input>({ taskDefName: "work", longPollMs: 500, ...spec })],
  });
  await handler.start();
  return handler;
}

function push(overrides: TaskOverrides = {}) {
  const task = makeTask({ taskType: "work", taskDefName: "work", ...overrides });
  served.stub.push(task);
  return task;
}

const statusOf = (taskId: string) => served.stub.tasks.get(taskId)?.status;
const ended = (taskId: string, boundMs = 5_000) =>
  waitFor(() => statusOf(taskId) !== "SCHEDULED" && statusOf(taskId) !== "IN_PROGRESS", {
    boundMs,
    what: `${taskId} to end`,
  });
const updateOf = async (taskId: string) => {
  await ended(taskId);
  return served.stub.updatesOf(taskId).at(-1)!;
};

test.each([1, 10])("functions that never settle free their %i slots at their deadline", async (concurrency) => {
  const worker = await startWorker({
    concurrency,
    executionTimeoutMs: 700,
    execute: (input) => (input.hang === true ? new Promise(() => {}) : { ok: true }),
  });
  const hung = Array.from({ length: concurrency }, () => push({ inputData: { hang: true } }));
  await waitFor(() => worker.status.runners[0]!.running === concurrency, { what: "all slots to be taken" });
  const next = push();
  await ended(next.taskId);
  expect(statusOf(next.taskId)).toBe("COMPLETED");
  for (const { taskId } of hung) {
    const update = await updateOf(taskId);
    expect(update.status).toBe("FAILED");
    expect(update.reasonForIncompletion).toContain("executionTimeoutMs of 700 ms");
  }
  expect(worker.status.abandoned).toBe(concurrency);
  await waitFor(() => worker.status.runners[0]!.running === 0, { what: "every slot to be free" });
});

test("a task is reported failed before the server would time it out", async () => {
  await startWorker({ execute: () => new Promise(() => {}) });
  const task = push({ taskDefinition: { responseTimeoutSeconds: 2 } });
  await waitFor(() => statusOf(task.taskId) === "IN_PROGRESS", { what: "the task to begin" });
  const begunAt = performance.now();
  expect((await updateOf(task.taskId)).status).toBe("FAILED");
  expect(performance.now() - begunAt).toBeLessThan(2_000);
});

test("a task that runs for three times its response timeout keeps its lease and completes", async () => {
  const extended: WorkerEvents["leaseExtended"][] = [];
  const worker = await startWorker({
    executionTimeoutMs: 10_000,
    execute: async () => {
      await new Promise((resolve) => setTimeout(resolve, 3_200));
      return { done: true };
    },
  });
  worker.on("leaseExtended", (event) => extended.push(event));
  const task = push({ taskDefinition: { responseTimeoutSeconds: 1 } });
  expect((await updateOf(task.taskId)).status).toBe("COMPLETED");
  const gaps = served.stub.updatesOf(task.taskId).filter((update) => update.extendLease === true).length;
  expect(gaps).toBeGreaterThanOrEqual(5);
  expect(extended.length).toBe(gaps);
});

const hostile = new Proxy(
  {},
  {
    get: () => {
      throw new Error("a trap");
    },
    has: () => {
      throw new Error("a trap");
    },
    getPrototypeOf: () => {
      throw new Error("a trap");
    },
  },
);

test.each<[string, unknown, RegExp]>([
  ["undefined", undefined, /undefined/],
  ["null", null, /null/],
  ["a string", "no such order", /^no such order$/],
  ["a number", 42, /42/],
  ["a symbol", Symbol("s"), /Symbol\(s\)/],
  ["a frozen error", Object.freeze(new Error("cold")), /^cold$/],
  ["an error with a message of 1 MB", new Error("x".repeat(1_000_000)), /^x{499}…$/],
  ["a hostile proxy", hostile, /./],
])("a function that throws %s harms nobody, and what it threw is told", async (_name, thrown, reason) => {
  const worker = await startWorker({
    execute: async (input) => {
      if (input.bad === true) throw thrown;
      return {};
    },
  });
  const bad = push({ inputData: { bad: true } });
  const next = push();
  const update = await updateOf(bad.taskId);
  expect(update.status).toBe("FAILED");
  expect(update.reasonForIncompletion).toMatch(reason);
  await ended(next.taskId);
  expect(statusOf(next.taskId)).toBe("COMPLETED");
  await waitFor(() => worker.status.inFlight === 0, { what: "nothing to be in flight" });
});

const cycle: Record<string, unknown> = {};
cycle.self = cycle;

test.each<[string, () => unknown, string, RegExp | undefined]>([
  ["undefined", () => undefined, "COMPLETED", undefined],
  ["a string", () => "text", "COMPLETED", undefined],
  ["an array", () => [1, 2], "COMPLETED", undefined],
  ["NaN", () => ({ value: NaN }), "COMPLETED", undefined],
  ["a BigInt", () => ({ value: 1n }), "FAILED_WITH_TERMINAL_ERROR", /cannot be serialised: .*BigInt/],
  ["a cycle", () => cycle, "FAILED_WITH_TERMINAL_ERROR", /cannot be serialised: .*circular/],
  [
    "a toJSON that throws",
    () => ({
      toJSON: () => {
        throw new Error("not me");
      },
    }),
    "FAILED_WITH_TERMINAL_ERROR",
    /cannot be serialised: not me/,
  ],
  ["20 MB", () => ({ value: "x".repeat(20_000_000) }), "FAILED_WITH_TERMINAL_ERROR", /too large: 20\d+ bytes/],
])("a function that returns %s", async (_name, value, status, reason) => {
  await startWorker({ execute: value });
  const task = push();
  const update = await updateOf(task.taskId);
  expect(update.status).toBe(status);
  if (reason !== undefined) expect(update.reasonForIncompletion).toMatch(reason);
});

test("a listener that throws, rejects or never settles does not slow the worker, and a logger that throws does not stop it", async () => {
  const throwing = () => {
    throw new Error("logger");
  };
  handler = new TaskHandler({
    serverUrl: served.serverUrl,
    logger: { debug: throwing, info: throwing, warn: throwing, error: throwing },
    workers: [defineWorker({ taskDefName: "work", longPollMs: 500, execute: () => ({}) })],
  });
  handler.on("pollCompleted", () => {
    throw new Error("listener");
  });
  handler.on("taskStarted", () => Promise.reject(new Error("listener")));
  handler.on("taskUpdated", () => new Promise(() => {}));
  await handler.start();
  const tasks = Array.from({ length: 20 }, () => push());
  for (const task of tasks) await ended(task.taskId);
});

test("a result that is always answered 500 does not hold up the others, and ends as a failure that says why", async () => {
  const undeliverable: WorkerEvents["taskUndeliverable"][] = [];
  const worker = await startWorker({ concurrency: 2, execute: () => ({ ok: true }) });
  worker.on("taskUndeliverable", (event) => undeliverable.push(event));
  const poison = makeTask({ taskType: "work", taskDefName: "work" });
  let refused = 0;
  const boom = async ({ request }: { request: Request }) => {
    const result = (await request.clone().json()) as { taskId: string; status: string };
    if (result.taskId !== poison.taskId || result.status !== "COMPLETED") return undefined;
    refused += 1;
    return HttpResponse.json({ status: 500, message: "cannot store this", retryable: false }, { status: 500 });
  };
  served.server.use(http.post("*/api/tasks", boom), http.post("*/api/tasks/update-v2", boom));
  served.stub.push(poison);
  await waitFor(() => refused > 0, { what: "the result to be refused" });
  const others = Array.from({ length: 50 }, () => push());
  for (const task of others) await ended(task.taskId);
  await ended(poison.taskId, 20_000);
  expect(statusOf(poison.taskId)).toBe("FAILED_WITH_TERMINAL_ERROR");
  expect(served.stub.updatesOf(poison.taskId).at(-1)?.reasonForIncompletion).toContain("cannot store this");
  expect(undeliverable).toHaveLength(1);
  expect(undeliverable[0]?.result).toMatchObject({ status: "COMPLETED", outputData: { ok: true } });
});

test("a cancelled task's signal aborts with that reason, and nothing is reported", async () => {
  const reasons: unknown[] = [];
  await startWorker({
    executionTimeoutMs: 60_000,
    execute: (_input, ctx) =>
      new Promise((resolve) => {
        ctx.signal.addEventListener("abort", () => {
          reasons.push(ctx.signal.reason);
          resolve({});
        });
      }),
  });
  const task = push();
  await waitFor(() => statusOf(task.taskId) === "IN_PROGRESS", { what: "the task to begin" });
  served.stub.cancel(task.taskId);
  await waitFor(() => reasons.length > 0, { boundMs: 12_000, what: "the signal to abort" });
  expect(reasons[0]).toMatchObject({ code: "TASK_CANCELLED" });
  expect(served.stub.updatesOf(task.taskId)).toHaveLength(0);
});
