import { closeSync, readSync, writeSync } from "node:fs";
import type { Clock, Timer } from "../../base/clock.js";
import { parseJson, isObject } from "../../conductor/reply.js";
import type { Task, TaskResult } from "../../conductor/types.js";
import type { WorkerConfig } from "../../config/types.js";
import type { Logger } from "../../log/logger.js";
import { InFlightTask } from "../in-flight.js";
import type { Parcel } from "../parcel.js";
import type { Folder } from "./folder.js";
import { bodyOf, decodeLine, encodeSettled, type ResultMeta } from "./format.js";
import type { DeadOwner, InheritedSink } from "./keeper.js";
import { JournalScan, readAtOf, SLICE_BYTES, type Place } from "./scan.js";

/** What is read of the file at once when it is found, in bytes: as a rule that is all of it. */
const FIRST_SLICE_BYTES = 4 * 1024 * 1024;

export interface InheritedJournalOptions {
  /** Its name since it was claimed. */
  readonly name: string;
  readonly folder: Folder;
  /** The address of this process's server. */
  readonly server: string | undefined;
  readonly sink: InheritedSink;
  readonly log: Logger;
  readonly clock: Clock;
  /** All results have left, and the file is gone. */
  readonly onDone: () => void;
}

/**
 * The journal of a dead process, while its results are delivered: a few at a time, read when there is room. It is looked
 * through to its end first, for a result may be settled far behind; a large one in slices, between which the event loop
 * turns.
 */
export class InheritedJournal {
  readonly #options: InheritedJournalOptions;
  readonly #fd: number;
  readonly #scan: JournalScan;
  /** All that it had was seen, or as much as can be dealt with at a time. */
  #isLookedThrough = false;
  #sliceTimer: Timer;
  /** Not given to the delivery yet. */
  readonly #waiting: Place[] = [];
  #results = 0;
  #underWay = 0;
  /** Results of the other server's. */
  #left = 0;
  #isFeeding = false;
  #isClosed = false;
  /** The last read failed, which is said once. */
  #isUnreadable = false;
  /** What else its owner had is still being searched for. */
  #isHeld = false;

