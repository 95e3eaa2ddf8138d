import { queueNameOf } from "../conductor/queue-name.js";
import type { Reply } from "../conductor/reply.js";
import type { Polled } from "../conductor/task-api.js";
import type { Task } from "../conductor/types.js";
import { quote } from "../config/parse.js";
import type { WorkerConfig } from "../config/types.js";
import { MAX_CONCURRENCY } from "../config/worker-options.js";
import type { HeartbeatCell, LoopPhase } from "../liveness/board.js";
import type { RunnerStatus } from "../status.js";
import { DONE, mayBeLost, meaningOf, NONSENSE } from "./answers/meaning.js";
import { backoffMs } from "./gate/backoff.js";
import type { Errand, Permit } from "./gate/server-gate.js";
import type { RunnerParts } from "./parts.js";
import type { PollMember } from "./polling/poll-coordinator.js";
import {
  afterChain,
  afterOutage,
  afterPoll,
  INITIAL_POLL_STATE,
  nextPoll,
  paceMs,
  type PollPlan,
  type PollState,
} from "./polling/poll-strategy.js";
import type { ReclaimSite } from "./recovery/reclaim.js";
import type { Shared } from "./shared.js";
import { SlotWork } from "./slot-work.js";
import { Slots } from "./slots.js";
import { learnTaskBytes, tasksWithin } from "./task-bytes.js";
import { Wakeup } from "./wakeup.js";

/** What the loop waits after a bug of ours, in ms. */
const AFTER_BUG_MS = 1_000;

/**
 * One task type, for ever. An event machine: each iteration beats, starts the poll that is called for, and waits for
 * something to happen (a slot freed, a poll settled, the server back, pause, stop) or for the end of a slice. It never
 * waits for a poll, so nothing that happens to one can hold it up.
 *
 * It is `polling`, `paused`, `draining` (no further polls; what runs goes on) or `stopped` (the loop ends). At most one
 * main poll is under way, and beside it one sweep that follows a workflow; both reserve the slots they ask for. What to
 * poll is the strategy's to say, whether at all the gate's and the coordinator's. What a poll brings goes to
 * {@link SlotWork}. The group makes a runner, runs it, pauses, drains and stops it, and wakes it when something changed.
 */
