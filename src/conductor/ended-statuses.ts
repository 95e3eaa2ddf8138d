import type { TaskStatus, WorkflowStatus } from "./types.js";

/** The statuses of a task that has ended: the server takes no update of it any more. */
export const ENDED_TASK_STATUSES: ReadonlySet<TaskStatus> = new Set<TaskStatus>([
  "COMPLETED",
  "COMPLETED_WITH_ERRORS",
  "FAILED",
  "FAILED_WITH_TERMINAL_ERROR",
  "CANCELED",
  "TIMED_OUT",
  "SKIPPED",
]);

/** The statuses of a workflow that has ended. */
export const ENDED_WORKFLOW_STATUSES: ReadonlySet<WorkflowStatus> = new Set<WorkflowStatus>([
  "COMPLETED",
  "FAILED",
  "TIMED_OUT",
  "TERMINATED",
]);