  /** Begins to look it through. Throws what the file system says. */
  constructor(options: InheritedJournalOptions) {
    this.#options = options;
    this.#fd = options.folder.open(options.name);
    this.#scan = new JournalScan(readAtOf(this.#fd));
    try {
      this.#lookOn(FIRST_SLICE_BYTES);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Undefined: the header was damaged. */
  get owner(): Omit<DeadOwner, "isCertain"> | undefined {
    const { header, ended } = this.#scan;
    return header && { workerIds: header.workerIds, pid: header.pid, host: header.host, owed: header.owed, ended };
  }

  /**
   * Keeps the file, which is all that tells of its owner, until `search` has resolved with true: should this process die
   * before, the next one searches. With false the search has not ended, and the file stays.
   */
  holdUntil(search: Promise<boolean>): void {
    this.#isHeld = true;
    void search.then((isDone) => {
      if (!isDone) return;
      this.#isHeld = false;
      this.feed();
    });
  }

  /** Gives the delivery as many as it has room for. */
  feed(): void {
    if (this.#isFeeding || this.#isClosed) return;
    if (!this.#isLookedThrough) {
      // A read that has failed is tried again.
      if (this.#sliceTimer === undefined) this.#lookOnLater();
      return;
    }
    this.#isFeeding = true;
    try {
      for (let next; (next = this.#waiting[0]) !== undefined && this.#options.sink.hasRoomForInherited;) {
        const line = this.#bytes(next);
        // It is still in the file: the next read may be luckier.
        if (line === undefined) break;
        this.#waiting.shift();
        this.#handOver(next, line);
      }
    } finally {
      this.#isFeeding = false;
    }
    if (this.#waiting.length === 0 && this.#underWay === 0 && !this.#isHeld) this.#finish();
  }

  /** What has not left stays in the file, for others. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.clock.clearTimer(this.#sliceTimer);
    closeSync(this.#fd);
  }

  /** Where its results belong, if that is not our server by its address; it may be all the same. */
  get #otherServer(): string | undefined {
    const theirs = this.#scan.header?.server;
    return theirs === this.#options.server ? undefined : theirs;
  }

  /** Looks on for a slice. Throws what the file system says. */
  #lookOn(maxBytes: number): void {
    this.#isLookedThrough = this.#scan.readOn(maxBytes) !== "more";
    if (!this.#isLookedThrough) {
      this.#lookOnLater();
      return;
    }
    const { name, log } = this.#options;
    const { header, live, damagedLines } = this.#scan;
    if (damagedLines > 0 && this.#results === 0)
      log.warn({ file: name, damagedLines }, "a journal is damaged in places; what is left of it is delivered");
    if (live.size > 0) {
      const fields = { file: name, pid: header?.pid, host: header?.host, results: live.size };
      log.info(fields, "a dead process has left finished results; delivering them");
    }
    this.#results += live.size;
    for (const place of live.values()) this.#waiting.push(place);
    // What is read from now on is new.
    live.clear();
  }

  #lookOnLater(): void {
    this.#sliceTimer = this.#options.clock.setTimer(() => {
      this.#sliceTimer = undefined;
      if (this.#isClosed) return;
      try {
        this.#lookOn(SLICE_BYTES);
        if (this.#isLookedThrough) this.feed();
      } catch (error) {
        this.#unreadable(error);
      }
    }, 0);
  }

  #unreadable(error: unknown): void {
    const { log, name } = this.#options;
    if (!this.#isUnreadable) log.error({ file: name, err: error }, "reading a journal failed; trying again");
    this.#isUnreadable = true;
  }

  #handOver({ meta }: Place, line: Buffer): void {
    const parcel = parcelOf(line);
    if (parcel === undefined) {
      const { taskType, taskId, workflowInstanceId } = meta;
      this.#options.log.error({ taskType, taskId, workflowInstanceId }, "a result in a journal can no longer be read");
      return;
    }
    this.#underWay += 1;
    let isOver = false;
    const end = (note: () => void) => () => {
      if (isOver) return;
      isOver = true;
      this.#underWay -= 1;
      note();
      this.feed();
    };
    const settle = end(() => {
      this.#write(meta.n);
    });
    const leave = end(() => {
      this.#left += 1;
    });
    const entry = new InFlightTask(taskOf(meta), workerOf(meta), this.#options.clock.now());
    const kept = { isOnDisk: true, synced: undefined, settle };
    const mayBeElsewhere = this.#otherServer !== undefined;
    this.#options.sink.deliverInherited({ entry, parcel, kept: mayBeElsewhere ? { ...kept, leave } : kept });
  }

  #bytes({ offset, length }: Place): Buffer | undefined {
    const line = Buffer.alloc(length);
    try {
      readSync(this.#fd, line, 0, length, offset);
      this.#isUnreadable = false;
      return line;
    } catch (error) {
      this.#unreadable(error);
      return undefined;
    }
  }

  #write(n: number): void {
    if (this.#isClosed) return;
    try {
      writeSync(this.#fd, encodeSettled(n));
    } catch {
      // Who takes the file over next finds that the server has the result.
    }
  }

  /** Nothing is left, unless the process was taken for dead and has gone on writing. */
  #finish(): void {
    const { name, folder, server, log, onDone } = this.#options;
    try {
      this.#lookOn(SLICE_BYTES);
      if (!this.#isLookedThrough) return;
      if (this.#waiting.length > 0) {
        this.feed();
        return;
      }
      this.close();
      if (this.#left > 0) {
        const fields = { file: name, results: this.#left, theirServer: this.#otherServer, ourServer: server };
        log.warn(
          fields,
          "a journal is for another server, and ours does not know its tasks; it is left for a worker there",
        );
        folder.release(name);
        onDone();
        return;
      }
      folder.remove(name);
    } catch (error) {
      log.warn({ file: name, err: error }, "a journal that has been delivered cannot be removed");
    }
    this.close();
    if (this.#results > 0) log.info({ file: name }, "all that a dead process had left has been dealt with");
    onDone();
  }
}

function parcelOf(line: Buffer): Parcel | undefined {
  const decoded = decodeLine(line);
  if (decoded?.kind !== "p") return undefined;
  const body = bodyOf(decoded.payload);
  const result = parseJson(body.toString("utf8"));
  return isObject(result) ? { status: (result as unknown as TaskResult).status, body } : undefined;
}

/** As much of the task as a report on it needs. */
function taskOf({ taskId, workflowInstanceId, taskType, workerId, pollCount, retryCount }: ResultMeta): Task {
  const task: Partial<Task> = {
    taskId,
    workflowInstanceId,
    taskType,
    taskDefName: taskType,
    workerId,
    pollCount,
    retryCount,
    status: "IN_PROGRESS",
    inputData: {},
    outputData: {},
  };
  return task as Task;
}

/** A worker that is no more. */
function workerOf({ taskType, workerId }: ResultMeta): WorkerConfig {
  return {
    taskDefName: taskType,
    workerId,
    isWorkerIdUnique: true,
    concurrency: 1,
    domain: undefined,
    executionTimeoutMs: undefined,
    longPollMs: 0,
    paused: true,
    onDrainDeadline: "fail",
    takesTask: false,
    sources: {},
    execute: () => undefined,
  };
}
