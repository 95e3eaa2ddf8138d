import { ENDED_TASK_STATUSES, ENDED_WORKFLOW_STATUSES } from "../../conductor/ended-statuses.js";
import type { JsonObject, Task, TaskLog, Workflow } from "../../conductor/types.js";
import type { RunnableTask, RunnableWorkflow } from "./metadata.js";
import type { Alarm } from "./timeline.js";

/** One attempt at one task of one workflow. */
export interface TaskRecord {
  /** As the API shows it; changed in place. */
  readonly task: Task;
  readonly workflow: WorkflowRecord;
  readonly runnable: RunnableTask;
  /** The output even when it was too large to be shown with the task. */
  output: JsonObject;
  /** When the first attempt was scheduled, in epoch ms. */
  readonly firstScheduledTime: number;
}

export interface WorkflowRecord {
  /** As the API shows it, its tasks apart; changed in place. */
  readonly workflow: Workflow;
  readonly runnable: RunnableWorkflow;
  /** Every attempt, in the order of scheduling. */
  readonly tasks: TaskRecord[];
  /** The latest attempt by reference name. */
  readonly byReference: Map<string, TaskRecord>;
  /** Not retried and not acted upon yet: what deciding has to look at. */
  readonly pending: Set<TaskRecord>;
  readonly taskToDomain: Record<string, string>;
  /** Rings when the next timeout falls due. */
  alarm: Alarm | undefined;
}

export interface PollData {
  queueName: string;
  domain?: string;
  workerId?: string;
  lastPollTime: number;
}

export type StoredLog = Required<TaskLog>;

const SUCCESSFUL_TASK = new Set(["SCHEDULED", "IN_PROGRESS", "COMPLETED", "COMPLETED_WITH_ERRORS", "SKIPPED"]);

export const isEnded = (record: TaskRecord): boolean => ENDED_TASK_STATUSES.has(record.task.status);
/** In the server's sense: whatever has not failed. */
export const isSuccessful = (record: TaskRecord): boolean => SUCCESSFUL_TASK.has(record.task.status);
export const isWorkflowEnded = (record: WorkflowRecord): boolean => ENDED_WORKFLOW_STATUSES.has(record.workflow.status);
export const isWorkerTask = (record: TaskRecord): boolean =>
  record.task.taskType !== "FORK" && record.task.taskType !== "JOIN";
