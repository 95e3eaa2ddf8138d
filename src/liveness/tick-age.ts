/**
 * How long the same thing has been there, counted in ticks of one's own: a late tick (the process was stopped, the
 * machine slept, somebody blocked the event loop) counts as one, so a pause makes nothing old.
 */
export class TickAge {
  readonly #maxStepMs: number;
  #subject: object | undefined;
  #ageMs = 0;

  /** @param tickMs how often {@link tick} is meant to be called. */
  constructor(tickMs: number) {
    this.#maxStepMs = 1.5 * tickMs;
  }

  /** One tick; `gapMs` since the last. Gives the age of `subject`, 0 when it is another one than before. */
  tick(subject: object | undefined, gapMs: number): number {
    if (subject === undefined || subject !== this.#subject) {
      this.#subject = subject;
      this.#ageMs = 0;
    } else {
      this.#ageMs += Math.min(gapMs, this.#maxStepMs);
    }
    return this.#ageMs;
  }
}