export class TaskRunner implements ReclaimSite, PollMember {
  readonly config: WorkerConfig;
  readonly queueName: string;
  readonly #errand: Errand;
  readonly #parts: RunnerParts;
  readonly #shared: Shared;
  readonly #cell: HeartbeatCell;
  readonly #slots: Slots;
  readonly #work: SlotWork;
  readonly #wakeup: Wakeup;
  #pollState: PollState = INITIAL_POLL_STATE;
  /** What a task takes in an answer, see {@link learnTaskBytes}; 0: nothing is known. */
  #bytesPerTask = 0;
  #state: "polling" | "paused" | "draining" | "stopped";
  /** Until when the server holds the polls under way, by the clock: the main one, and a sweep beside it. */
  #pollUntil: number | undefined;
  #sideSweepUntil: number | undefined;
  /** Something may wait: the next poll is a sweep, whatever the strategy says. */
  #sweepIsAsked = false;
  #isWaitingForHold = false;
  #lastWorkAt = -Infinity;
  #notBefore = -Infinity;
  /** Polls in a row that Conductor itself refused for this task type. */
  #refusals = 0;
  #lastPollAt: number | undefined;
  #lastBeatAt: number;
  #phase: LoopPhase = "starting";
  /** Since when polls have failed without one that succeeded, by the clock. */
  #failingSince: number | undefined;
  #lastPollError: string | undefined;
  /** Until when a poll that somebody refused in the server's stead may have been given tasks, by the clock. */
  #owedUntil: number | undefined;
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
    this.queueName = queueNameOf(config.taskDefName, config.domain);
    this.#errand = `poll ${this.queueName}`;
    this.#work = new SlotWork(config, parts, cell, this.#slots, {
      state: () => this.#state,
      pollUntil: () => this.pollUntil,
      hasBacklog: () => this.#pollState.backlog,
      chained: (found) => {
        this.#pollState = afterChain(this.#pollState, found);
      },
      changed: () => {
        this.#changed();
      },
    });
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

  /** Takes effect at once for new tasks. Throws `RangeError` for what the option `concurrency` does not take. */
  setConcurrency(concurrency: number): void {
    if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MAX_CONCURRENCY) {
      throw new RangeError(`concurrency must be an integer from 1 to ${MAX_CONCURRENCY}, got ${quote(concurrency)}`);
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

  get pollsAreRefused(): boolean {
    return this.#state === "polling" && this.#shared.gate.isRefusedAlone(this.#errand);
  }

  /** No poll is under way and no slot is taken. */
  get isIdle(): boolean {
    return this.pollUntil === undefined && this.#slots.used === 0;
  }

  /** When the server answers what is under way at the latest, by the clock; undefined while no poll is. */
  get pollUntil(): number | undefined {
    if (this.#pollUntil === undefined) return this.#sideSweepUntil;
    return this.#sideSweepUntil === undefined ? this.#pollUntil : Math.max(this.#pollUntil, this.#sideSweepUntil);
  }

  /** Until when the server may fill an answer that was lost and is not searched for yet, by the clock: a poll's under way, or one of a streak. */
  get owedUntil(): number | undefined {
    return this.pollUntil ?? this.#owedUntil;
  }

  get lastWorkAt(): number {
    return this.#lastWorkAt;
  }

  get isWaitingForHold(): boolean {
    return this.#isWaitingForHold && this.#state === "polling";
  }

  /** Something may wait in the queue: sweeps once, as soon as no poll is held. */
  sweep(): void {
    if (this.#state !== "polling") return;
    this.#sweepIsAsked = true;
    this.#wakeup.wake();
  }

  /**
   * Follows the workflow: sweeps after an acknowledged task of `after`, at once, beside a poll that is held, if it is cheap. On an eager queue the held
   * poll is already being answered.
   */
  follow(after: string): void {
    const isBusy = this.#sideSweepUntil !== undefined || this.#pollState.backlog || this.#pollState.isEager === true;
    if (this.#state !== "polling" || isBusy || !this.#shared.gate.isOpen || this.#parts.delivery.isFull) return;
    const count = this.#slots.free > 0 ? this.#atMost(this.#slots.free) : this.#work.maySpareSlot ? 1 : 0;
    if (count === 0) return;
    const permit = this.#shared.gate.admit(this.#errand);
    if ("waitMs" in permit) return;
    void this.#poll({ kind: "sweep", count, timeoutMs: 0 }, permit, after);
  }

  /** See {@link SlotWork.interruptAll}. */
  interruptAll(): void {
    this.#work.interruptAll();
  }

  /** See {@link SlotWork.failAll}. */
  failAll(reason: string): void {
    this.#work.failAll(reason);
  }

  giveBackLost(task: Task): void {
    this.#work.giveBackLost(task);
  }

  takeOver(task: Task, reason: string | undefined): void {
    this.#work.takeOver(task, reason);
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
      if (events.pollSkipped.isHeard) events.pollSkipped.emit({ taskType: this.config.taskDefName, reason: phase });
    }
  }

  #phaseNow(): LoopPhase {
    if (this.#state === "draining" || this.#state === "stopped") return "draining";
    if (this.#pollUntil !== undefined) return "polling";
    if (this.#state === "paused") return "paused";
    if (this.#parts.delivery.isFull) return "outboxFull";
    return this.#slots.free === 0 ? "full" : "waiting";
  }

  /** One iteration; returns how long to wait for the next, in ms. */
  #step(): number {
    if (this.#state !== "polling" || this.#pollUntil !== undefined || this.#parts.delivery.isFull) return Infinity;
    const freeSlots = this.#slots.free;
    if (freeSlots === 0) {
      this.#isWaitingForHold = false;
      // A slot that is reserved by a sweep beside the main poll is not taken.
      if (this.#slots.used >= this.#slots.concurrency) this.#parts.coordinator.full(this);
      return Infinity;
    }
    const { clock, gate } = this.#shared;
    const waitMs = this.#notBefore - clock.now();
    if (waitMs > 0) return waitMs;
    const { longPollMs } = this.config;
    const asked = { freeSlots: this.#atMost(freeSlots), longPollMs };
    const state = this.#sweepIsAsked ? { ...this.#pollState, sweepNext: true } : this.#pollState;
    const mustBeHeld = nextPoll(state, { ...asked, isProbe: false }).kind !== "sweep";
    this.#isWaitingForHold = mustBeHeld && gate.isOpen && !this.#parts.coordinator.mayHold(this);
    if (this.#isWaitingForHold) {
      // Its queue is watched from now on: what its last poll said is no news, and the next one may be long in coming.
      this.#failingSince = undefined;
      return Infinity;
    }
    const permit = gate.admit(this.#errand);
    if ("waitMs" in permit) {
      // It is refused alone: its turn at the held polls is somebody else's.
      if (gate.isOpen) this.#parts.coordinator.release(this);
      return permit.waitMs;
    }
    this.#sweepIsAsked = false;
    void this.#poll(nextPoll(state, { ...asked, isProbe: permit.isProbe }), permit);
    return Infinity;
  }

  /** The event loop waits while an answer is parsed, and one that is too long to be taken loses the tasks in it. */
  #atMost(count: number): number {
    return Math.min(count, tasksWithin(this.#parts.wantedPollBytes, this.#bytesPerTask));
  }

  /** @param after the task type whose acknowledgement made us sweep beside the main poll. */
  async #poll(plan: PollPlan, permit: Permit, after?: string): Promise<void> {
    const { api, clock, log } = this.#shared;
    const { taskDefName: taskType, workerId, domain } = this.config;
    const isMain = after === undefined;
    const until = permit.startedAt + plan.timeoutMs;
    if (isMain) this.#pollUntil = until;
    else this.#sideSweepUntil = until;
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
        this.#parts.successors?.followed(after, taskType, found);
      }
      if (reply.kind === "answered") {
        this.#polled(plan, permit, reply, durationMs, isMain);
        if (mayBeLost(reply)) this.#parts.reclaim.lost(this, until);
      } else this.#pollFailed(permit, reply, durationMs, until);
      if (plan.kind !== "sweep") {
        const isEmpty = reply.kind === "answered" && reply.value.handOuts.length === 0;
        this.#parts.coordinator.holdEnded(this, plan.timeoutMs, isEmpty ? durationMs - plan.timeoutMs : 0);
      }
    } catch (error) {
      permit.report(NONSENSE);
      log.error({ taskType, err: error }, "handling a poll failed; going on");
    } finally {
      unreserve();
      if (isMain) this.#pollUntil = undefined;
      else this.#sideSweepUntil = undefined;
      this.#changed();
    }
  }

  #changed(): void {
    this.#wakeup.wake();
    this.#parts.onChange();
  }

  #polled(
    plan: PollPlan,
    permit: Permit,
    { value: { handOuts, malformed }, bytes = 0 }: Extract<Reply<Polled>, { kind: "answered" }>,
    durationMs: number,
    isMain: boolean,
  ): void {
    const { clock, events, log } = this.#shared;
    const { taskDefName: taskType } = this.config;
    const isNonsense = malformed > 0 && handOuts.length === 0;
    permit.report(isNonsense ? NONSENSE : DONE);
    this.#refusals = 0;
    const polling = `polling ${this.queueName}`;
    const nobodys = "the server handed out tasks without ids; nobody can report on them";
    if (isNonsense) {
      this.#failingSince ??= clock.now();
      this.#lastPollError = nobodys;
      this.#parts.repeatLog.failed(polling, { taskType, malformed }, nobodys);
    } else {
      this.#lastPollAt = clock.now();
      this.#failingSince = undefined;
      if (this.#owedUntil !== undefined) {
        this.#parts.reclaim.lost(this, this.#owedUntil);
        this.#owedUntil = undefined;
      }
      this.#parts.repeatLog.succeeded(polling);
      if (malformed > 0) log.error({ taskType, malformed }, nobodys);
    }
    this.#bytesPerTask = learnTaskBytes(this.#bytesPerTask, { tasks: handOuts.length + malformed, bytes });
    let useful = 0;
    for (const [index, handOut] of handOuts.entries()) {
      if (this.#work.receive(handOut, index < plan.count)) useful += 1;
    }
    if (useful > 0) this.#lastWorkAt = clock.now();
    // An empty sweep beside the main poll tells nothing that the main poll does not.
    if (isMain || useful > 0) {
      this.#pollState = afterPoll(this.#pollState, plan, { received: handOuts.length, useful, durationMs });
      this.#notBefore = clock.now() + paceMs(this.#pollState, this.config.longPollMs);
    }
    if (events.pollCompleted.isHeard) {
      events.pollCompleted.emit({ taskType, requested: plan.count, received: handOuts.length, durationMs });
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
    const meaning = meaningOf(reply);
    const isFirst = this.#failingSince === undefined;
    this.#failingSince ??= clock.now();
    this.#lastPollError = reply.error.message;
    // A poll carries nothing that Conductor could fail over: it is the server, or this queue.
    permit.report(meaning.server === "unknown" ? { ...meaning, server: meaning.failureClass } : meaning);
    if (meaning.server === "there") {
      // Conductor itself refuses this task type; the others must not wait for it.
      this.#refusals += 1;
      this.#notBefore = clock.now() + backoffMs(meaning.failureClass, this.#refusals, random, reply.error.retryAfterMs);
    }
    if (mayBeLost(reply)) {
      this.#parts.delivery.suspect();
      // Where polls are refused again and again, it is searched once, and once more when they work again.
      if (isFirst || reply.kind === "maybeApplied") this.#parts.reclaim.lost(this, until);
      else this.#owedUntil = until;
    }
    this.#pollState = afterOutage(this.#pollState);
    // The next one is for a single task.
    if (reply.error.code === "RESPONSE_TOO_LARGE")
      this.#bytesPerTask = Math.max(this.#bytesPerTask, this.#parts.wantedPollBytes);
    this.#parts.repeatLog.failed(
      `polling ${this.queueName}`,
      { taskType, err: reply.error },
      "polling failed; backing off and trying again",
    );
    if (events.pollFailed.isHeard) events.pollFailed.emit({ taskType, durationMs, error: reply.error });
  }
}
