import type { Timer } from "../base/clock.js";
import type { ReceivedTask } from "../conductor/hand-out.js";
import type { Task } from "../conductor/types.js";
import type { WorkerConfig } from "../config/types.js";
import type { HeartbeatCell } from "../liveness/board.js";
import type { RunnerStatus } from "../status.js";
import { TaskStoppingError } from "../worker/errors.js";
import { mustNotRunTwice } from "./execution/task-times.js";
import { InFlightTask } from "./in-flight.js";
import { threw, type Outcome } from "./outcome.js";
import { toHandBack, toParcel } from "./parcel.js";
import type { RunnerParts } from "./parts.js";
import type { Shared } from "./shared.js";
import type { Slots } from "./slots.js";
import { TurnAway } from "./turn-away.js";

/** A task that takes less may share a slot with what is asked for, in ms. */
const SHORT_TASK_MS = 250;

/** What the work in the slots asks, and tells, the loop that fills them. */
export interface LoopView {
  state(): RunnerStatus["state"];
  /** When the server answers the poll under way at the latest, by the clock; undefined while there is none. */
  pollUntil(): number | undefined;
  /** More tasks wait than there are slots. */
  hasBacklog(): boolean;
  /** An update asked for the next task, and got one or none. */
  chained(found: boolean): void;
  /** A slot is free again. */
  changed(): void;
}

/**
 * One task type's tasks from the hand-out to the door. The loop hands over what a poll brought to {@link receive}: each
 * task takes a slot, is executed and its result delivered, and what comes along with the acknowledgement goes round again
 * in the same slot. A task that must not be run leaves by another door ({@link TurnAway}); one that goes on at the end of
 * a drain is interrupted ({@link interruptAll}), and so is everything in a process that must end ({@link failAll}). The
 * recovery enters tasks that nobody works on any more ({@link giveBackLost}, {@link takeOver}). A task's state is in its
 * entry of the in-flight table; here is only what a slot does next. Nothing here rejects.
 */
export class SlotWork {
  readonly #config: WorkerConfig;
  readonly #parts: RunnerParts;
  readonly #shared: Shared;
  readonly #cell: HeartbeatCell;
  readonly #slots: Slots;
  readonly #loop: LoopView;
  readonly #turnAway: TurnAway;
  /** A task that was asked for and found its slot taken by a sweep beside its poll. */
  #waiting: { readonly entry: InFlightTask; readonly timer: Timer } | undefined;
  /** How long functions take, a moving average in ms. */
  #meanTaskMs = 0;

  constructor(config: WorkerConfig, parts: RunnerParts, cell: HeartbeatCell, slots: Slots, loop: LoopView) {
    this.#config = config;
    this.#parts = parts;
    this.#shared = parts.shared;
    this.#cell = cell;
    this.#slots = slots;
    this.#loop = loop;
    this.#turnAway = new TurnAway(config, parts, loop);
  }

  /**
   * The only free slot is reserved by the scout. It may be taken all the same where tasks are short: should the scout
   * bring another one meanwhile, that waits for a moment.
   */
  get maySpareSlot(): boolean {
    return (
      this.#slots.used < this.#slots.concurrency && this.#waiting === undefined && this.#meanTaskMs < SHORT_TASK_MS
    );
  }

