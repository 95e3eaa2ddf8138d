import type { Clock, Timer } from "../../../src/base/clock.js";

/** Taken before a test can replace it with a fake one. */
const realSetImmediate = setImmediate;

/** More timers than this without time moving: somebody sets a timer of 0 ms for ever. */
const MAX_FIRED_AT_ONE_TIME = 100_000;

interface PendingTimer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** Where a {@link FakeClock} begins. */
export interface FakeClockOptions {
  /** What `now()` says first, in ms. Default 0. */
  readonly startMs?: number;
  /** What `wallNow()` says first, in epoch ms. Default 2026-01-01T00:00:00Z. */
  readonly wallStartMs?: number;
}

/** A clock that a test turns by hand. Timers fire only inside `advance` and `advanceAsync`, in the order they are due. */
export class FakeClock implements Clock {
  #nowMs: number;
  #wallOffsetMs: number;
  #advancing = false;
  /** By due time; timers due at the same time stay in the order they were set. */
  readonly #timers: PendingTimer[] = [];

  constructor(options: FakeClockOptions = {}) {
    this.#nowMs = options.startMs ?? 0;
    this.#wallOffsetMs = (options.wallStartMs ?? Date.UTC(2026, 0, 1)) - this.#nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    // `Math.max(NaN, 0)` is NaN, and a timer that is never due would be a hang instead of a failure.
    if (Number.isNaN(delayMs)) throw new TypeError("setTimer: delayMs is NaN");
    const timer: PendingTimer = { dueMs: this.#nowMs + Math.max(delayMs, 0), callback };
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#timers[middle]!.dueMs <= timer.dueMs) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
    return timer;
  }

  clearTimer(timer: Timer): void {
    const index = this.#timers.indexOf(timer as PendingTimer);
    if (index >= 0) this.#timers.splice(index, 1);
  }

  /** How many timers are set and have not fired: 0 after a test says that nothing leaked. */
  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** How long until the next timer is due, in ms; `undefined` when none is set. */
  get nextTimerInMs(): number | undefined {
    const next = this.#timers[0];
    return next === undefined ? undefined : next.dueMs - this.#nowMs;
  }

  /** Moves time on and fires what becomes due on the way, timers set meanwhile included. */
  advance(ms: number): void {
    const endMs = this.#begin(ms);
    try {
      const guard = new ZeroDelayGuard();
      for (let timer = this.#takeDue(endMs); timer !== undefined; timer = this.#takeDue(endMs)) {
        guard.fired(this.#nowMs);
        timer.callback();
      }
      this.#nowMs = endMs;
    } finally {
      this.#advancing = false;
    }
  }

  /** As {@link advance}, and lets promise chains settle before the first timer and after each one. */
  async advanceAsync(ms: number): Promise<void> {
    const endMs = this.#begin(ms);
    try {
      const guard = new ZeroDelayGuard();
      await settle();
      for (let timer = this.#takeDue(endMs); timer !== undefined; timer = this.#takeDue(endMs)) {
        guard.fired(this.#nowMs);
        timer.callback();
        await settle();
      }
      this.#nowMs = endMs;
    } finally {
      this.#advancing = false;
    }
  }

  /** The time of day jumps (NTP, an administrator); the monotonic time and the timers do not notice. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  #begin(ms: number): number {
    if (!(ms >= 0)) throw new RangeError(`advance: time does not run backwards (${ms} ms)`);
    if (this.#advancing) throw new Error("advance: already advancing; a timer's callback must not turn the clock");
    this.#advancing = true;
    return this.#nowMs + ms;
  }

  #takeDue(endMs: number): PendingTimer | undefined {
    const next = this.#timers[0];
    if (next === undefined || next.dueMs > endMs) return undefined;
    this.#timers.shift();
    this.#nowMs = Math.max(this.#nowMs, next.dueMs);
    return next;
  }
}

/** Resolves when every promise chain that needs no timer and no I/O has run to its end. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    realSetImmediate(resolve);
  });
}

class ZeroDelayGuard {
  #atMs = Number.NaN;
  #count = 0;

  fired(nowMs: number): void {
    if (nowMs !== this.#atMs) {
      this.#atMs = nowMs;
      this.#count = 0;
    }
    if (++this.#count > MAX_FIRED_AT_ONE_TIME) {
      throw new Error(
        `advance: ${MAX_FIRED_AT_ONE_TIME} timers fired at ${nowMs} ms; does one set itself again with 0 ms?`,
      );
    }
  }
}
