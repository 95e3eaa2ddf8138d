import { ENDED_TASK_STATUSES } from "../../conductor/ended-statuses.js";
import type { RepeatLog } from "../../log/repeat-log.js";
import { TaskCancelledError, TaskDeadlineError } from "../../worker/errors.js";
import { backoffMs, MAX_RETRY_AFTER_MS } from "../gate/backoff.js";
import { reportReply } from "../gate/server-gate.js";
import type { InFlightTask } from "../in-flight.js";
import { leaseExtension } from "../parcel.js";
import type { Shared } from "../shared.js";
import { marginMs, taskTimes } from "./task-times.js";

/** How often a long-running task is looked up on the server, in ms: it never tells a worker that a task was cancelled. */
const CANCELLATION_CHECK_MS = 10_000;
/** Such checks at the same time, of all tasks: results, which travel in the same lane, must not queue behind checks that hang. */
const MAX_CHECKS = 16;
/** What they may read together, in bytes a second: each brings the whole task, and large ones are looked up more rarely. */
const CHECK_BYTES_PER_SECOND = 256 * 1024;
/** The first check of a task reads no more than this, in bytes; what is longer is cut off, and the next one is for more, */
const FIRST_CHECK_BYTES = 64 * 1024;
const CHECK_GROWTH = 8;
/** up to this: nothing that Conductor takes is longer. */
const MAX_CHECK_BYTES = 24 * 1024 * 1024;
/** One that finds no room comes again after this long, and up to twice that, in ms. */
const NO_ROOM_MS = 250;
/** Between two attempts to extend a lease at least, in ms; more with each that was refused. */
const LEASE_RETRY_MS = 500;
/** The least time an attempt gets, however little is left of the lease, in ms. */
const MIN_ATTEMPT_MS = 500;
/** In the log, for all tasks together. */
const EXTENDING = "extending leases";

interface Care {
  readonly deadlineReason: string;
  readonly responseTimeoutMs: number;
  leaseDueAt: number;
  /** Attempts in a row to extend the lease that failed. */
  failures: number;
  cancellationCheckAt: number;
  /** How long the answer to the next check may be, in bytes. */
  checkBytes: number;
  /** Requests under way; neither waits for the other. */
  extending: Promise<void> | undefined;
  checking: Promise<void> | undefined;
}

/**
 * What a task needs while we have it, on one timer: its deadline is kept, its lease is extended where the deadline lies
 * beyond the response timeout (through execution and delivery), and a cancelled one is found out.
 */
export class Upkeep {
  readonly #shared: Shared;
  readonly #repeatLog: RepeatLog;
  readonly #requestTimeoutMs: number;
  readonly #cancellationCheckMs: number;
  readonly #cares = new WeakMap<InFlightTask, Care>();
  #checksUnderWay = 0;
  /** Their leases are due, and the gate was shut. */
  readonly #heldUp = new Set<InFlightTask>();

  constructor(
    shared: Shared,
    repeatLog: RepeatLog,
    requestTimeoutMs: number,
    cancellationCheckMs: number = CANCELLATION_CHECK_MS,
  ) {
    this.#shared = shared;
    this.#repeatLog = repeatLog;
    this.#requestTimeoutMs = requestTimeoutMs;
    this.#cancellationCheckMs = cancellationCheckMs;
    shared.gate.onChange(() => {
      if (shared.gate.isOpen) this.#letGo();
    });
  }

  /** Fixes the task's deadline. Synchronous functions need no more than that. */
  begin(entry: InFlightTask): string {
    const times = taskTimes(entry.task, entry.worker.executionTimeoutMs);
    entry.deadlineAt = entry.receivedAt + times.budgetMs;
    entry.leaseEndsAt = entry.receivedAt + times.responseTimeoutMs;
    return times.budgetReason;
  }

  /** From now on until {@link end}: the task is waited for. */
  watch(entry: InFlightTask, deadlineReason: string): void {
    const now = this.#shared.clock.now();
    const responseTimeoutMs = entry.leaseEndsAt - entry.receivedAt;
    const care: Care = {
      deadlineReason,
      responseTimeoutMs,
      leaseDueAt: entry.receivedAt + responseTimeoutMs / 2,
      failures: 0,
      // Tasks that began together are not all checked at once.
      cancellationCheckAt: now + this.#cancellationCheckMs * (0.5 + this.#shared.random() / 2),
      checkBytes: FIRST_CHECK_BYTES,
      extending: undefined,
      checking: undefined,
    };
    this.#cares.set(entry, care);
    this.#arm(entry, care, now);
  }

