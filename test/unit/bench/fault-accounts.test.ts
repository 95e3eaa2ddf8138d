import { describe, expect, test } from "vitest";
import { accountsOf, type Told } from "../../../bench/faults/accounts.js";
import type { Task, Workflow } from "../../../src/index.js";

const workflow = (workflowId: string, ...statuses: Task["status"][]): Workflow =>
  ({
    workflowId,
    tasks: statuses.map((status, attempt) => ({ taskId: `${workflowId}.${attempt}`, status })),
  }) as unknown as Workflow;
const began = (workflowId: string, attempt = 0): Told => ({
  kind: "began",
  workflowId,
  taskId: `${workflowId}.${attempt}`,
});
const finished = (workflowId: string, attempt = 0): Told => ({ ...began(workflowId, attempt), kind: "finished" });

describe("the accounts of the fault bench", () => {
  test("what ended, failed and ran again, or waits in its queue is not lost", () => {
    const workflows = [
      workflow("done", "COMPLETED"),
      workflow("retried", "FAILED", "COMPLETED"),
      workflow("waits", "SCHEDULED"),
    ];
    const told = [began("done"), finished("done"), began("retried"), began("retried", 1), finished("retried", 1)];
    expect(accountsOf(workflows, told)).toEqual({ lost: 0, lostFinished: 0, lostUnbegun: 0, again: 0 });
  });

  test("what was handed out and is open, or was timed out, is lost, and it is told how far it had come", () => {
    const workflows = [
      workflow("finished", "IN_PROGRESS"),
      workflow("running", "TIMED_OUT", "SCHEDULED"),
      workflow("unbegun", "IN_PROGRESS"),
    ];
    const told = [began("finished"), finished("finished"), began("running")];
    expect(accountsOf(workflows, told)).toEqual({ lost: 3, lostFinished: 1, lostUnbegun: 1, again: 0 });
  });

  test("a function that begins after it had finished for the same workflow ran again", () => {
    const workflows = [workflow("a", "TIMED_OUT", "COMPLETED"), workflow("b", "COMPLETED")];
    const told = [began("a"), finished("a"), began("b"), finished("b"), began("a", 1), finished("a", 1)];
    expect(accountsOf(workflows, told)).toMatchObject({ lost: 1, lostFinished: 1, again: 1 });
  });
});
