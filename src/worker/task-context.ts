import type { Task } from "../conductor/types.js";
import type { Logger } from "../log/logger.js";

/** What a function knows of the task it works on, beside the input. */
export interface TaskContext {
  readonly taskId: string;
  readonly workflowInstanceId: string;
  readonly taskDefName: string;
  /** The task's name within its workflow. */
  readonly referenceTaskName: string;
  /** 0 for the first attempt, 1 for the first retry. */
  readonly retryCount: number;
  /** How often this attempt was handed out; above 1 after `inProgress` or a hand-back. */
  readonly pollCount: number;
  /** The task as the server handed it out. */
  readonly task: Task;
  /**
   * Aborts when the result is no longer wanted: `TaskDeadlineError`, `TaskCancelledError` or `TaskStoppingError` is its
   * `reason`. Pass it to what you call.
   */
  readonly signal: AbortSignal;
  /** When this attempt ends at the latest: its slot is freed and the task is reported failed (retryable). */
  readonly deadline: Date;
  /** A logger whose lines carry the task's ids. */
  readonly logger: Logger;
  /**
   * Adds a line to the task's log on the server, sent with the result. The server keeps 10; more are joined into 10. May
   * be taken out of the context (`{ log }`) and passed on.
   */
  readonly log: (message: string) => void;
}