  /**
   * The extension under way, if there is one. Nothing may be reported of the task before it has settled: the server
   * writes the task back as it was when the extension came, and a result that arrived meanwhile would be undone.
   */
  settled(entry: InFlightTask): Promise<void> | undefined {
    return this.#cares.get(entry)?.extending;
  }

  /** The result waits for another attempt: until then the lease is looked after again. */
  waiting(entry: InFlightTask): void {
    const care = this.#cares.get(entry);
    if (care !== undefined) this.#arm(entry, care, this.#shared.clock.now());
  }

  /** Stops caring: the task has left. */
  end(entry: InFlightTask): void {
    this.#cares.delete(entry);
    this.#heldUp.delete(entry);
    if (entry.timer === undefined) return;
    this.#shared.clock.clearTimer(entry.timer);
    entry.timer = undefined;
  }

  /** The server is back: leases that are due do not wait for their timers. */
  #letGo(): void {
    const now = this.#shared.clock.now();
    const entries = [...this.#heldUp];
    this.#heldUp.clear();
    for (const entry of entries) {
      const care = this.#cares.get(entry);
      if (care === undefined) continue;
      care.leaseDueAt = Math.min(care.leaseDueAt, now);
      this.#arm(entry, care, now);
    }
  }

  /** The function has settled: only the lease of a result on its way is left to look after, if it needs one. */
  executed(entry: InFlightTask): void {
    const care = this.#cares.get(entry);
    if (care !== undefined && !needsLease(entry, care)) this.end(entry);
  }

