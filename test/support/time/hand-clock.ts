import type { Clock } from "../../../src/base/clock.js";

/** A clock that is turned by hand. */
export class HandClock implements Clock {
  private time = 0;
  private readonly set = new Set<{ at: number; callback: () => void }>();

  get timers(): number {
    return this.set.size;
  }

  now(): number {
    return this.time;
  }

  wallNow(): number {
    return 1_700_000_000_000 + this.time;
  }

  setTimer(callback: () => void, delayMs: number): unknown {
    const timer = { at: this.time + Math.max(delayMs, 0), callback };
    this.set.add(timer);
    return timer;
  }

  clearTimer(timer: unknown): void {
    this.set.delete(timer as { at: number; callback: () => void });
  }

  turn(ms: number): void {
    const target = this.time + ms;
    for (;;) {
      const [next] = [...this.set].filter(({ at }) => at <= target).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.set.delete(next);
      this.time = Math.max(this.time, next.at);
      next.callback();
    }
    this.time = target;
  }
}
