import type { Task } from "../conductor/types.js";

/** So many are remembered. */
const REMEMBERED = 10_000;
/** So many of them at most are told to the process that comes next. */
export const MAX_TOLD_ENDED = 1_000;
/** A longer id is kept as a string. Conductor's have 36 characters. */
const ID_LENGTH = 64;
const ID_BYTES = 2 * ID_LENGTH;
/** So many characters at the end of an id tell nearly all ids apart. */
const PRINT_LENGTH = 8;

/** What is known of a hand-out that is over. */
export type EndedHandOut = Pick<Task, "taskId" | "pollCount" | "updateTime">;

/**
 * The last hand-outs that are over: reported, given back, or given up. A cache on the way may repeat a poll's answer, and
 * a lost one may come late; then the task must not run again.
 *
 * Every task comes and goes through here, and what is asked for is hardly ever here. So they are only written down, and a
 * look goes back no further than to what the server had touched before: most end at once. They are bytes and numbers, so
 * that no id and no object lives on for ten thousand tasks.
 */
export class EndedHandOuts {
  /** A ring, as are the others: the id at each place, in UTF-16, which can say any string. */
  readonly #ids = Buffer.alloc(REMEMBERED * ID_BYTES);
  readonly #idLengths = new Uint8Array(REMEMBERED);
  /** The ids that are too long for their place. */
  readonly #longIds = new Map<number, string>();
  readonly #prints = new Int32Array(REMEMBERED);
  readonly #pollCounts = new Float64Array(REMEMBERED);
  readonly #updateTimes = new Float64Array(REMEMBERED);
  /** The latest `updateTime` of each one and all before it: it never falls. */
  readonly #touchedUntil = new Float64Array(REMEMBERED);
  #lastTouchedAt = -Infinity;
  /** Where the next one goes. */
  #next = 0;
  #size = 0;

  add({ taskId, pollCount, updateTime }: EndedHandOut): void {
    const at = this.#next;
    this.#next = (at + 1) % REMEMBERED;
    if (this.#size < REMEMBERED) this.#size += 1;
    if (this.#longIds.size > 0) this.#longIds.delete(at);
    if (taskId.length > ID_LENGTH) this.#longIds.set(at, taskId);
    else this.#ids.write(taskId, at * ID_BYTES, "utf16le");
    this.#idLengths[at] = Math.min(taskId.length, ID_LENGTH);
    this.#prints[at] = printOf(taskId);
    this.#pollCounts[at] = pollCount;
    this.#updateTimes[at] = updateTime;
    if (updateTime > this.#lastTouchedAt) this.#lastTouchedAt = updateTime;
    this.#touchedUntil[at] = this.#lastTouchedAt;
  }

  /** The last ones in their order, at most `max` and {@link MAX_TOLD_ENDED}, for the process that comes next. */
  latest(max: number): EndedHandOut[] {
    const handOuts: EndedHandOut[] = [];
    for (let back = Math.min(max, MAX_TOLD_ENDED, this.#size); back > 0; back -= 1) {
      const at = (this.#next - back + REMEMBERED) % REMEMBERED;
      handOuts.push({
        taskId: this.#idAt(at),
        pollCount: this.#pollCounts[at] ?? 0,
        updateTime: this.#updateTimes[at] ?? 0,
      });
    }
    return handOuts;
  }

  /** The server shows a task as it was handed out to us, and we have ended that, or could not report on it. */
  has({ taskId, pollCount }: Pick<EndedHandOut, "taskId" | "pollCount">): boolean {
    const at = this.#find(taskId, -Infinity);
    return at !== undefined && this.#pollCounts[at] === pollCount;
  }

  /**
   * A poll brings what we have ended. Handed out anew a task has a higher `pollCount`, or at least, where the server does
   * not count or begins anew, a later `updateTime`. A server that says neither is believed.
   */
  isRepeated({ taskId, pollCount, updateTime }: EndedHandOut): boolean {
    if (pollCount <= 0) return false;
    const at = this.#find(taskId, updateTime);
    if (at === undefined) return false;
    return pollCount <= (this.#pollCounts[at] ?? 0) && updateTime <= (this.#updateTimes[at] ?? 0);
  }

  /** Where the last one of the task is, if anything since then was touched by the server at `since` or later. */
  #find(taskId: string, since: number): number | undefined {
    if (since > this.#lastTouchedAt) return undefined;
    const print = printOf(taskId);
    let at = this.#next;
    for (let left = this.#size; left > 0; left -= 1) {
      // Not by a remainder: a look through all takes longer with it, by a third at least.
      at = at === 0 ? REMEMBERED - 1 : at - 1;
      if ((this.#touchedUntil[at] ?? 0) < since) return undefined;
      if (this.#prints[at] === print && this.#idAt(at) === taskId) return at;
    }
    return undefined;
  }

  #idAt(at: number): string {
    const from = at * ID_BYTES;
    return this.#longIds.get(at) ?? this.#ids.toString("utf16le", from, from + 2 * (this.#idLengths[at] ?? 0));
  }
}

function printOf(taskId: string): number {
  const { length } = taskId;
  let print = length;
  for (let n = Math.max(0, length - PRINT_LENGTH); n < length; n += 1)
    print = (Math.imul(print, 31) + taskId.charCodeAt(n)) | 0;
  return print;
}
