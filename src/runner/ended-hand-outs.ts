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
 * Every task comes and goes through here, and what is asked for is hardly ever here. So they are only written down, in two
 * generations, of which the older is dropped when the younger is full or old: none needs a timer, or an order. And the
 * index of a generation is made by the look that needs it.
 */
export class EndedHandOuts {
  readonly #clock: Pick<Clock, "now">;
  #young = new Generation();
  #old = new Generation();
  #turnedAt: number;
  /** The latest that any had: what the server has touched after that has not ended yet. */
  #latestUpdateTime = 0;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#turnedAt = clock.now();
  }

  add({ taskId, pollCount, updateTime }: EndedHandOut): void {
    const now = this.#clock.now();
    if (this.#young.handOuts.length >= MIN_REMEMBERED || now - this.#turnedAt >= REMEMBERED_MS) {
      this.#old = this.#young;
      this.#young = new Generation();
      this.#turnedAt = now;
    }
    this.#young.handOuts.push({ taskId, pollCount, updateTime });
    if (updateTime > this.#latestUpdateTime) this.#latestUpdateTime = updateTime;
  }

  /** The last ones, at most `max`, for the process that comes next. */
  latest(max: number): EndedHandOut[] {
    const all = [...this.#old.handOuts, ...this.#young.handOuts];
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
    if (pollCount <= 0 || updateTime > this.#latestUpdateTime) return false;
    const ended = this.#find(taskId);
    return ended !== undefined && pollCount <= ended.pollCount && updateTime <= ended.updateTime;
  }

  #find(taskId: string): EndedHandOut | undefined {
    return this.#young.find(taskId) ?? this.#old.find(taskId);
  }
}

/** Hand-outs that ended at about the same time. */
class Generation {
  readonly handOuts: EndedHandOut[] = [];
  readonly #index = new Map<string, EndedHandOut>();
  #indexed = 0;

  /** The last one of the task. */
  find(taskId: string): EndedHandOut | undefined {
    for (; this.#indexed < this.handOuts.length; this.#indexed += 1) {
      const handOut = this.handOuts[this.#indexed];
      if (handOut !== undefined) this.#index.set(handOut.taskId, handOut);
    }
    return this.#index.get(taskId);
  }
}
