import type { JsonObject } from "../conductor/types.js";

const brand = Symbol.for("ostinato.inProgress");

/** Beyond it the server's sums in milliseconds and its databases overflow, and the result could not be delivered. */
const MAX_CALLBACK_SECONDS = 2 ** 31 - 1;

/** "Not finished: ask again later." Made by {@link inProgress}. */
export interface InProgress {
  readonly callbackAfterSeconds: number;
  readonly output?: JsonObject;
}

/** When a task is to be handed out again, and what it is to remember. */
export interface InProgressOptions {
  /**
   * Seconds until the task may be polled again: 0 to 2147483647 (68 years). The server counts whole seconds; a fraction
   * is rounded up.
   */
  callbackAfterSeconds: number;
  /** Replaces the task's stored output; it is there again at the next poll as `ctx.task.outputData`. Default: kept as it is. */
  output?: JsonObject;
}

/**
 * Returned by `execute` to give the task back and be called again later, by any worker. No retry is used up.
 * Throws `RangeError` when `callbackAfterSeconds` is not a number in that range, `TypeError` when `output` is not an object.
 */
export function inProgress(options: InProgressOptions): InProgress {
  const { callbackAfterSeconds, output } = options;
  if (
    typeof callbackAfterSeconds !== "number" ||
    !(callbackAfterSeconds >= 0 && callbackAfterSeconds <= MAX_CALLBACK_SECONDS)
  ) {
    throw new RangeError(
      `callbackAfterSeconds must be a number from 0 to ${MAX_CALLBACK_SECONDS}, got ${String(callbackAfterSeconds)}`,
    );
  }
  if (output !== undefined && (typeof output !== "object" || (output as unknown) === null || Array.isArray(output))) {
    throw new TypeError("inProgress: output must be an object, as Conductor stores it by keys");
  }
  return Object.freeze({
    [brand]: true,
    callbackAfterSeconds: Math.ceil(callbackAfterSeconds),
    ...(output === undefined ? {} : { output }),
  });
}

/** True for what {@link inProgress} made, in any copy of this package. Never throws, whatever a function returned. */
export function isInProgress(value: unknown): value is InProgress {
  try {
    return typeof value === "object" && value !== null && brand in value;
  } catch {
    return false; // a revoked proxy
  }
}
