import type { Clock } from "../base/clock.js";
import type { Logger } from "../log/logger.js";

/** What is shorter is left to the metric, in ms: below it no deadline is missed. */
const TOLD_FROM_MS = 1_000;
/** Between two lines, in ms, unless a block was more than twice as long as the last one that was told. */
const LINE_EVERY_MS = 60_000;

export interface BlockLogOptions {
  readonly clock: Pick<Clock, "now">;
  readonly logger: Pick<Logger, "warn">;
  /** The task type whose function was entered last; undefined before the first. */
  readonly lastEntered: () => string | undefined;
}

/**
 * Names blocks of the event loop: while a function computes, nothing is polled, no lease is extended and no result is
 * delivered, for any task type of the process. Give it how late each tick of the event-loop meter was, in ms.
 */
export function createBlockLog({ clock, logger, lastEntered }: BlockLogOptions): (delayMs: number) => void {
  let quietUntil = -Infinity;
  let toldMs = 0;
  let untold = 0;

  return (delayMs) => {
    if (delayMs < TOLD_FROM_MS) return;
    const now = clock.now();
    if (now < quietUntil && delayMs <= toldMs * 2) {
      untold += 1;
      return;
    }
    const taskType = lastEntered();
    const blockedMs = Math.round(delayMs);
    const fields = { blockedMs, ...(taskType === undefined ? {} : { taskType }), ...(untold === 0 ? {} : { untold }) };
    const suspect = taskType === undefined ? "" : ` (the function entered last: ${taskType})`;
    logger.warn(fields, `the event loop was blocked for ${blockedMs} ms${suspect}, or the process was stopped`);
    quietUntil = now + LINE_EVERY_MS;
    toldMs = delayMs;
    untold = 0;
  };
}
