import type { Clock } from "../base/clock.js";
import type { Task } from "../conductor/types.js";

/** So many are remembered at least, if as many have ended, */
const MIN_REMEMBERED = 10_000;
/** and for so long at least, if they are no more, in ms. */
const REMEMBERED_MS = 300_000;

/** So many are looked through one by one, before an index is asked. */
const RECENT = 64;

/** What is known of a hand-out that is over. */
export type EndedHandOut = Pick<Task, "taskId" | "pollCount" | "updateTime">;

/**
 * Hand-outs that are over: reported, given back, or given up. A cache on the way may repeat a poll's answer, and a lost
 * one may come late; then the task must not run again.
 *
 * Every task comes and goes through here, and what is asked for is hardly ever here. So they are only written down, in two
 * generations, of which the older is dropped when the younger is full or old: none needs a timer, or an order. An index
 * is made by the look that needs it, and few do: what the server has touched later than all of them is not among them.
 */
export class EndedHandOuts {
  readonly #clock: Pick<Clock, "now">;
  #young = new EndedGeneration();
  #old = new EndedGeneration();
  #turnedAt: number;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#turnedAt = clock.now();
  }

  add({ taskId, pollCount, updateTime }: EndedHandOut): void {
    const now = this.#clock.now();
    if (this.#young.handOuts.length >= MIN_REMEMBERED || now - this.#turnedAt >= REMEMBERED_MS) {
      this.#old = this.#young;
      this.#young = new EndedGeneration();
      this.#turnedAt = now;
    }
    this.#young.add({ taskId, pollCount, updateTime });
  }

  /** The last ones, at most `max`, for the process that comes next. */
  latest(max: number): EndedHandOut[] {
    const all = [...this.#old.handOuts, ...this.#young.handOuts];
    return all.slice(Math.max(0, all.length - max));
  }

  /** The server shows a task as it was handed out to us, and we have ended that, or could not report on it. */
  has({ taskId, pollCount }: Pick<EndedHandOut, "taskId" | "pollCount">): boolean {
    return this.#find(taskId, 0)?.pollCount === pollCount;
  }

  /**
   * A poll brings what we have ended. Handed out anew a task has a higher `pollCount`, or at least, where the server does
   * not count or begins anew, a later `updateTime`. A server that says neither is believed.
   */
  isRepeated({ taskId, pollCount, updateTime }: EndedHandOut): boolean {
    if (pollCount <= 0) return false;
    const ended = this.#find(taskId, updateTime);
    return ended !== undefined && pollCount <= ended.pollCount;
  }

  /** The last one of the task, if the server touched it at `since` or later. */
  #find(taskId: string, since: number): EndedHandOut | undefined {
    return this.#young.find(taskId, since) ?? this.#old.find(taskId, since);
  }
}

/** Hand-outs that ended at about the same time. */
class EndedGeneration {
  readonly handOuts: EndedHandOut[] = [];
  readonly #index = new Map<string, EndedHandOut>();
  #indexed = 0;
  /** The latest `updateTime` of all but the recent ones. */
  #latestBefore = -Infinity;

  add(handOut: EndedHandOut): void {
    this.handOuts.push(handOut);
    const passed = this.handOuts[this.handOuts.length - 1 - RECENT];
    if (passed !== undefined && passed.updateTime > this.#latestBefore) this.#latestBefore = passed.updateTime;
  }

  find(taskId: string, since: number): EndedHandOut | undefined {
    const { handOuts } = this;
    const recentFrom = Math.max(0, handOuts.length - RECENT);
    for (let n = handOuts.length - 1; n >= recentFrom; n -= 1) {
      const handOut = handOuts[n];
      if (handOut !== undefined && handOut.updateTime >= since && handOut.taskId === taskId) return handOut;
    }
    return since > this.#latestBefore ? undefined : this.#findIndexed(taskId, since);
  }

  #findIndexed(taskId: string, since: number): EndedHandOut | undefined {
    for (; this.#indexed < this.handOuts.length; this.#indexed += 1) {
      const handOut = this.handOuts[this.#indexed];
      if (handOut !== undefined) this.#index.set(handOut.taskId, handOut);
    }
    const handOut = this.#index.get(taskId);
    return handOut !== undefined && handOut.updateTime >= since ? handOut : undefined;
  }
}
