import pLimit, { type LimitFunction } from "p-limit";

/**
 * The slots of one task type. A slot is taken and released here and nowhere else: `run` takes one, and it is free again
 * when the work settles, however it settles. Polls under way reserve the slots they ask for.
 */
export class Slots {
  readonly #limit: LimitFunction;
  #reserved = 0;

  constructor(concurrency: number) {
    this.#limit = pLimit(concurrency);
  }

  get concurrency(): number {
    return this.#limit.concurrency;
  }

  /** Takes effect at once for new work; what runs goes on. */
  set concurrency(concurrency: number) {
    this.#limit.concurrency = concurrency;
  }

  get used(): number {
    return this.#limit.activeCount + this.#limit.pendingCount;
  }

  /** Neither used nor reserved; never below zero. */
  get free(): number {
    return Math.max(0, this.concurrency - this.used - this.#reserved);
  }

  /** More work than slots: concurrency was lowered. */
  get isOver(): boolean {
    return this.used > this.concurrency;
  }

  reserve(count: number): void {
    this.#reserved += count;
  }

  release(count: number): void {
    this.#reserved -= count;
  }

  /** Runs `work` in a slot, which the caller has seen to be free. `work` must not reject. */
  run(work: () => Promise<void>): Promise<void> {
    return this.#limit(work);
  }
}