  #arm(entry: InFlightTask, care: Care, now: number): void {
    const isRunning = entry.state === "running";
    let dueAt = isRunning ? entry.deadlineAt : Infinity;
    if (isRunning && care.checking === undefined) dueAt = Math.min(dueAt, care.cancellationCheckAt);
    if (mayExtend(entry, care)) dueAt = Math.min(dueAt, care.leaseDueAt);
    if (entry.timer !== undefined) this.#shared.clock.clearTimer(entry.timer);
    entry.timer =
      dueAt === Infinity
        ? undefined
        : this.#shared.clock.setTimer(() => {
            entry.timer = undefined;
            this.#tick(entry, care);
          }, dueAt - now);
  }

  #tick(entry: InFlightTask, care: Care): void {
    if (!this.#shared.table.has(entry)) return;
    const now = this.#shared.clock.now();
    if (entry.state === "running" && now >= entry.deadlineAt) {
      const message = `the deadline has passed: ${care.deadlineReason}`;
      const error = new TaskDeadlineError(message);
      entry.interrupt?.({ kind: "failed", terminal: false, reason: message, error }, error);
      return;
    }
    if (mayExtend(entry, care) && now >= care.leaseDueAt) {
      this.#inBackground(entry, care, "extending", () => this.#extendLease(entry, care));
    }
    if (care.checking === undefined && entry.state === "running" && now >= care.cancellationCheckAt) {
      this.#inBackground(entry, care, "checking", () => this.#checkCancellation(entry, care));
    }
    this.#arm(entry, care, now);
  }

  #inBackground(entry: InFlightTask, care: Care, kind: "extending" | "checking", work: () => Promise<void>): void {
    care[kind] = work()
      .catch((error: unknown) => {
        this.#shared.log.error({ ...entry.ids, err: error }, "looking after a task failed");
      })
      .finally(() => {
        care[kind] = undefined;
        if (this.#cares.get(entry) === care) this.#arm(entry, care, this.#shared.clock.now());
      });
  }

  async #extendLease(entry: InFlightTask, care: Care): Promise<void> {
    const { clock, gate, api, events, table } = this.#shared;
    const sentAt = clock.now();
    const leftMs = entry.leaseEndsAt - sentAt;
    const isOver = leftMs <= 0;
    if (isOver && entry.state === "waiting") {
      // Whatever may still be saved, the result itself will save it: it is the next to be sent.
      care.leaseDueAt = sentAt + care.responseTimeoutMs / 2;
      return;
    }
    let permit = gate.admit("report", care.failures > 0);
    // Others can wait for the server, and so can a lease that is over; one that would end meanwhile cannot.
    const cannotWait = "waitMs" in permit && !isOver && permit.waitMs >= leftMs - marginMs(care.responseTimeoutMs);
    if (cannotWait) permit = gate.admitUrgent("report");
    if ("waitMs" in permit) {
      care.leaseDueAt = sentAt + Math.max(permit.waitMs, 10);
      this.#heldUp.add(entry);
      return;
    }
    // An answer that is not waited for leaves the task in doubt; that is only worth it while the lease can be saved.
    const patienceMs = isOver ? Infinity : Math.max(leftMs / 2, MIN_ATTEMPT_MS);
    const deadlineMs = Math.min(this.#requestTimeoutMs, patienceMs);
    const reply = await api.update(entry.task.taskId, JSON.stringify(leaseExtension(entry)), deadlineMs);
    const meaning = reportReply(permit, reply);
    if (reply.kind === "answered") this.#repeatLog.succeeded(EXTENDING);
    if (!table.has(entry)) return;
    if (reply.kind === "maybeApplied") entry.hasUnclearExtension = true;
    if (reply.kind === "answered") {
      care.failures = 0;
      entry.leaseEndsAt = sentAt + care.responseTimeoutMs;
      care.leaseDueAt = sentAt + care.responseTimeoutMs / 2;
      if (events.leaseExtended.isHeard) events.leaseExtended.emit(entry.ids);
      return;
    }
    if (meaning.subject === "task") {
      this.#cancelled(entry, "the server does not know the task any more");
      return;
    }
    // One that is refused for what it is does not close the gate: it must keep itself from coming again and again.
    care.failures += 1;
    const waitMs = backoffMs(meaning.failureClass, care.failures, this.#shared.random, reply.error.retryAfterMs);
    // While the lease can be saved, a part of what is left of it at most.
    const stillLeftMs = entry.leaseEndsAt - clock.now();
    const longestMs = stillLeftMs > 0 ? stillLeftMs / 4 : Infinity;
    care.leaseDueAt = clock.now() + Math.max(LEASE_RETRY_MS, Math.min(waitMs, longestMs));
    this.#repeatLog.failed(
      EXTENDING,
      { ...entry.ids, err: reply.error, leaseLeftMs: Math.round(entry.leaseEndsAt - clock.now()) },
      "extending the lease of a task failed; trying again",
    );
  }

  async #checkCancellation(entry: InFlightTask, care: Care): Promise<void> {
    const { clock, gate, api, table, random } = this.#shared;
    if (this.#checksUnderWay >= MAX_CHECKS) {
      care.cancellationCheckAt = clock.now() + NO_ROOM_MS * (1 + random());
      return;
    }
    const permit = gate.admit("aside task");
    if ("waitMs" in permit) {
      care.cancellationCheckAt = clock.now() + Math.max(permit.waitMs, 10);
      return;
    }
    this.#checksUnderWay += 1;
    const reply = await api.get(entry.task.taskId, care.checkBytes).finally(() => {
      this.#checksUnderWay -= 1;
    });
    const meaning = reportReply(permit, reply);
    const isTooLarge = reply.kind !== "answered" && reply.error.code === "RESPONSE_TOO_LARGE";
    if (isTooLarge && care.checkBytes >= MAX_CHECK_BYTES) {
      care.cancellationCheckAt = Infinity;
      this.#repeatLog.failed(
        "looking up large tasks",
        { ...entry.ids, bytes: care.checkBytes },
        "a running task is too large to be looked up; should it be cancelled, nobody notices before its end",
      );
      return;
    }
    if (isTooLarge) care.checkBytes = Math.min(care.checkBytes * CHECK_GROWTH, MAX_CHECK_BYTES);
    const nextBytes = reply.kind === "answered" ? (reply.bytes ?? 0) : isTooLarge ? care.checkBytes : 0;
    // Every task has an equal share.
    const shareMs = (nextBytes * table.size * 1000) / CHECK_BYTES_PER_SECOND;
    const askedMs = reply.kind === "answered" ? 0 : Math.min(reply.error.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS);
    care.cancellationCheckAt = clock.now() + Math.max(this.#cancellationCheckMs, shareMs, askedMs);
    if (!table.has(entry) || entry.state !== "running") return;
    if (reply.kind === "answered" && ENDED_TASK_STATUSES.has(reply.value.status)) {
      this.#cancelled(entry, `the server has ended the task meanwhile: it is ${reply.value.status}`);
    } else if (meaning.subject === "task") {
      this.#cancelled(entry, "the server does not know the task any more");
    }
  }

  #cancelled(entry: InFlightTask, reason: string): void {
    entry.interrupt?.({ kind: "moot", reason }, new TaskCancelledError(reason));
  }
}

/** The server's patience would end before the task's deadline does (by more than rounding). */
function needsLease(entry: InFlightTask, care: Care): boolean {
  return entry.leaseEndsAt - marginMs(care.responseTimeoutMs) < entry.deadlineAt - 1;
}

/** Never while anything is being reported of the task: see {@link Upkeep.settled}. */
function mayExtend(entry: InFlightTask, care: Care): boolean {
  const isQuiet = entry.state === "running" || entry.state === "waiting";
  return isQuiet && care.extending === undefined && needsLease(entry, care);
}
