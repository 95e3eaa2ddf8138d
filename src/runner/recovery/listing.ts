import type { Reply } from "../../conductor/reply.js";
import type { PageRequest, PendingPage } from "../../conductor/task-api.js";
import type { Task } from "../../conductor/types.js";
import { learnTaskBytes, tasksWithin } from "../task-bytes.js";
import type { ByteAllowance } from "./byte-allowance.js";

/** Each page makes the server read its whole backlog: of a longer one none is asked for, in tasks, */
export const MAX_BACKLOG = 2_000;
/** and so many at most. */
const MAX_PAGES = 32;
/** The longest page that is read, in bytes: it is parsed in one go, and the event loop waits for that. */
const MAX_PAGE_BYTES = 4 * 1024 * 1024;
/** What a page is meant to have, in bytes: tasks are not all of one size. */
const WANTED_PAGE_BYTES = MAX_PAGE_BYTES / 2;
/** The longest page of a single task, in bytes: well above what Conductor lets a task have. */
export const MAX_TASK_BYTES = 16 * 1024 * 1024;
/** After a page that was too long the next one is for so many times fewer tasks. */
const SHRINK = 8;

/**
 * How reading the listing ended.
 * - `whole`: everything was seen.
 * - `patchy`: it moved while it was read, or could not be read on; something may have been missed.
 * - `tooMuch`: it would take more than may be read now.
 * - `tooLarge`: not even one task can be read.
 * - `failed`: a page did not come.
 */
export type ListingEnd =
  | { readonly kind: "whole" | "patchy" | "tooMuch" | "tooLarge" }
  | { readonly kind: "failed"; readonly failure: ListingFailure };

/** `away`: nobody is asked now. */
export type ListingFailure = Exclude<Reply<never>, { kind: "answered" }> | "away";

/** A listing of the unfinished tasks of one type, and what is known of their size from one reading to the next. */
export class PendingListing {
  readonly #askFor: (page: PageRequest) => Promise<Reply<PendingPage> | "away">;
  readonly #allowance: ByteAllowance;
  /** 0: nothing is known. */
  #bytesPerTask = 0;

  constructor(askFor: (page: PageRequest) => Promise<Reply<PendingPage> | "away">, allowance: ByteAllowance) {
    this.#askFor = askFor;
    this.#allowance = allowance;
  }

  /**
   * Reads it page by page, in no order but the server's. The first page is for everything, which is what there is as a
   * rule; then nothing can move. `backlog`: how many tasks wait, as far as the server tells; others are worked on.
   */
  async read(backlog: number, onTask: (task: Task) => void): Promise<ListingEnd> {
    let start = 0;
    let count = this.#pageCount();
    let isWhole = true;
    let lastId: string | undefined;
    const seen = new Set<string>();
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const { bytes: allowedBytes } = this.#allowance;
      const leftBytes = Math.max(0, backlog - start) * this.#bytesPerTask;
      if (allowedBytes < Math.max(leftBytes, MAX_PAGE_BYTES)) return { kind: "tooMuch" };
      const maxBodyBytes = count === 1 ? Math.min(MAX_TASK_BYTES, Math.floor(allowedBytes)) : MAX_PAGE_BYTES;
      const reply = await this.#askFor({ start, count, maxBodyBytes });
      if (reply === "away") return { kind: "failed", failure: reply };
      if (reply.kind !== "answered") {
        if (reply.error.code !== "RESPONSE_TOO_LARGE") return { kind: "failed", failure: reply };
        this.#allowance.spend(maxBodyBytes);
        this.#bytesPerTask = Math.max(this.#bytesPerTask, maxBodyBytes / count);
        if (count === 1) return { kind: maxBodyBytes === MAX_TASK_BYTES ? "tooLarge" : "tooMuch" };
        count = Math.max(1, Math.floor(count / SHRINK));
        continue;
      }
      const { tasks, listed } = reply.value;
      const { bytes = 0 } = reply;
      this.#allowance.spend(bytes);
      this.#bytesPerTask = learnTaskBytes(this.#bytesPerTask, { tasks: listed, bytes });
      // Pages overlap by one: where the first is not the last one again, the list has moved.
      if (start > 0 && tasks[0]?.taskId !== lastId) isWhole = false;
      const fresh = tasks.filter(({ taskId }) => !seen.has(taskId));
      for (const task of fresh) {
        seen.add(task.taskId);
        onTask(task);
      }
      if (listed < count) return { kind: isWhole ? "whole" : "patchy" };
      // A server that does not heed `start` gives the same page for ever.
      if (fresh.length === 0) return { kind: "patchy" };
      lastId = tasks.at(-1)?.taskId;
      if (listed === 1) isWhole = false;
      start += Math.max(1, listed - 1);
      count = this.#pageCount();
    }
    return { kind: "patchy" };
  }

  #pageCount(): number {
    return Math.min(MAX_BACKLOG, tasksWithin(WANTED_PAGE_BYTES, this.#bytesPerTask));
  }
}
