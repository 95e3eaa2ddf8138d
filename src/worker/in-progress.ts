import type { JsonObject } from "../conductor/types.js";

const brand = Symbol.for("ostinato.inProgress");

/** "Not finished: ask again later." Made by {@link inProgress}. */
export interface InProgress {
  readonly callbackAfterSeconds: number;
  readonly output?: JsonObject;
}

export interface InProgressOptions {
  /** Seconds until the task may be polled again. Whole or fractional, 0 or more; the server counts whole seconds. */
  callbackAfterSeconds: number;
  /** Replaces the task's stored output; it is there again at the next poll as `ctx.task.outputData`. Default: kept as it is. */
  output?: JsonObject;
}

/**
 * Returned by `execute` to give the task back and be called again later, by any worker. No retry is used up.
 * Throws `RangeError` when `callbackAfterSeconds` is not a finite number of 0 or more.
 */
export function inProgress(options: InProgressOptions): InProgress {
  const { callbackAfterSeconds, output } = options;
  if (typeof callbackAfterSeconds !== "number" || !Number.isFinite(callbackAfterSeconds) || callbackAfterSeconds < 0) {
    throw new RangeError(`callbackAfterSeconds must be a number of 0 or more, got ${String(callbackAfterSeconds)}`);
  }
  return Object.freeze({
    [brand]: true,
    callbackAfterSeconds: Math.ceil(callbackAfterSeconds),
    ...(output === undefined ? {} : { output }),
  });
}

/** True for what {@link inProgress} made, in any copy of this package. */
export function isInProgress(value: unknown): value is InProgress {
  return typeof value === "object" && value !== null && brand in value;
}
