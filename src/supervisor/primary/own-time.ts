import type { Clock, Timer } from "../../base/clock.js";

interface OwnTimer {
  current: Timer;
}

/**
 * A clock by which this process's own waits are not over sooner because it was stopped (SIGSTOP, a paused container): its
 * timers run in slices, and one that comes late counts as one. After a pause the process hears first what the others
 * have told meanwhile, and acts on it then.
 */
export function inOwnTime(clock: Clock, sliceMs: number): Clock {
  const wait = (timer: OwnTimer, callback: () => void, leftMs: number, isExtra = false) => {
    const slice = Math.min(leftMs, sliceMs);
    const dueAt = clock.now() + slice;
    timer.current = clock.setTimer(() => {
      if (leftMs > slice) wait(timer, callback, leftMs - slice);
      else if (clock.now() - dueAt > sliceMs && !isExtra) wait(timer, callback, sliceMs, true);
      else callback();
    }, slice);
  };
  return {
    now: () => clock.now(),
    wallNow: () => clock.wallNow(),
    setTimer(callback, delayMs) {
      const timer: OwnTimer = { current: undefined };
      wait(timer, callback, delayMs);
      return timer;
    },
    clearTimer(timer) {
      clock.clearTimer((timer as OwnTimer | undefined)?.current);
    },
  };
}