  /** Takes a task in. False: it is one that we have already, and one execution answers both. */
  receive(handOut: ReceivedTask, wasAskedFor: boolean): boolean {
    const { table } = this.#shared;
    const known = table.get(handOut.task.taskId);
    if (known !== undefined && isSameHandOut(known, handOut)) return false;
    if (this.#isRepeated(handOut)) return false;
    const entry = this.#enter(handOut);
    const otherDoor = this.#turnAway.doorFor(entry, handOut.problem);
    if (this.#slots.used < this.#slots.concurrency) this.#run(() => otherDoor?.() ?? this.#work(entry));
    else if (otherDoor !== undefined) void otherDoor();
    else if (wasAskedFor && this.#waiting === undefined) this.#letWait(entry);
    else void this.#turnAway.giveBack(entry, "surplus");
    return true;
  }

  /** Ended long ago: a cache repeats an answer, or one that was given up for lost comes after all. */
  #isRepeated({ task }: ReceivedTask): boolean {
    if (!this.#parts.ended.isRepeated(task)) return false;
    const { taskDefName: taskType } = this.#config;
    this.#parts.repeatLog.failed(
      `hand-outs of ${taskType} that are over`,
      { taskType, taskId: task.taskId, workflowInstanceId: task.workflowInstanceId, pollCount: task.pollCount },
      "a task came again after it had ended, in the same hand-out; it is not run again. Is there a cache in between?",
    );
    return true;
  }

  /** What cannot run takes a slot as well, so that it is not swallowed faster than it can be reported. */
  #run(work: () => Promise<void>): void {
    void this.#slots.run(work).finally(() => {
      this.#runWaiting();
      this.#loop.changed();
    });
  }

  /** A sweep took the slot of the scout that brought this task: a short one is over at once. */
  #letWait(entry: InFlightTask): void {
    const timer = this.#shared.clock.setTimer(() => {
      this.#waiting = undefined;
      void this.#turnAway.giveBack(entry, "surplus");
    }, SHORT_TASK_MS);
    this.#waiting = { entry, timer };
  }

  #runWaiting(): void {
    if (this.#waiting === undefined || this.#slots.used >= this.#slots.concurrency) return;
    const { entry, timer } = this.#waiting;
    this.#waiting = undefined;
    this.#shared.clock.clearTimer(timer);
    this.#run(() => this.#turnAway.doorFor(entry, undefined)?.() ?? this.#work(entry));
  }

  #enter(handOut: ReceivedTask): InFlightTask {
    const now = this.#shared.clock.now();
    if (!this.#loop.hasBacklog())
      this.#parts.successors?.arrived(handOut.task.workflowInstanceId, this.#config.taskDefName, now);
    const entry = new InFlightTask(handOut.task, this.#config, now);
    const before = this.#shared.table.get(handOut.task.taskId);
    if (before !== undefined) this.#parts.handBack.cameAnew(before);
    this.#shared.table.enter(entry);
    return entry;
  }

  /** Gives back a task whose hand-out never reached us. */
  giveBackLost(task: Task): void {
    const { events } = this.#shared;
    if (events.taskReclaimed.isHeard) {
      const { taskId, workflowInstanceId } = task;
      const taskType = this.#config.taskDefName;
      events.taskReclaimed.emit({ taskType, taskId, workflowInstanceId, reason: "lostAnswer" });
    }
    void this.#turnAway.giveBack(this.#enter({ task, problem: undefined }), "lost");
  }

  /** Ends a task that a process which died had: failed for `reason`; undefined: given back, for it was not started. */
  takeOver(task: Task, reason: string | undefined): void {
    const { events, log } = this.#shared;
    const entry = this.#enter({ task, problem: undefined });
    log.warn(
      { ...entry.ids, ...(reason === undefined ? {} : { reason }) },
      `a worker process died with this task; it is ${reason === undefined ? "given back" : "reported failed"}`,
    );
    if (events.taskReclaimed.isHeard) events.taskReclaimed.emit({ ...entry.ids, reason: "predecessor" });
    if (reason === undefined) void this.#turnAway.giveBack(entry, "lost");
    else void this.#parts.delivery.deliver(entry, toParcel(entry, { kind: "failed", terminal: false, reason }), false);
  }

  /** A slot's work: one task, and those that come along with its update. Never rejects. */
  async #work(first: InFlightTask): Promise<void> {
    for (let entry: InFlightTask | undefined = first; entry !== undefined;) {
      const current: InFlightTask = entry;
      entry = undefined;
      try {
        entry = await this.#one(current);
      } catch (error) {
        await this.#afterBug(current, error);
      }
    }
  }

  async #one(entry: InFlightTask): Promise<InFlightTask | undefined> {
    const { clock, events } = this.#shared;
    const { executor } = this.#parts;
    if (executor.turn !== undefined) {
      while (executor.turn !== undefined) await executor.turn;
      // Nothing is begun yet: should the worker stop or pause meanwhile, it goes back.
      const otherDoor = this.#turnAway.doorFor(entry, undefined) ?? this.#turnAway.doorForLate(entry);
      if (otherDoor !== undefined) {
        await otherDoor();
        return undefined;
      }
    }
    // Spelled out, here and below: spreading the ids costs a microsecond each time.
    if (events.taskStarted.isHeard) {
      const { taskId, workflowInstanceId, queueWaitTime: queueWaitMs } = entry.task;
      events.taskStarted.emit({ taskType: this.#config.taskDefName, taskId, workflowInstanceId, queueWaitMs });
    }
    const startedAt = clock.now();
    this.#cell.entered();
    const executing = executor.execute(entry);
    const outcome = executing instanceof Promise ? await executing : executing;
    const durationMs = clock.now() - startedAt;
    this.#meanTaskMs += (durationMs - this.#meanTaskMs) / 8;
    this.#tellExecuted(entry, outcome, durationMs);
    const extending = this.#parts.upkeep.settled(entry);
    if (extending !== undefined) await extending;

    switch (outcome.kind) {
      case "moot":
        this.#shared.log.warn({ ...entry.ids, reason: outcome.reason }, "a running task was ended by the server");
        if (events.taskMoot.isHeard) events.taskMoot.emit({ ...entry.ids, reason: outcome.reason });
        this.#shared.table.leave(entry, "moot");
        return undefined;
      case "handBack":
        this.#parts.upkeep.end(entry);
        await this.#turnAway.send(entry, toHandBack(entry, { callbackAfterSeconds: 0 }), "stopping");
        return undefined;
      case "inProgress":
        this.#parts.upkeep.end(entry);
        await this.#turnAway.send(entry, toHandBack(entry, outcome), undefined);
        return undefined;
      case "completed":
      case "failed":
        break;
    }

    const { delivery } = this.#parts;
    const chain =
      this.#loop.state() === "polling" && this.#loop.hasBacklog() && !this.#slots.isOver && !delivery.isFull;
    const delivering = delivery.deliver(entry, toParcel(entry, outcome), chain);
    this.#parts.upkeep.executed(entry);
    const next = await delivering;
    this.#follow(entry);
    if (chain) this.#loop.chained(next !== null);
    return next === null ? undefined : this.#chained(next);
  }

  /** The server has scheduled what comes next in the workflow: whoever usually gets it sweeps at once. */
  #follow({ task }: InFlightTask): void {
    const { successors, follow } = this.#parts;
    // Under a backlog nobody has to be told to sweep, and what comes next has waited in any case.
    if (successors === undefined || this.#loop.hasBacklog()) return;
    const { taskDefName } = this.#config;
    const next = successors.acknowledged(task.workflowInstanceId, taskDefName, this.#shared.clock.now());
    if (next.length > 0) follow(taskDefName, next);
  }

  /** What came along with an update. At once, where it is to be run: a promise more costs time for each task. */
  #chained(next: ReceivedTask): InFlightTask | undefined | Promise<undefined> {
    const known = this.#shared.table.get(next.task.taskId);
    if (known !== undefined && isSameHandOut(known, next)) return undefined;
    if (this.#isRepeated(next)) return undefined;
    const entry = this.#enter(next);
    const otherDoor = this.#turnAway.doorFor(entry, next.problem);
    return otherDoor === undefined ? entry : otherDoor().then(() => undefined);
  }

  /** The outermost backstop: a task must not stay open because of a bug of ours, and nobody must miss that it happened. */
  async #afterBug(entry: InFlightTask, error: unknown): Promise<void> {
    this.#shared.log.error({ ...entry.ids, err: error }, "running a task failed unexpectedly; it is reported failed");
    this.#parts.upkeep.end(entry);
    if (!this.#shared.table.has(entry) || entry.state !== "running") return;
    const outcome = threw(error);
    if (outcome.kind !== "failed") return;
    await this.#parts.delivery.deliver(entry, toParcel(entry, { ...outcome, terminal: false }), false);
  }

  #tellExecuted(entry: InFlightTask, outcome: Outcome, durationMs: number): void {
    const { events, log } = this.#shared;
    if (outcome.kind === "failed") {
      const { terminal, reason, error } = outcome;
      log.warn({ ...entry.ids, terminal, reason }, "a task failed");
      if (events.taskFailed.isHeard) {
        events.taskFailed.emit({
          ...entry.ids,
          durationMs,
          terminal,
          reason,
          ...(error === undefined ? {} : { error }),
        });
      }
    } else if ((outcome.kind === "completed" || outcome.kind === "inProgress") && events.taskExecuted.isHeard) {
      const { taskId, workflowInstanceId } = entry.task;
      const status = outcome.kind === "completed" ? "COMPLETED" : "IN_PROGRESS";
      events.taskExecuted.emit({
        taskType: this.#config.taskDefName,
        taskId,
        workflowInstanceId,
        durationMs,
        status,
      });
    }
  }

  /**
   * Ends what still runs, at the drain deadline: each such task goes back to the queue, or is reported failed where it
   * must not run twice.
   */
  interruptAll(): void {
    for (const entry of this.#shared.table) {
      if (entry.worker !== this.#config || entry.interrupt === undefined) continue;
      const message = "the worker is stopping";
      const mustFail = this.#mustFail(entry);
      const outcome: Outcome =
        mustFail === undefined
          ? { kind: "handBack" }
          : { kind: "failed", terminal: false, reason: `${message}, and ${mustFail}` };
      entry.interrupt(outcome, new TaskStoppingError(message));
    }
  }

  /** Ends what still runs: each such task is reported failed (retryable), for `reason`. */
  failAll(reason: string): void {
    for (const entry of this.#shared.table) {
      if (entry.worker !== this.#config) continue;
      entry.interrupt?.({ kind: "failed", terminal: false, reason }, new TaskStoppingError(reason));
    }
  }

  /** Why a started task cannot go back to the queue; `undefined` when it can. */
  #mustFail(entry: InFlightTask): string | undefined {
    if (this.#config.onDrainDeadline === "fail") return "onDrainDeadline is fail";
    if (mustNotRunTwice(entry.task)) return "its definition has retryCount 0: it must not run twice";
    // Our own poll would get it again, and nobody would be left to give it back.
    if (this.#loop.pollUntil() !== undefined) return "a poll is still unanswered";
    return this.#turnAway.queueTimeoutIsOver(entry)
      ? "its pollTimeoutSeconds have passed: the queue would time it out"
      : undefined;
  }
}

/** One execution answers both, unless the first is on its way back and this is the next hand-out. */
function isSameHandOut(known: InFlightTask, { task }: ReceivedTask): boolean {
  return known.state !== "handingBack" || task.pollCount <= known.task.pollCount;
}
