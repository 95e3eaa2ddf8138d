import type { Timer } from "../clock.js";
import type { HandOut } from "../conductor/hand-out.js";
import type { Polled } from "../conductor/task-api.js";
import type { Reply } from "../conductor/reply.js";
import type { Task } from "../conductor/types.js";
import type { WorkerConfig } from "../config/types.js";
import type { HeartbeatCell, LoopPhase } from "../liveness/board.js";
import type { RepeatLog } from "../telemetry/repeat-log.js";
import type { WorkerEvents } from "../telemetry/events.js";
import { TaskStoppingError } from "../worker/errors.js";
import { backoffMs } from "./backoff.js";
import type { Delivery } from "./delivery.js";
import type { Executor } from "./execution.js";
import type { HandBack } from "./hand-back.js";
import { InFlightTask } from "./in-flight.js";
import { plainFailure, threw, toHandBack, toParcel, type Outcome, type Parcel } from "./outcome.js";
import type { PollCoordinator, PollMember } from "./poll-coordinator.js";
import {
  afterChain,
  afterOutage,
  afterPoll,
  INITIAL_POLL_STATE,
  nextPoll,
  paceMs,
  type PollPlan,
  type PollState,
} from "./poll-strategy.js";
import type { Reclaim, ReclaimSite } from "./reclaim.js";
import { failureVerdict, type Permit } from "./server-gate.js";
import type { Shared } from "./shared.js";
import { Slots } from "./slots.js";
import type { Successors } from "./successors.js";
import { mustNotRunTwice, pollTimeoutIsOver } from "./task-times.js";
import type { Upkeep } from "./upkeep.js";
import { Wakeup } from "./wakeup.js";

/** The parts of a process that its runners share, beside {@link Shared}. */
export interface RunnerParts {
  readonly shared: Shared;
  readonly executor: Executor;
  readonly delivery: Delivery;
  readonly handBack: HandBack;
  readonly upkeep: Upkeep;
  readonly reclaim: Reclaim;
  readonly coordinator: PollCoordinator;
  /** Tells the runners of these task types that one of their tasks may just have been scheduled. */
  readonly follow: (afterTaskType: string, taskTypes: readonly string[]) => void;
  /** Undefined: following is switched off. */
  readonly successors: Successors | undefined;
  readonly repeatLog: RepeatLog;
  /** The longest wait of the loop before it iterates, and beats, again, in ms. */
  readonly sliceMs: number;
  /** Called when a poll has settled or a slot is free again. */
  readonly onChange: () => void;
}

type GivenBack = WorkerEvents["taskHandedBack"]["reason"];

/** A task of somebody else's type is put back for this long, so that it does not come round at once. */
const NOT_OURS_DELAY_SECONDS = 5;
/** A task that takes less may share a slot with what is asked for, in ms. */
const SHORT_TASK_MS = 250;
/** What the loop waits after a bug of ours, in ms. */
const AFTER_BUG_MS = 1_000;

/** What a runner is doing, for status pages and tests. */
export interface RunnerStatus {
  readonly taskType: string;
  readonly domain: string | undefined;
  readonly state: "polling" | "paused" | "draining" | "stopped";
  /** What its loop did last. */
  readonly phase: LoopPhase;
  readonly concurrency: number;
  readonly running: number;
  /** Milliseconds since the loop's last iteration. */
  readonly lastBeatAgoMs: number;
  /** Milliseconds since the last poll that the server answered; undefined before the first. */
  readonly lastPollAgoMs: number | undefined;
  /** Undefined unless its polls fail: for how long none has succeeded, and what the last one said. */
  readonly pollsFailing: { readonly forMs: number; readonly error: string } | undefined;
}

/**
 * One task type, for ever. An event machine: each iteration beats, starts the poll that is called for, and waits for
 * something to happen (a slot freed, a poll settled, the server back, pause, stop) or for the end of a slice. It never
 * waits for a poll, so nothing that happens to one can hold it up.
 */
