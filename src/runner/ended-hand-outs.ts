import type { Clock } from "../base/clock.js";
import type { Task } from "../conductor/types.js";

/** So many are remembered at least, if as many have ended, */
const MIN_REMEMBERED = 10_000;
/** and for so long at least, if they are no more, in ms. */
const REMEMBERED_MS = 300_000;
/** So many at most are told to the process that comes next. */
export const MAX_TOLD_ENDED = 1_000;

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
  /** When the server touched the last of them, by its clock. */
  #lastTouchedAt = -Infinity;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#turnedAt = clock.now();
  }

  add({ taskId, pollCount, updateTime }: EndedHandOut): void {
    const now = this.#clock.now();
    if (this.#young.size >= MIN_REMEMBERED || now - this.#turnedAt >= REMEMBERED_MS) {
      this.#old = this.#young;
      this.#young = new EndedGeneration();
      this.#turnedAt = now;
    }
    this.#young.add({ taskId, pollCount, updateTime });
    if (updateTime > this.#lastTouchedAt) this.#lastTouchedAt = updateTime;
  }

  /** The last ones in their order, at most `max` and {@link MAX_TOLD_ENDED}, for the process that comes next. */
  latest(max: number): EndedHandOut[] {
    const all = [...this.#old.handOuts, ...this.#young.handOuts];
    return all.slice(Math.max(0, all.length - Math.min(max, MAX_TOLD_ENDED)));
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
    if (pollCount <= 0 || updateTime > this.#lastTouchedAt) return false;
    const ended = this.#find(taskId);
    return ended !== undefined && pollCount <= ended.pollCount && updateTime <= ended.updateTime;
  }

  /** The last one of the task. */
  #find(taskId: string): EndedHandOut | undefined {
    return this.#young.find(taskId) ?? this.#old.find(taskId);
  }
}

/** Hand-outs that ended at about the same time. */
class EndedGeneration {
  readonly handOuts: EndedHandOut[] = [];
  /** The last one of each task, of the first {@link #indexed}. */
  readonly #byTask = new Map<string, EndedHandOut>();
  #indexed = 0;

  get size(): number {
    return this.handOuts.length;
  }

  add(handOut: EndedHandOut): void {
    this.handOuts.push(handOut);
  }

  find(taskId: string): EndedHandOut | undefined {
    for (; this.#indexed < this.handOuts.length; this.#indexed += 1) {
      const handOut = this.handOuts[this.#indexed];
      if (handOut !== undefined) this.#byTask.set(handOut.taskId, handOut);
    }
    return this.#byTask.get(taskId);
  }
}
