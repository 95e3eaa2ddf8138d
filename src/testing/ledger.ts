import type { TaskResultStatus } from "../conductor/types.js";

/** One task given to one worker. */
export interface HandOut {
  readonly kind: "handOut";
  /** Epoch ms, on the server's clock. */
  readonly at: number;
  readonly taskId: string;
  readonly taskType: string;
  readonly workflowInstanceId: string;
  /** How often this task had been handed out, this time included. */
  readonly pollCount: number;
  readonly workerId: string | undefined;
  /** `poll`, or `chain` when it was the answer to an `update-v2`. */
  readonly by: "poll" | "chain";
  /** Whether the answer was written to a socket that was still open. `undefined` until it is written. */
  answerWritten: boolean | undefined;
}

/** Why an update changed nothing. */
export type UpdateIgnoredReason =
  "task already ended" | "workflow already ended" | "no such task" | "no such workflow" | "invalid request";

/** One update (or lease extension) that came in. */
export interface UpdateReceived {
  readonly kind: "update";
  /** Epoch ms, on the server's clock. */
  readonly at: number;
  readonly taskId: string;
  readonly workflowInstanceId: string;
  /** As the worker sent it; `undefined` when it sent none, or none that exists. */
  readonly status: TaskResultStatus | undefined;
  readonly workerId: string | undefined;
  readonly extendLease: boolean;
  /** `v2` for `update-v2`. */
  readonly endpoint: "v1" | "v2";
  readonly applied: boolean;
  /** Set when it was not applied. */
  readonly ignoredReason: UpdateIgnoredReason | undefined;
  /** What was answered. (A `v2` that was applied answers 200 with a next task, or 204: it stands here as 200.) */
  readonly answeredStatus: number;
}

/** All tasks of a type put back into their queue by `POST /tasks/queue/requeue/{taskType}`. */
export interface Requeued {
  readonly kind: "requeue";
  readonly at: number;
  readonly taskId: string;
}

/** One thing that happened between the server and its workers. */
export type LedgerEntry = HandOut | UpdateReceived | Requeued;
