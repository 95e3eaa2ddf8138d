import type { TaskStatus, WorkflowStatus } from "../conductor/types.js";
import type { HandOut, LedgerEntry } from "./ledger.js";

/** A task that something is wrong with. */
export interface AuditedTask {
  readonly taskId: string;
  readonly taskType: string;
  readonly workflowInstanceId: string;
  readonly workerId: string | undefined;
  /** What is wrong, in words. */
  readonly detail: string;
}

/** The accounts of an embedded Conductor: what it gave out and what came of it. */
export interface Audit {
  readonly workflows: Partial<Record<WorkflowStatus, number>>;
  /** Attempts of worker tasks: by task type, then by status. */
  readonly tasks: Record<string, Partial<Record<TaskStatus, number>>>;
  /** Hand-outs; one task may be handed out several times. */
  readonly handedOut: number;
  /** Hand-outs whose client was gone when the answer was ready. */
  readonly handedOutToNobody: number;
  /** Attempts that are COMPLETED. */
  readonly completed: number;
  /** Attempts that are FAILED or FAILED_WITH_TERMINAL_ERROR. */
  readonly failed: number;
  readonly timedOut: number;
  readonly canceled: number;
  /** Attempts that followed a failed one. */
  readonly retried: number;
  /** IN_PROGRESS updates that put a task back into its queue. */
  readonly handedBack: number;
  readonly leasesExtended: number;
  /** Updates of a task that had already ended. */
  readonly duplicates: number;
  /** Updates that changed nothing, for whatever reason; duplicates are among them. */
  readonly ignoredUpdates: number;
  readonly violations: {
    /** Still IN_PROGRESS, and no update has come since the last hand-out. */
    readonly lost: readonly AuditedTask[];
    /** More than one update that ends the task was received. */
    readonly reportedMoreThanOnce: readonly AuditedTask[];
    /** Handed out again although nobody had handed it back. */
    readonly handedOutTwice: readonly AuditedTask[];
  };
}

/** What the audit needs to know of a task as it is now. */
export interface TaskFacts {
  readonly taskType: string;
  readonly status: TaskStatus;
  readonly retryCount: number;
}

interface Account {
  last: HandOut;
  /** Anything that came from the worker since the last hand-out, lease extensions included. */
  updatesSince: number;
  endingUpdates: number;
  /** It may lawfully be handed out (again). */
  queued: boolean;
}

/** Draws up the accounts from the ledger and from how things stand now. */
export function auditOf(
  ledger: readonly LedgerEntry[],
  taskFacts: ReadonlyMap<string, TaskFacts>,
  workflowStatuses: Iterable<WorkflowStatus>,
): Audit {
  const accounts = new Map<string, Account>();
  const handedOutTwice: AuditedTask[] = [];
  const counts = { handedOut: 0, handedOutToNobody: 0, handedBack: 0, leasesExtended: 0, duplicates: 0, ignored: 0 };

  const noteHandOut = (entry: HandOut): void => {
    counts.handedOut++;
    if (entry.answerWritten === false) counts.handedOutToNobody++;
    const account = accounts.get(entry.taskId);
    if (account === undefined) {
      accounts.set(entry.taskId, { last: entry, updatesSince: 0, endingUpdates: 0, queued: false });
      return;
    }
    if (!account.queued) {
      const before = account.last.workerId ?? "a worker without id";
      handedOutTwice.push(asAudited(entry, `handed out (poll count ${entry.pollCount}) while ${before} had it`));
    }
    Object.assign(account, { last: entry, updatesSince: 0, queued: false });
  };

  for (const entry of ledger) {
    if (entry.kind === "handOut") {
      noteHandOut(entry);
      continue;
    }
    const account = accounts.get(entry.taskId);
    if (entry.kind === "requeue") {
      if (account) account.queued = true;
      continue;
    }
    if (entry.ignoredReason === "task already ended" && !entry.extendLease) counts.duplicates++;
    if (!entry.applied) counts.ignored++;
    else if (entry.extendLease) counts.leasesExtended++;
    else if (entry.status === "IN_PROGRESS") counts.handedBack++;
    if (account === undefined) continue;
    account.updatesSince++;
    if (entry.extendLease || entry.answeredStatus !== 200) continue;
    if (entry.status === "IN_PROGRESS") account.queued ||= entry.applied;
    else account.endingUpdates++;
  }

  const tasks: Audit["tasks"] = {};
  let retried = 0;
  for (const { taskType, status, retryCount } of taskFacts.values()) {
    const ofType = (tasks[taskType] ??= {});
    ofType[status] = (ofType[status] ?? 0) + 1;
    if (retryCount > 0) retried++;
  }
  const workflows: Audit["workflows"] = {};
  for (const status of workflowStatuses) workflows[status] = (workflows[status] ?? 0) + 1;
  const withStatus = (...statuses: TaskStatus[]): number =>
    Object.values(tasks).reduce((sum, ofType) => sum + statuses.reduce((s, status) => s + (ofType[status] ?? 0), 0), 0);

  return {
    workflows,
    tasks,
    handedOut: counts.handedOut,
    handedOutToNobody: counts.handedOutToNobody,
    completed: withStatus("COMPLETED"),
    failed: withStatus("FAILED", "FAILED_WITH_TERMINAL_ERROR"),
    timedOut: withStatus("TIMED_OUT"),
    canceled: withStatus("CANCELED"),
    retried,
    handedBack: counts.handedBack,
    leasesExtended: counts.leasesExtended,
    duplicates: counts.duplicates,
    ignoredUpdates: counts.ignored,
    violations: {
      lost: [...accounts.values()]
        .filter(({ last, updatesSince }) => updatesSince === 0 && taskFacts.get(last.taskId)?.status === "IN_PROGRESS")
        .map(({ last }) => asAudited(last, lostDetail(last))),
      reportedMoreThanOnce: [...accounts.values()]
        .filter(({ endingUpdates }) => endingUpdates > 1)
        .map(({ last, endingUpdates }) => asAudited(last, `${endingUpdates} updates that end the task`)),
      handedOutTwice,
    },
  };
}

const lostDetail = (entry: HandOut): string =>
  entry.answerWritten === false ? "handed out to a client that was gone" : "handed out, and nothing was heard of it";

const asAudited = ({ taskId, taskType, workflowInstanceId, workerId }: HandOut, detail: string): AuditedTask => ({
  taskId,
  taskType,
  workflowInstanceId,
  workerId,
  detail,
});
