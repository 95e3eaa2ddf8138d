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
 * Two generations, of which the older is dropped when the younger is full or old, so that none needs a timer or an order.
 * They keep numbers only: ids that live on for ten thousand tasks leave V8's young space with each of them, which slows
 * down everything else.
 */
export class EndedHandOuts {
  readonly #clock: Pick<Clock, "now">;
  #young = new EndedGeneration();
  #old = new EndedGeneration();
  #turnedAt: number;
  /** The last ones by name, as a ring. */
  readonly #told: EndedHandOut[] = [];
  /** Where the next one goes, once the ring is full. */
  #oldestTold = 0;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#turnedAt = clock.now();
  }

  add({ taskId, pollCount, updateTime }: EndedHandOut): void {
    const now = this.#clock.now();
    if (this.#young.size >= MIN_REMEMBERED || now - this.#turnedAt >= REMEMBERED_MS) {
      const emptied = this.#old;
      emptied.clear();
      this.#old = this.#young;
      this.#young = emptied;
      this.#turnedAt = now;
    }
    this.#young.set(taskId, pollCount, updateTime);
    const told = { taskId, pollCount, updateTime };
    if (this.#told.length < MAX_TOLD_ENDED) this.#told.push(told);
    else {
      this.#told[this.#oldestTold] = told;
      this.#oldestTold = (this.#oldestTold + 1) % MAX_TOLD_ENDED;
    }
  }

  /** The last ones, at most `max`, and {@link MAX_TOLD_ENDED}, for the process that comes next. */
  latest(max: number): EndedHandOut[] {
    const all = [...this.#told.slice(this.#oldestTold), ...this.#told.slice(0, this.#oldestTold)];
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
    if (pollCount <= 0) return false;
    const ended = this.#find(taskId);
    return ended !== undefined && pollCount <= ended.pollCount && updateTime <= ended.updateTime;
  }

  #find(taskId: string): Omit<EndedHandOut, "taskId"> | undefined {
    const print = fingerprint(taskId);
    return this.#young.get(print) ?? this.#old.get(print);
  }
}

/** A power of 2, of which {@link MIN_REMEMBERED} leaves enough free to find a place soon. */
const PLACES = 16_384;

/** Hand-outs that ended at about the same time: a hash table of numbers, by the fingerprint of the task's id. */
class EndedGeneration {
  /** Two words for each place; the first is 0 where the place is free. */
  readonly #prints = new Uint32Array(2 * PLACES);
  /** `pollCount` and `updateTime` for each place. */
  readonly #said = new Float64Array(2 * PLACES);
  size = 0;

  clear(): void {
    this.#prints.fill(0);
    this.size = 0;
  }

  set(taskId: string, pollCount: number, updateTime: number): void {
    const [high, low] = fingerprint(taskId);
    const at = this.#placeOf(high, low);
    if (this.#prints[at] === 0) this.size += 1;
    this.#prints[at] = high;
    this.#prints[at + 1] = low;
    this.#said[at] = pollCount;
    this.#said[at + 1] = updateTime;
  }

  get([high, low]: Fingerprint): Omit<EndedHandOut, "taskId"> | undefined {
    const at = this.#placeOf(high, low);
    if (this.#prints[at] === 0) return undefined;
    return { pollCount: this.#said[at] ?? 0, updateTime: this.#said[at + 1] ?? 0 };
  }

  /** Where it is, or the free place where it belongs. */
  #placeOf(high: number, low: number): number {
    const prints = this.#prints;
    let at = (low & (PLACES - 1)) * 2;
    while (prints[at] !== 0 && (prints[at] !== high || prints[at + 1] !== low)) at = (at + 2) & (2 * PLACES - 1);
    return at;
  }
}

type Fingerprint = readonly [high: number, low: number];

/** 63 bits of a hash (cyrb53's mixing): that two of twenty thousand ids share one is not to be expected in any life. */
function fingerprint(text: string): Fingerprint {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let n = 0; n < text.length; n += 1) {
    const unit = text.charCodeAt(n);
    high = Math.imul(high ^ unit, 2_654_435_761);
    low = Math.imul(low ^ unit, 1_597_334_677);
  }
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  // 0 stands for a free place.
  return [(high | 1) >>> 0, low >>> 0];
}
