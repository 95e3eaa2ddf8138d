import type { Clock, Timer } from "../base/clock.js";

/** What a loop waits on: somebody calls `wake`, or the time is over. A `wake` before the wait is not lost. */
export class Wakeup {
  readonly #clock: Clock;
  #pending = false;
  #resolve: (() => void) | undefined;
  #timer: Timer;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wake(): void {
    this.#pending = true;
    if (this.#resolve === undefined) return;
    const resolve = this.#resolve;
    this.#resolve = undefined;
    this.#clock.clearTimer(this.#timer);
    resolve();
  }

  /** Resolves at the next `wake`, or after `maxMs`. One waiter at a time. */
  wait(maxMs: number): Promise<void> {
    if (this.#pending) {
      this.#pending = false;
      return Promise.resolve();
    }
    return new Promise<void>((resolve) => {
      const done = () => {
        this.#pending = false;
        this.#resolve = undefined;
        resolve();
      };
      this.#resolve = done;
      this.#timer = this.#clock.setTimer(done, maxMs);
    });
  }
}