export class TaskRunner implements ReclaimSite, PollMember {
  readonly config: WorkerConfig;
  readonly queueName: string;
  readonly #parts: RunnerParts;
  readonly #shared: Shared;
  readonly #cell: HeartbeatCell;
  readonly #slots: Slots;
  readonly #wakeup: Wakeup;
  #pollState: PollState = INITIAL_POLL_STATE;
  #state: "polling" | "paused" | "draining" | "stopped";
  /** Until when the server holds the polls under way, by the clock: the main one, and a look beside it. */
  #pollUntil: number | undefined;
  #lookUntil: number | undefined;
  /** A task that was asked for and found its slot taken by a look. */
  #waiting: { readonly entry: InFlightTask; readonly timer: Timer } | undefined;
  /** How long functions take, a moving average in ms. */
  #meanTaskMs = 0;
  /** Something may wait: look once without being held. */
  #lookNext = false;
  #isWaitingForHold = false;
  #lastWorkAt = -Infinity;
  #notBefore = -Infinity;
  /** Polls in a row that the server refused for this task type alone. */
  #refusals = 0;
  #lastPollAt: number | undefined;
  #lastBeatAt: number;
  #phase: LoopPhase = "starting";
  /** Since when polls have failed without one that succeeded, by the clock. */
  #failingSince: number | undefined;
  #lastPollError: string | undefined;
  #forgetGate: () => void;

