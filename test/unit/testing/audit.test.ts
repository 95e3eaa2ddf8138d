import { describe, expect, test } from "vitest";
import type { TaskStatus } from "../../../src/conductor/types.js";
import { auditOf, type TaskFacts } from "../../../src/testing/audit.js";
import type { HandOut, LedgerEntry, UpdateReceived } from "../../../src/testing/ledger.js";

const handOut = (taskId: string, fields: Partial<HandOut> = {}): HandOut => ({
  kind: "handOut",
  at: 0,
  taskId,
  taskType: "t",
  workflowInstanceId: "w",
  pollCount: 1,
  workerId: "me",
  by: "poll",
  answerWritten: true,
  ...fields,
});
const update = (taskId: string, fields: Partial<UpdateReceived> = {}): UpdateReceived => ({
  kind: "update",
  at: 0,
  taskId,
  workflowInstanceId: "w",
  status: "COMPLETED",
  workerId: "me",
  extendLease: false,
  endpoint: "v1",
  applied: true,
  ignoredReason: undefined,
  answeredStatus: 200,
  ...fields,
});
const duplicate = { applied: false, ignoredReason: "task already ended" } as const;
const audit = (ledger: LedgerEntry[], statuses: Record<string, TaskStatus> = {}) =>
  auditOf(
    ledger,
    new Map(
      Object.entries(statuses).map(([id, status]): [string, TaskFacts] => [
        id,
        { taskType: "t", status, retryCount: 0 },
      ]),
    ),
    [],
  );
const ids = (tasks: readonly { taskId: string }[]) => tasks.map(({ taskId }) => taskId);

describe("the audit of the embedded Conductor", () => {
  test("finds nothing wrong with a task that was handed out and completed", () => {
    const { violations, handedOut } = audit([handOut("a"), update("a")], { a: "COMPLETED" });
    expect(violations).toEqual({ lost: [], reportedMoreThanOnce: [], handedOutTwice: [] });
    expect(handedOut).toBe(1);
  });

  test("calls a task lost that is IN_PROGRESS and was not heard of since its last hand-out", () => {
    const ledger = [
      handOut("never"),
      handOut("leased"),
      update("leased", { extendLease: true, status: undefined }),
      handOut("again"),
      update("again", { status: "IN_PROGRESS" }),
      handOut("again", { pollCount: 2 }),
      handOut("timedOut"),
    ];
    const { violations } = audit(ledger, {
      never: "IN_PROGRESS",
      leased: "IN_PROGRESS",
      again: "IN_PROGRESS",
      timedOut: "TIMED_OUT",
    });
    expect(ids(violations.lost)).toEqual(["never", "again"]);
  });

  test("says so when the client had gone", () => {
    const { violations, handedOutToNobody } = audit([handOut("a", { answerWritten: false })], { a: "IN_PROGRESS" });
    expect(handedOutToNobody).toBe(1);
    expect(violations.lost[0]?.detail).toBe("handed out to a client that was gone");
  });

  test("lists tasks that were reported more than once", () => {
    const ledger = [handOut("a"), update("a"), update("a", duplicate), handOut("b"), update("b")];
    const { violations, duplicates, ignoredUpdates } = audit(ledger);
    expect(ids(violations.reportedMoreThanOnce)).toEqual(["a"]);
    expect([duplicates, ignoredUpdates]).toEqual([1, 1]);
  });

  test("does not count hand-backs, lease extensions and refused updates as reports", () => {
    const ledger = [
      handOut("a"),
      update("a", { status: "IN_PROGRESS" }),
      handOut("a", { pollCount: 2 }),
      update("a", { extendLease: true }),
      update("a", { applied: false, ignoredReason: "invalid request", answeredStatus: 500 }),
      update("a"),
    ];
    const { violations, handedBack, leasesExtended, ignoredUpdates } = audit(ledger);
    expect(violations.reportedMoreThanOnce).toEqual([]);
    expect(violations.handedOutTwice).toEqual([]);
    expect([handedBack, leasesExtended, ignoredUpdates]).toEqual([1, 1, 1]);
  });

  test("lists tasks that were handed out again although nobody had handed them back", () => {
    const ledger: LedgerEntry[] = [
      handOut("a"),
      handOut("a", { pollCount: 2 }),
      handOut("b"),
      { kind: "requeue", at: 0, taskId: "b" },
      handOut("b", { pollCount: 2 }),
      handOut("c"),
      update("c", { status: "IN_PROGRESS", ...duplicate }),
      handOut("c", { pollCount: 2 }),
    ];
    expect(ids(audit(ledger).violations.handedOutTwice)).toEqual(["a", "c"]);
  });

  test("counts attempts by type and status, and retries", () => {
    const facts = new Map<string, TaskFacts>([
      ["1", { taskType: "x", status: "FAILED", retryCount: 0 }],
      ["2", { taskType: "x", status: "COMPLETED", retryCount: 1 }],
      ["3", { taskType: "y", status: "FAILED_WITH_TERMINAL_ERROR", retryCount: 0 }],
    ]);
    expect(auditOf([], facts, ["COMPLETED", "FAILED", "FAILED"])).toMatchObject({
      workflows: { COMPLETED: 1, FAILED: 2 },
      tasks: { x: { FAILED: 1, COMPLETED: 1 }, y: { FAILED_WITH_TERMINAL_ERROR: 1 } },
      completed: 1,
      failed: 2,
      retried: 1,
    });
  });
});
