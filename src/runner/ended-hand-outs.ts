import type { Clock } from "../base/clock.js";
import type { Task } from "../conductor/types.js";

/** So many are remembered at least, if as many have ended, */
const MIN_REMEMBERED = 10_000;
/** and for so long at least, if they are no more, in ms. */
const REMEMBERED_MS = 300_000;

/** What is known of a hand-out that is over. */
export type EndedHandOut = Pick<Task, "taskId" | "pollCount" | "updateTime">;

/**
 * Hand-outs that are over: reported, given back, or given up. A cache on the way may repeat a poll's answer, and a lost
 * one may come late; then the task must not run again.
 *
 * Two maps, of which the older is dropped when the younger is full or old, so that none needs a timer or an order.
 */
export class EndedHandOuts {
  readonly #clock: Pick<Clock, "now">;
  #young = new Map<string, EndedHandOut>();
  #old = new Map<string, EndedHandOut>();
  #turnedAt: number;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#turnedAt = clock.now();
  }

  add({ taskId, pollCount, updateTime }: EndedHandOut): void {
    const now = this.#clock.now();
    if (this.#young.size >= MIN_REMEMBERED || now - this.#turnedAt >= REMEMBERED_MS) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#turnedAt = now;
    }
    this.#young.set(taskId, { taskId, pollCount, updateTime });
  }

  /** The last ones, at most `max`, for the process that comes next. */
  latest(max: number): EndedHandOut[] {
    const all = [...this.#old.values(), ...this.#young.values()];
    return all.slice(Math.max(0, all.length - max));
  }

  /** The server shows a task as it was handed out to us, and we have ended that, or could not report on it. */
  has({ taskId, pollCount }: Pick<EndedHandOut, "taskId" | "pollCount">): boolean {
    return this.#find(taskId)?.pollCount === pollCount;
  }

  /**
   * A poll brings what we have ended. Handed out anew a task has a higher `pollCount`, or at least, where the server does
   * not count or begins anew, a later `updateTime`. A server that says neither is believed.
   */
  isRepeated({ taskId, pollCount, updateTime }: EndedHandOut): boolean {
    const ended = this.#find(taskId);
    if (ended === undefined || pollCount <= 0) return false;
    return pollCount <= ended.pollCount && updateTime <= ended.updateTime;
  }

  #find(taskId: string): EndedHandOut | undefined {
    return this.#young.get(taskId) ?? this.#old.get(taskId);
  }
}
