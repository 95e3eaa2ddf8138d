import { AsyncLocalStorage } from "node:async_hooks";
import { expect, test } from "vitest";
import type { Task } from "../../../src/conductor/types.js";
import type { WorkerConfig } from "../../../src/config/types.js";
import type { Execute } from "../../../src/worker/define-worker.js";
import { createWorld, workerConfig } from "../../support/runner-world.js";

/** Runs ten tasks: some come together, some one with the result of the other. */
async function runTen(execute: Execute<Record<string, unknown>, unknown>, options: Partial<WorkerConfig> = {}) {
  const world = createWorld([workerConfig("t", execute, { concurrency: 3, ...options })]);
  for (let i = 0; i < 10; i += 1) world.server.push(`id-${i}`, "t");
  world.group.start();
  await world.clock.advanceAsync(5_000);
  return { completed: world.server.count("COMPLETED"), inFlight: world.group.status.inFlight };
}

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