  constructor(config: WorkerConfig, parts: RunnerParts, cell: HeartbeatCell) {
    this.config = config;
    this.#parts = parts;
    this.#shared = parts.shared;
    this.#cell = cell;
    this.#slots = new Slots(config.concurrency);
    this.#wakeup = new Wakeup(parts.shared.clock);
    this.#state = config.paused ? "paused" : "polling";
    this.#forgetGate = parts.shared.gate.onChange(() => {
      this.#wakeup.wake();
    });
    this.queueName = config.domain === undefined ? config.taskDefName : `${config.domain}:${config.taskDefName}`;
    parts.coordinator.register(this);
    // The first beat is made before anything can go wrong.
    cell.beat();
    this.#lastBeatAt = parts.shared.clock.now();
  }

  /** Runs until {@link stop}; never rejects. */
  async run(): Promise<void> {
    while (this.#state !== "stopped") {
      this.#cell.beat();
      this.#lastBeatAt = this.#shared.clock.now();
      let waitMs: number;
      try {
        waitMs = this.#step();
        this.#tellPhase();
      } catch (error) {
        this.#shared.log.error(
          { taskType: this.config.taskDefName, err: error },
          "an iteration of the poll loop failed; going on",
        );
        waitMs = AFTER_BUG_MS;
      }
      await this.#wakeup.wait(Math.min(waitMs, this.#parts.sliceMs));
    }
    this.#forgetGate();
    this.#cell.release();
  }

  /** Something changed: iterate now. */
  wake(): void {
    this.#wakeup.wake();
  }

  pause(): void {
    if (this.#state !== "polling") return;
    this.#state = "paused";
    this.#parts.coordinator.release(this);
    this.#wakeup.wake();
  }

  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "polling";
    this.#wakeup.wake();
  }

  /** Takes effect at once for new tasks. Throws `RangeError` for what is no whole number from 1 up. */
  setConcurrency(concurrency: number): void {
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      throw new RangeError(`concurrency must be a whole number from 1 up, got ${String(concurrency)}`);
    }
    this.#slots.concurrency = concurrency;
    this.#wakeup.wake();
  }

  /** No further polls. What a poll under way still brings is handed back. */
  drain(): void {
    if (this.#state === "stopped") return;
    this.#state = "draining";
    this.#parts.coordinator.release(this);
    this.#wakeup.wake();
  }

  /** Ends the loop. */
  stop(): void {
    this.#state = "stopped";
    this.#wakeup.wake();
  }

  /** No poll is under way and no slot is taken. */
  get isIdle(): boolean {
    return this.pollUntil === undefined && this.#slots.used === 0;
  }

  /** When the server answers what is under way at the latest, by the clock; undefined while no poll is. */
  get pollUntil(): number | undefined {
    if (this.#pollUntil === undefined) return this.#lookUntil;
    return this.#lookUntil === undefined ? this.#pollUntil : Math.max(this.#pollUntil, this.#lookUntil);
  }

  get lastWorkAt(): number {
    return this.#lastWorkAt;
  }

  get isWaitingForHold(): boolean {
    return this.#isWaitingForHold && this.#state === "polling";
  }

  /** Something may have been scheduled: looks once, beside a poll that is held, if a slot is free for it. */
  look(): void {
    if (this.#state !== "polling") return;
    this.#lookNext = true;
    this.#wakeup.wake();
  }

  /**
   * As {@link look}, after an acknowledged task of `after`, at once and only if it is cheap. On an eager queue the held
   * poll is already being answered.
   */
  lookAfter(after: string): void {
    const isBusy = this.#lookUntil !== undefined || this.#pollState.backlog || this.#pollState.isEager === true;
    if (this.#state !== "polling" || isBusy || !this.#shared.gate.isOpen || this.#parts.delivery.isFull) return;
    const count = this.#slots.free > 0 ? this.#slots.free : this.#maySpareSlot() ? 1 : 0;
    if (count === 0) return;
    const permit = this.#shared.gate.admit();
    if ("waitMs" in permit) return;
    void this.#poll({ kind: "sweep", count, timeoutMs: 0 }, permit, after);
  }

  /**
   * The only free slot is reserved by the scout. It may be taken all the same where tasks are short: should the scout
   * bring another one meanwhile, that waits for a moment.
   */
  #maySpareSlot(): boolean {
    return (
      this.#slots.used < this.#slots.concurrency && this.#waiting === undefined && this.#meanTaskMs < SHORT_TASK_MS
    );
  }

  get status(): RunnerStatus {
    const now = this.#shared.clock.now();
    return {
      taskType: this.config.taskDefName,
      domain: this.config.domain,
      state: this.#state,
      phase: this.#phase,
      concurrency: this.#slots.concurrency,
      running: this.#slots.used,
      lastBeatAgoMs: now - this.#lastBeatAt,
      lastPollAgoMs: this.#lastPollAt === undefined ? undefined : now - this.#lastPollAt,
      pollsFailing:
        this.#failingSince === undefined
          ? undefined
          : { forMs: now - this.#failingSince, error: this.#lastPollError ?? "" },
    };
  }

  /** What the loop does, for the board; and, for who counts, that it could not poll. */
  #tellPhase(): void {
    const phase = this.#phaseNow();
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#cell.phase(phase);
    }
    if (phase === "full" || phase === "paused" || phase === "outboxFull") {
      const { events } = this.#shared;
      if (events.has("pollSkipped")) events.emit("pollSkipped", { taskType: this.config.taskDefName, reason: phase });
    }
  }

  #phaseNow(): LoopPhase {
    if (this.#state === "draining" || this.#state === "stopped") return "draining";
    if (this.#pollUntil !== undefined) return "polling";
    if (this.#state === "paused") return "paused";
    if (this.#parts.delivery.isFull) return "outboxFull";
    return this.#slots.free === 0 ? "full" : "waiting";
  }

  /**
   * Ends what still runs, at the drain deadline: each such task goes back to the queue, or is reported failed where it
   * must not run twice.
   */
  interruptAll(): void {
    for (const entry of this.#shared.table) {
      if (entry.worker !== this.config || entry.interrupt === undefined) continue;
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
      if (entry.worker !== this.config) continue;
      entry.interrupt?.({ kind: "failed", terminal: false, reason }, new TaskStoppingError(reason));
    }
  }

  /** Why a started task cannot go back to the queue; `undefined` when it can. */
  #mustFail(entry: InFlightTask): string | undefined {
    if (this.config.onDrainDeadline === "fail") return "onDrainDeadline is fail";
    if (mustNotRunTwice(entry.task)) return "its definition has retryCount 0: it must not run twice";
    // Our own poll would get it again, and nobody would be left to give it back.
    if (this.pollUntil !== undefined) return "a poll is still unanswered";
    return this.#queueTimeoutIsOver(entry)
      ? "its pollTimeoutSeconds have passed: the queue would time it out"
      : undefined;
  }

  #queueTimeoutIsOver(entry: InFlightTask): boolean {
    return pollTimeoutIsOver(entry.task, this.#shared.clock.now() - entry.receivedAt);
  }

  /** One iteration; returns how long to wait for the next, in ms. */
  #step(): number {
    if (this.#state !== "polling" || this.#pollUntil !== undefined || this.#parts.delivery.isFull) return Infinity;
    const freeSlots = this.#slots.free;
    if (freeSlots === 0) return Infinity;
    const { clock, gate } = this.#shared;
    const waitMs = this.#notBefore - clock.now();
    if (waitMs > 0) return waitMs;
    const { longPollMs } = this.config;
    const state = this.#lookNext ? { ...this.#pollState, sweepNext: true } : this.#pollState;
    const mustBeHeld = nextPoll(state, { freeSlots, longPollMs, isProbe: false }).kind !== "sweep";
    this.#isWaitingForHold = mustBeHeld && gate.isOpen && !this.#parts.coordinator.mayHold(this);
    if (this.#isWaitingForHold) {
      // Its queue is watched from now on: what its last poll said is no news, and the next one may be long in coming.
      this.#failingSince = undefined;
      return Infinity;
    }
    const permit = gate.admit();
    if ("waitMs" in permit) return permit.waitMs;
    this.#lookNext = false;
    void this.#poll(nextPoll(state, { freeSlots, longPollMs, isProbe: permit.isProbe }), permit);
    return Infinity;
  }

  /** @param after the task type whose acknowledgement made us look beside the main poll. */
  async #poll(plan: PollPlan, permit: Permit, after?: string): Promise<void> {
    const { api, clock, log } = this.#shared;
    const { taskDefName: taskType, workerId, domain } = this.config;
    const isMain = after === undefined;
    const until = permit.startedAt + plan.timeoutMs;
    if (isMain) this.#pollUntil = until;
    else this.#lookUntil = until;
    this.#slots.reserve(plan.count);
    let isReserved = true;
    const unreserve = () => {
      if (isReserved) this.#slots.release(plan.count);
      isReserved = false;
    };
    try {
      const reply = await api.pollBatch({ taskType, workerId, domain, count: plan.count, timeoutMs: plan.timeoutMs });
      unreserve();
      const durationMs = clock.now() - permit.startedAt;
      if (after !== undefined) {
        const found = reply.kind === "answered" && reply.value.handOuts.length > 0;
        this.#parts.successors?.looked(after, taskType, found);
      }
      if (reply.kind === "answered") this.#polled(plan, permit, reply.value, durationMs, isMain);
      else this.#pollFailed(permit, reply, durationMs, until);
      if (plan.kind !== "sweep") {
        const isEmpty = reply.kind === "answered" && reply.value.handOuts.length === 0;
        this.#parts.coordinator.holdEnded(this, plan.timeoutMs, isEmpty ? durationMs - plan.timeoutMs : 0);
      }
    } catch (error) {
      permit.report("overloaded");
      log.error({ taskType, err: error }, "handling a poll failed; going on");
    } finally {
      unreserve();
      if (isMain) this.#pollUntil = undefined;
      else this.#lookUntil = undefined;
      this.#changed();
    }
  }

  #changed(): void {
    this.#wakeup.wake();
    this.#parts.onChange();
  }

  #polled(plan: PollPlan, permit: Permit, { handOuts, malformed }: Polled, durationMs: number, isMain: boolean): void {
    const { clock, events, log } = this.#shared;
    const { taskDefName: taskType } = this.config;
    this.#lastPollAt = clock.now();
    this.#failingSince = undefined;
    const isNonsense = malformed > 0 && handOuts.length === 0;
    permit.report(isNonsense ? "overloaded" : "ok");
    this.#refusals = 0;
    this.#parts.repeatLog.succeeded(`polling ${this.queueName}`);
    if (malformed > 0)
      log.error({ taskType, malformed }, "the server handed out tasks without ids; nobody can report on them");
    let useful = 0;
    for (const [index, handOut] of handOuts.entries()) {
      if (this.#receive(handOut, index < plan.count)) useful += 1;
    }
    if (useful > 0) this.#lastWorkAt = clock.now();
    // An empty look beside the main poll tells nothing that the main poll does not.
    if (isMain || useful > 0) {
      this.#pollState = afterPoll(this.#pollState, plan, { received: handOuts.length, useful, durationMs });
      this.#notBefore = clock.now() + paceMs(this.#pollState, this.config.longPollMs);
    }
    if (events.has("pollCompleted")) {
      events.emit("pollCompleted", { taskType, requested: plan.count, received: handOuts.length, durationMs });
    }
  }

  #pollFailed(
    permit: Permit,
    reply: Exclude<Reply<Polled>, { kind: "answered" }>,
    durationMs: number,
    until: number,
  ): void {
    const { clock, events, random } = this.#shared;
    const { taskDefName: taskType } = this.config;
    const verdict = failureVerdict(reply);
    this.#failingSince ??= clock.now();
    this.#lastPollError = reply.error.message;
    permit.report(reply.error.status === 500 ? "overloaded" : verdict, reply.error.retryAfterMs);
    if (verdict === "ok" || verdict === "neutral") {
      // It is about this task type; the others must not wait for it.
      this.#refusals += 1;
      const failureClass = reply.error.status === 403 ? "unauthorized" : "overloaded";
      this.#notBefore = clock.now() + backoffMs(failureClass, this.#refusals, random, reply.error.retryAfterMs);
    }
    if (reply.kind === "maybeApplied") {
      this.#parts.delivery.suspect();
      this.#parts.reclaim.lost(this, until);
    }
    this.#pollState = afterOutage(this.#pollState);
    this.#parts.repeatLog.failed(
      `polling ${this.queueName}`,
      { taskType, err: reply.error },
      "polling failed; backing off and trying again",
    );
    if (events.has("pollFailed")) events.emit("pollFailed", { taskType, durationMs, error: reply.error });
  }

  /** Takes a task in. False: it is one that we have already, and one execution answers both. */
  #receive(handOut: HandOut, wasAskedFor: boolean): boolean {
    const { table } = this.#shared;
    const known = table.get(handOut.task.taskId);
    if (known !== undefined && isSameHandOut(known, handOut)) return false;
    if (this.#parts.reclaim.hasGivenBack(handOut.task)) return false;
    const entry = this.#enter(handOut);
    const otherDoor = this.#otherDoor(entry, handOut.problem);
    if (this.#slots.used < this.#slots.concurrency) this.#run(() => otherDoor?.() ?? this.#work(entry));
    else if (otherDoor !== undefined) void otherDoor();
    else if (wasAskedFor && this.#waiting === undefined) this.#letWait(entry);
    else void this.#return(entry, "surplus");
    return true;
  }

  /** What cannot run takes a slot as well, so that it is not swallowed faster than it can be reported. */
  #run(work: () => Promise<void>): void {
    void this.#slots.run(work).finally(() => {
      this.#runWaiting();
      this.#changed();
    });
  }

  /** A look took the slot of the scout that brought this task: a short one is over at once. */
  #letWait(entry: InFlightTask): void {
    const timer = this.#shared.clock.setTimer(() => {
      this.#waiting = undefined;
      void this.#return(entry, "surplus");
    }, SHORT_TASK_MS);
    this.#waiting = { entry, timer };
  }

  #runWaiting(): void {
    if (this.#waiting === undefined || this.#slots.used >= this.#slots.concurrency) return;
    const { entry, timer } = this.#waiting;
    this.#waiting = undefined;
    this.#shared.clock.clearTimer(timer);
    this.#run(() => this.#otherDoor(entry, undefined)?.() ?? this.#work(entry));
  }

  #enter(handOut: HandOut): InFlightTask {
    const now = this.#shared.clock.now();
    this.#parts.successors?.arrived(handOut.task.workflowInstanceId, this.config.taskDefName, now);
    const entry = new InFlightTask(handOut.task, this.config, now);
    this.#shared.table.enter(entry);
    return entry;
  }

  /** How a task leaves that is not to be run; `undefined` when it is. */
  #otherDoor(entry: InFlightTask, problem: string | undefined): (() => Promise<void>) | undefined {
    const { task } = entry;
    const { taskDefName } = this.config;
    if (this.#state === "draining" || this.#state === "stopped") return () => this.#return(entry, "stopping");
    if (this.#state === "paused") return () => this.#return(entry, "paused");
    if (problem !== undefined) {
      this.#shared.log.error({ ...entry.ids, problem }, "the server handed out a malformed task");
      return () => this.#report(entry, plainFailure(entry, `the task is malformed: ${problem}`));
    }
    const isOther = (name: unknown) => typeof name === "string" && name !== "" && name !== taskDefName;
    if (isOther(task.taskDefName) && isOther(task.taskType)) {
      this.#shared.log.error(
        { ...entry.ids, taskDefName: task.taskDefName },
        "the server handed out a task of another type",
      );
      return () => this.#return(entry, "notOurs");
    }
    if (isExternal(task.externalInputPayloadStoragePath)) return () => this.#refuseExternal(entry);
    return undefined;
  }

  /** The function would run without its input; who retried it would get it as it is. */
  #refuseExternal(entry: InFlightTask): Promise<void> {
    const { events, log } = this.#shared;
    log.error(entry.ids, "a task's input lies in external payload storage, which this SDK does not read");
    if (events.has("externalPayloadUsed")) {
      events.emit("externalPayloadUsed", { ...entry.ids, operation: "READ", payloadType: "TASK_INPUT" });
    }
    const reason = "the task's input lies in external payload storage, which this worker's SDK does not read";
    return this.#report(entry, plainFailure(entry, reason));
  }

  /** Gives back a task that nothing was begun with. */
  #return(entry: InFlightTask, reason: GivenBack): Promise<void> {
    if (this.#queueTimeoutIsOver(entry)) {
      const why = `the worker could not take the task (${reason}), and its pollTimeoutSeconds have passed`;
      return this.#report(entry, toParcel(entry, { kind: "failed", terminal: false, reason: why }));
    }
    const callbackAfterSeconds = reason === "notOurs" ? NOT_OURS_DELAY_SECONDS : 0;
    return this.#parts.handBack.send(entry, { reason, body: toHandBack(entry, { callbackAfterSeconds }).body });
  }

  async #report(entry: InFlightTask, parcel: Parcel): Promise<void> {
    await this.#parts.delivery.deliver(entry, parcel, false);
  }

  /** Gives back a task whose hand-out never reached us. */
  giveBackLost(task: Task): void {
    const { events } = this.#shared;
    if (events.has("taskReclaimed")) {
      const { taskId, workflowInstanceId } = task;
      const taskType = this.config.taskDefName;
      events.emit("taskReclaimed", { taskType, taskId, workflowInstanceId, reason: "lostAnswer" });
    }
    void this.#return(this.#enter({ task, problem: undefined }), "lost");
  }

  /** Ends a task that a process which died had: failed for `reason`; undefined: given back, for it was not started. */
  takeOver(task: Task, reason: string | undefined): void {
    const { events, log } = this.#shared;
    const entry = this.#enter({ task, problem: undefined });
    log.warn(
      { ...entry.ids, ...(reason === undefined ? {} : { reason }) },
      `a worker process died with this task; it is ${reason === undefined ? "given back" : "reported failed"}`,
    );
    if (events.has("taskReclaimed")) events.emit("taskReclaimed", { ...entry.ids, reason: "predecessor" });
    if (reason === undefined) void this.#return(entry, "lost");
    else void this.#report(entry, toParcel(entry, { kind: "failed", terminal: false, reason }));
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
    if (events.has("taskStarted")) events.emit("taskStarted", { ...entry.ids, queueWaitMs: entry.task.queueWaitTime });
    const startedAt = clock.now();
    this.#cell.entered();
    const executing = this.#parts.executor.execute(entry);
    const outcome = executing instanceof Promise ? await executing : executing;
    const durationMs = clock.now() - startedAt;
    this.#meanTaskMs += (durationMs - this.#meanTaskMs) / 8;
    this.#tellExecuted(entry, outcome, durationMs);
    const extending = this.#parts.upkeep.settled(entry);
    if (extending !== undefined) await extending;

    switch (outcome.kind) {
      case "moot":
        this.#shared.log.warn({ ...entry.ids, reason: outcome.reason }, "a running task was ended by the server");
        if (events.has("taskMoot")) events.emit("taskMoot", { ...entry.ids, reason: outcome.reason });
        this.#shared.table.leave(entry, "moot");
        return undefined;
      case "handBack":
        this.#parts.upkeep.end(entry);
        await this.#parts.handBack.send(entry, {
          reason: "stopping",
          body: toHandBack(entry, { callbackAfterSeconds: 0 }).body,
        });
        return undefined;
      case "inProgress": {
        const parcel = toHandBack(entry, outcome);
        this.#parts.upkeep.end(entry);
        // Unlike a result it cannot wait in the outbox: repeated late it would take the task away from somebody.
        if (parcel.result.status === "IN_PROGRESS")
          await this.#parts.handBack.send(entry, { reason: undefined, body: parcel.body });
        else await this.#report(entry, parcel);
        return undefined;
      }
      case "completed":
      case "failed":
        break;
    }

    const { delivery } = this.#parts;
    const chain = this.#state === "polling" && this.#pollState.backlog && !this.#slots.isOver && !delivery.isFull;
    const delivering = delivery.deliver(entry, toParcel(entry, outcome), chain);
    this.#parts.upkeep.executed(entry);
    const next = await delivering;
    this.#follow(entry);
    if (chain) this.#pollState = afterChain(this.#pollState, next !== null);
    return next === null ? undefined : this.#chained(next);
  }

  /** The server has scheduled what comes next in the workflow: whoever usually gets it looks at once. */
  #follow({ task }: InFlightTask): void {
    const { successors, follow } = this.#parts;
    if (successors === undefined) return;
    const { taskDefName } = this.config;
    const next = successors.acknowledged(task.workflowInstanceId, taskDefName, this.#shared.clock.now());
    if (next.length > 0) follow(taskDefName, next);
  }

  async #chained(next: HandOut): Promise<InFlightTask | undefined> {
    const known = this.#shared.table.get(next.task.taskId);
    if (known !== undefined && isSameHandOut(known, next)) return undefined;
    if (this.#parts.reclaim.hasGivenBack(next.task)) return undefined;
    const entry = this.#enter(next);
    const otherDoor = this.#otherDoor(entry, next.problem);
    await otherDoor?.();
    return otherDoor === undefined ? entry : undefined;
  }

  /** The outermost backstop: a task must not stay open because of a bug of ours, and nobody must miss that it happened. */
  async #afterBug(entry: InFlightTask, error: unknown): Promise<void> {
    this.#shared.log.error({ ...entry.ids, err: error }, "running a task failed unexpectedly; it is reported failed");
    this.#parts.upkeep.end(entry);
    if (!this.#shared.table.has(entry) || entry.state !== "running") return;
    const outcome = threw(error);
    if (outcome.kind === "failed") await this.#report(entry, toParcel(entry, { ...outcome, terminal: false }));
  }

  #tellExecuted(entry: InFlightTask, outcome: Outcome, durationMs: number): void {
    const { events, log } = this.#shared;
    if (outcome.kind === "failed") {
      const { terminal, reason, error } = outcome;
      log.warn({ ...entry.ids, terminal, reason }, "a task failed");
      if (events.has("taskFailed")) {
        events.emit("taskFailed", {
          ...entry.ids,
          durationMs,
          terminal,
          reason,
          ...(error === undefined ? {} : { error }),
        });
      }
    } else if ((outcome.kind === "completed" || outcome.kind === "inProgress") && events.has("taskExecuted")) {
      const status = outcome.kind === "completed" ? "COMPLETED" : "IN_PROGRESS";
      events.emit("taskExecuted", { ...entry.ids, durationMs, status });
    }
  }
}

function isExternal(path: unknown): boolean {
  return typeof path === "string" && path !== "";
}

/** One execution answers both, unless the first is on its way back and this is the next hand-out. */
function isSameHandOut(known: InFlightTask, { task }: HandOut): boolean {
  return known.state !== "handingBack" || task.pollCount <= known.task.pollCount;
}
