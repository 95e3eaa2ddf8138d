import type { Task } from "../conductor/types.js";

/** So many are remembered. */
const REMEMBERED = 10_000;
/** So many of them at most are told to the process that comes next. */
export const MAX_TOLD_ENDED = 1_000;
/** An id of this length in Latin characters, as Conductor's are, has its place with the rest; another is kept beside it. */
const ID_LENGTH = 36;
const LAST_LATIN = 0xff;
/** Of one hand-out, side by side: three numbers of eight bytes, the id's print, the id. */
const HAND_OUT_BYTES = 64;
const FLOATS = HAND_OUT_BYTES / Float64Array.BYTES_PER_ELEMENT;
const POLL_COUNT = 0;
const UPDATE_TIME = 1;
const TOUCHED_UNTIL = 2;
const INTS = HAND_OUT_BYTES / Int32Array.BYTES_PER_ELEMENT;
const PRINT = 6;
const ID = 28;
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
  /** A ring of hand-outs, as bytes and as numbers. */
  readonly #ring = new ArrayBuffer(REMEMBERED * HAND_OUT_BYTES);
  readonly #bytes = Buffer.from(this.#ring);
  readonly #floats = new Float64Array(this.#ring);
  readonly #ints = new Int32Array(this.#ring);
  /** By place, the ids that are not in the ring. */
  readonly #otherIds = new Map<number, string>();
  /** The latest `updateTime` of all so far: of each one it is kept as `TOUCHED_UNTIL`, which never falls. */
  #touchedUntil = -Infinity;
  /** Where the next one goes. */
  #next = 0;
  #size = 0;

  add({ taskId, pollCount, updateTime }: EndedHandOut): void {
    const at = this.#next;
    this.#next = at === REMEMBERED - 1 ? 0 : at + 1;
    if (this.#size < REMEMBERED) this.#size += 1;
    if (updateTime > this.#touchedUntil) this.#touchedUntil = updateTime;
    this.#floats[at * FLOATS + POLL_COUNT] = pollCount;
    this.#floats[at * FLOATS + UPDATE_TIME] = updateTime;
    this.#floats[at * FLOATS + TOUCHED_UNTIL] = this.#touchedUntil;
    this.#ints[at * INTS + PRINT] = printOf(taskId);
    if (this.#otherIds.size > 0) this.#otherIds.delete(at);
    if (!this.#write(taskId, at * HAND_OUT_BYTES + ID)) this.#otherIds.set(at, taskId);
  }

  /** False: it has no place in the ring. */
  #write(taskId: string, from: number): boolean {
    if (taskId.length !== ID_LENGTH) return false;
    for (let n = 0; n < ID_LENGTH; n += 1) {
      const code = taskId.charCodeAt(n);
      if (code > LAST_LATIN) return false;
      this.#bytes[from + n] = code;
    }
    return true;
  }

  /** The last ones in their order, at most `max` and {@link MAX_TOLD_ENDED}, for the process that comes next. */
  latest(max: number): EndedHandOut[] {
    const handOuts: EndedHandOut[] = [];
    for (let back = Math.min(max, MAX_TOLD_ENDED, this.#size); back > 0; back -= 1) {
      const at = (this.#next - back + REMEMBERED) % REMEMBERED;
      handOuts.push({
        taskId: this.#idAt(at),
        pollCount: this.#floatOf(at, POLL_COUNT),
        updateTime: this.#floatOf(at, UPDATE_TIME),
      });
    }
    return handOuts;
  }

  /** The server shows a task as it was handed out to us, and we have ended that, or could not report on it. */
  has({ taskId, pollCount }: Pick<EndedHandOut, "taskId" | "pollCount">): boolean {
    const at = this.#find(taskId, -Infinity);
    return at !== undefined && this.#floatOf(at, POLL_COUNT) === pollCount;
  }

  /**
   * A poll brings what we have ended. Handed out anew a task has a higher `pollCount`, or at least, where the server does
   * not count or begins anew, a later `updateTime`. A server that says neither is believed.
   */
  isRepeated({ taskId, pollCount, updateTime }: EndedHandOut): boolean {
    if (pollCount <= 0) return false;
    const at = this.#find(taskId, updateTime);
    if (at === undefined) return false;
    return pollCount <= this.#floatOf(at, POLL_COUNT) && updateTime <= this.#floatOf(at, UPDATE_TIME);
  }

  /** Where the last one of the task is, if anything since then was touched by the server at `since` or later. */
  #find(taskId: string, since: number): number | undefined {
    if (since > this.#touchedUntil) return undefined;
    const print = printOf(taskId);
    let at = this.#next;
    for (let left = this.#size; left > 0; left -= 1) {
      // Not by a remainder: a look through all takes longer with it, by a third at least.
      at = at === 0 ? REMEMBERED - 1 : at - 1;
      if (this.#floatOf(at, TOUCHED_UNTIL) < since) return undefined;
      if (this.#ints[at * INTS + PRINT] === print && this.#idAt(at) === taskId) return at;
    }
    return undefined;
  }

  #floatOf(at: number, field: number): number {
    return this.#floats[at * FLOATS + field] ?? 0;
  }

  #idAt(at: number): string {
    const from = at * HAND_OUT_BYTES + ID;
    return this.#otherIds.get(at) ?? this.#bytes.toString("latin1", from, from + ID_LENGTH);
  }
}

function printOf(taskId: string): number {
  const { length } = taskId;
  let print = length;
  for (let n = Math.max(0, length - PRINT_LENGTH); n < length; n += 1)
    print = (Math.imul(print, 31) + taskId.charCodeAt(n)) | 0;
  return print;
}
