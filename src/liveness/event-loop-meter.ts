import type { Clock, Timer } from "../base/clock.js";

/** How late the event loop is: a timer of its own, and the difference to when it should have come. */
export interface EventLoopMeter {
  /** How late the timer is now, in ms: grows while the loop is blocked. Only reads. */
  readonly delayMs: number;
  stop(): void;
}

/** Twice a second: enough to see what blocks for long, and no load. */
export const METER_TICK_MS = 500;

/**
 * Starts to measure. It holds the process while it runs: one that only waits for promises would end without a word.
 *
 * @param onTick called at each turn with how late it was, in ms.
 */
export function startEventLoopMeter(clock: Clock, onTick: (delayMs: number) => void): EventLoopMeter {
  let dueAt = 0;
  let timer: Timer;
  const arm = () => {
    dueAt = clock.now() + METER_TICK_MS;
    timer = clock.setTimer(tick, METER_TICK_MS);
  };
  const tick = () => {
    const delayMs = Math.max(0, clock.now() - dueAt);
    arm();
    onTick(delayMs);
  };
  arm();
  return {
    get delayMs() {
      return Math.max(0, clock.now() - dueAt);
    },
    stop() {
      clock.clearTimer(timer);
    },
  };
}
