import { brandErrorClass, OstinatoError } from "../base/errors.js";

/**
 * Thrown by `execute` when trying again cannot help: the task ends as `FAILED_WITH_TERMINAL_ERROR`, and none of its
 * retries is used.
 */
export class NonRetryableError extends OstinatoError {
  static {
    brandErrorClass(this, "NonRetryableError");
  }

  constructor(message: string, options?: ErrorOptions) {
    super("NON_RETRYABLE", message, options);
  }
}

/** The reason of `ctx.signal` when the task's deadline has passed. */
export class TaskDeadlineError extends OstinatoError {
  static {
    brandErrorClass(this, "TaskDeadlineError");
  }

  constructor(message: string) {
    super("TASK_DEADLINE_EXCEEDED", message);
  }
}

/** The reason of `ctx.signal` when the worker stops and the task goes back to the queue. */
export class TaskStoppingError extends OstinatoError {
  static {
    brandErrorClass(this, "TaskStoppingError");
  }

  constructor(message: string) {
    super("STOPPING", message);
  }
}

/** The reason of `ctx.signal` when the server has ended the task meanwhile (terminated, timed out, cancelled). */
export class TaskCancelledError extends OstinatoError {
  static {
    brandErrorClass(this, "TaskCancelledError");
  }

  constructor(message: string) {
    super("TASK_CANCELLED", message);
  }
}
