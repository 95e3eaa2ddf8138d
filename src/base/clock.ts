// Not the global: that is a getter, and the clock is read a dozen times a task.
import { performance } from "node:perf_hooks";

/** A timer that was set; opaque. */
export type Timer = unknown;

/**
 * Everything that waits or measures gets its time from here, so that a test can turn it.
 * `now()` never jumps; `wallNow()` is the time of day and may.
 */
export interface Clock {
  /** Monotonic milliseconds; only differences mean something. */
  now(): number;
  /** Milliseconds since the epoch, for what people and servers read. */
  wallNow(): number;
  /** Calls `callback` once, `delayMs` from now. */
  setTimer(callback: () => void, delayMs: number): Timer;
  /** Forgets a timer; harmless when it has fired. */
  clearTimer(timer: Timer): void;
}

/** Resolves after `ms` by that clock. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(resolve, ms));
}

/** Node clamps longer delays to 1 ms; nothing here waits for 24 days on purpose. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** The process's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer: (callback, delayMs) => setTimeout(callback, Math.min(Math.max(delayMs, 0), MAX_DELAY_MS)),
  clearTimer: (timer) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
};
