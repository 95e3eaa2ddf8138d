import { describe, expect, test } from "vitest";
import { TaskContextImpl } from "../../../src/runner/execution/context.js";
import { silentLogger } from "../../support/log/loggers.js";
import { entryOf } from "../../support/unit/runner.js";
import { FakeClock } from "../../support/time/fake-clock.js";

const HANDED_OUT = {
  taskId: "a",
  workflowInstanceId: "wf",
  workerId: "another",
  pollCount: 3,
  retryCount: 2,
  domain: "d",
  responseTimeoutSeconds: 7,
  inputData: { large: "x".repeat(1_000) },
  workflowTask: { name: "t", taskReferenceName: "r", inputParameters: { large: "x".repeat(1_000) } },
  runtimeMetadata: { key: "secret" },
};

describe("a task in flight that has shed what only its function needed", () => {
  test("is named, and recognised as handed out, as before", () => {
    const entry = entryOf(HANDED_OUT);
    const { ids, ownerId, task } = entry;
    entry.shed();
    expect(entry.ids).toEqual(ids);
    expect(entry.ownerId).toBe(ownerId);
    expect(entry.isAsHandedOut({ ...task, status: "IN_PROGRESS" })).toBe(true);
    expect(entry.isAsHandedOut({ ...task, status: "IN_PROGRESS", pollCount: 4 })).toBe(false);
  });

  test("holds nothing of what it was given", () => {
    const entry = entryOf(HANDED_OUT);
    entry.logs = new TaskContextImpl(entry, new FakeClock(), silentLogger);
    entry.shed();
    expect(JSON.stringify(entry.task).length).toBeLessThan(300);
    expect(entry.task).toMatchObject({
      taskId: "a",
      retryCount: 2,
      responseTimeoutSeconds: 7,
      inputData: {},
      outputData: {},
    });
    expect(entry.logs).toBeUndefined();
  });

  test("still shows it to a function that goes on", () => {
    const entry = entryOf(HANDED_OUT);
    const context = new TaskContextImpl(entry, new FakeClock(), silentLogger);
    entry.shed();
    expect(context.task).toMatchObject(HANDED_OUT);
    expect(context.referenceTaskName).toBe(entryOf().task.referenceTaskName);
  });
});
