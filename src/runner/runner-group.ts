import type { Clock } from "../base/clock.js";
import type { TaskApi } from "../conductor/task-api.js";
import type { WorkerConfig } from "../config/types.js";
import type { WorkerTopics } from "../events/emitter.js";
import type { HeartbeatBoard } from "../liveness/board.js";
import type { Logger } from "../log/logger.js";
import { createRepeatLog } from "../log/repeat-log.js";
import type { GroupStatus } from "../status.js";
import { Delivery, type DeliveryHooks } from "./delivery/delivery.js";
import { HandBack } from "./delivery/hand-back.js";
import { DEFAULT_OUTBOX_LIMITS, type OutboxLimits } from "./delivery/outbox.js";
import { Executor } from "./execution/executor.js";
import { Upkeep } from "./execution/upkeep.js";
import { ServerGate } from "./gate/server-gate.js";
import { InFlightTable } from "./in-flight.js";
import type { Journal } from "./journal/journal.js";
import { plainFailure } from "./parcel.js";
import { PollCoordinator } from "./polling/poll-coordinator.js";
import { Successors } from "./polling/successors.js";
import type { Predecessor, HeldTask } from "./recovery/held-task.js";
import { takeOverFrom } from "./recovery/predecessor.js";
import { Reclaim } from "./recovery/reclaim.js";
import type { Shared } from "./shared.js";
import { TaskRunner } from "./task-runner.js";
import { Wakeup } from "./wakeup.js";

export interface RunnerGroupOptions {
  readonly workers: readonly WorkerConfig[];
  readonly api: TaskApi;
  readonly clock: Clock;
  /** 0 up to 1, as `Math.random`. */
  readonly random: () => number;
  readonly events: WorkerTopics;
  readonly log: Logger;
  readonly board: HeartbeatBoard;
  /** What a request may take beyond its hold, in ms. */
  readonly requestTimeoutMs: number;
  /** What the delivery of a result may take that needs more than that, in ms. Default: no more. */
  readonly maxRequestMs?: number;
  /** The longest wait of a loop before it iterates again, in ms. */
  readonly sliceMs: number;
  readonly outboxLimits?: OutboxLimits;
  readonly cancellationCheckMs?: number;
  /** How many polls the process lets the server hold at once. Default 16. */
  readonly maxHeldPolls?: number;
  /** Whether to look for a workflow's next task as soon as one is acknowledged. Default true. */
  readonly followWorkflows?: boolean;
  /** Keeps results over the death of the process. The group does not close it. */
  readonly journal?: Pick<Journal, "keep" | "adoptInto" | "finishedElsewhere"> | undefined;
}

const DEFAULT_MAX_HELD_POLLS = 16;

/** What was left when a drain ended; all zero when it ended well. */
export interface DrainReport {
  readonly abandoned: number;
  readonly leftInFlight: number;
  /** Tasks that could be neither reported nor handed back. */
  readonly givenUp: number;
}

/** Kept at the end of a drain for giving back what is not finished, in ms and as a share of the drain. */
const RESERVE_MS = 2_000;
const RESERVE_SHARE = 0.2;
/** What a poll's answer may take beyond its hold before a drain stops waiting for it, in ms. */
const POLL_GRACE_MS = 1_000;

/** All runners of a process and what they share: one gate to the server, one delivery, one table of tasks. */
export class RunnerGroup {
  readonly runners: readonly TaskRunner[];
  readonly #clock: Clock;
  readonly #table: InFlightTable;
  readonly #gate: ServerGate;
  readonly #delivery: Delivery;
  readonly #handBack: HandBack;
  readonly #executor: Executor;
  readonly #reclaim: Reclaim;
  readonly #coordinator: PollCoordinator;
  readonly #journal: RunnerGroupOptions["journal"];
  readonly #changed: Wakeup;
  readonly #shared: Shared;
  #loops: Promise<unknown> | undefined;
  #drainDeadline: number | undefined;
  #givenUp = 0;

  constructor(options: RunnerGroupOptions) {
    const { clock, random, api, events, log } = options;
    this.#clock = clock;
    this.#changed = new Wakeup(clock);
    this.#journal = options.journal;
    const onChange = () => {
      if (this.#drainDeadline !== undefined) this.#changed.wake();
    };
    this.#gate = new ServerGate(clock, random);
    this.#table = new InFlightTable((entry, door) => {
      upkeep.end(entry);
      if (door === "undeliverable") {
        this.#reclaim.ignore(entry.task);
        if (this.#drainDeadline !== undefined) this.#givenUp += 1;
      }
      onChange();
    });
    const shared: Shared = { clock, random, api, gate: this.#gate, table: this.#table, events, log };
    this.#shared = shared;
    const repeatLog = createRepeatLog({ clock, logger: log });
    const upkeep = new Upkeep(shared, repeatLog, options.requestTimeoutMs, options.cancellationCheckMs);
    this.#executor = new Executor(shared, upkeep);
    const { requestTimeoutMs, maxRequestMs = requestTimeoutMs } = options;
    const times = { requestTimeoutMs, maxRequestMs };
    this.#handBack = new HandBack(shared, times, onChange, (entry, why) => {
      void this.#delivery.deliver(
        entry,
        plainFailure(entry, `the server refused to take the task back: ${why}`),
        false,
      );
    });
    this.#reclaim = new Reclaim(shared);
    const maxHeldPolls = options.maxHeldPolls ?? DEFAULT_MAX_HELD_POLLS;
    this.#coordinator = new PollCoordinator({ clock, api, gate: this.#gate, log, maxHeldPolls });
    const deliveryHooks: DeliveryHooks = {
      onChange: () => {
        for (const runner of this.runners) runner.wake();
        onChange();
      },
      onLostChain: (worker) => {
        const site = this.runners.find((runner) => runner.config === worker);
        if (site !== undefined) this.#reclaim.lost(site, clock.now());
      },
      onWaiting: (entry) => {
        upkeep.waiting(entry);
      },
      settled: (entry) => upkeep.settled(entry),
    };
    this.#delivery = new Delivery(
      shared,
      options.outboxLimits ?? DEFAULT_OUTBOX_LIMITS,
      deliveryHooks,
      times,
      options.journal,
    );
    const parts = {
      shared,
      upkeep,
      executor: this.#executor,
      handBack: this.#handBack,
      delivery: this.#delivery,
      reclaim: this.#reclaim,
      coordinator: this.#coordinator,
      successors: options.followWorkflows === false ? undefined : new Successors(),
      follow: (after: string, taskTypes: readonly string[]) => {
        for (const runner of this.runners) if (taskTypes.includes(runner.config.taskDefName)) runner.lookAfter(after);
      },
      repeatLog,
      sliceMs: options.sliceMs,
      onChange,
    };
    this.runners = options.workers.map(
      (worker) => new TaskRunner(worker, parts, options.board.cell(worker.taskDefName)),
    );
  }

  start(): void {
    // What a dead process has finished comes before anything new.
    if (this.#loops === undefined) this.#journal?.adoptInto(this.#delivery);
    this.#loops ??= Promise.all(this.runners.map((runner) => runner.run()));
  }

  get status(): GroupStatus {
    return {
      runners: this.runners.map((runner) => runner.status),
      inFlight: this.#table.size,
      resultsWaiting: this.#delivery.waiting,
      abandoned: this.#executor.abandoned,
      outboxFull: this.#delivery.isFull,
      serverReachable: this.#gate.isOpen,
    };
  }

  /**
   * Stops polling, waits for what runs and for polls under way, and at the deadline gives back what is not finished.
   * Called again, it can only shorten the drain. Never rejects.
   */
  async drain(drainTimeoutMs: number): Promise<DrainReport> {
    const startedAt = this.#clock.now();
    this.#drainDeadline = Math.min(this.#drainDeadline ?? Infinity, startedAt + drainTimeoutMs);
    for (const runner of this.runners) runner.drain();

    const reserveMs = () => Math.min(RESERVE_MS, Math.max(0, (this.#drainDeadline ?? 0) - startedAt) * RESERVE_SHARE);
    const isDone = () =>
      this.#table.size === 0 && this.runners.every((runner) => runner.isIdle) && this.#handBack.underWay === 0;
    await this.#until(isDone, () => (this.#drainDeadline ?? 0) - reserveMs());
    // A poll under way may still bring tasks, and what we give back before it returns might come to it.
    await this.#until(this.#polls.areBack, this.#polls.backAt);
    for (const runner of this.runners) runner.interruptAll();
    const lastCall = this.#clock.now() + Math.min(RESERVE_MS, Math.max(drainTimeoutMs, POLL_GRACE_MS));
    await this.#until(isDone, () => Math.max(this.#drainDeadline ?? 0, lastCall));

    this.#reclaim.stop();
    this.#coordinator.stop();
    this.#handBack.stop();
    this.#delivery.stop("the worker has stopped");
    for (const runner of this.runners) runner.stop();
    await this.#loops;
    return { abandoned: this.#executor.abandoned, leftInFlight: this.#table.size, givenUp: this.#givenUp };
  }

  /**
   * For a process that must end: no further polls; for up to `boundMs` delivers what is finished, fails (retryable, for
   * `reason`) what was started and hands back what was not, nor what polls under way still bring: the retry of what was
   * failed may come to them. Waits for no loop. Never rejects.
   */
  async evacuate(reason: string, boundMs: number): Promise<void> {
    const deadline = this.#clock.now() + boundMs;
    this.#drainDeadline = Math.min(this.#drainDeadline ?? Infinity, deadline);
    for (const runner of this.runners) runner.drain();
    for (const runner of this.runners) runner.failAll(reason);
    this.#delivery.sendAgain();
    await this.#until(this.#polls.areBack, () => Math.min(this.#polls.backAt(), deadline));
    await this.#until(
      () => this.#table.size === 0 && this.#handBack.underWay === 0,
      () => deadline,
    );
  }

  /** Whether no poll is under way, and when the last one is back at the latest, by the clock. */
  readonly #polls = {
    areBack: () => this.runners.every((runner) => runner.pollUntil === undefined),
    backAt: () => Math.max(-Infinity, ...this.runners.map((runner) => (runner.pollUntil ?? -Infinity) + POLL_GRACE_MS)),
  };

  /** The tasks that have not left, as another process would have to know them to end them: at most `max`. Only reads. */
  heldTasks(max: number): HeldTask[] {
    const held: HeldTask[] = [];
    for (const { ids, task, ownerId, state } of this.#table) {
      if (held.length >= max) break;
      held.push({ ...ids, workerId: ownerId, pollCount: task.pollCount, state });
    }
    return held;
  }

  /** Ends what a process that died has left; resolves when that is under way, or given up. Never rejects. */
  takeOver(predecessor: Predecessor): Promise<void> {
    const isOver = () => this.#drainDeadline !== undefined;
    const finished = this.#journal?.finishedElsewhere() ?? new Set<string>();
    const parts = { shared: this.#shared, reclaim: this.#reclaim, isOver, finished };
    return takeOverFrom(predecessor, this.runners, parts);
  }

  /** Brings the end of a drain under way forward to `drainTimeoutMs` from now. */
  hurry(drainTimeoutMs: number): void {
    if (this.#drainDeadline === undefined) return;
    this.#drainDeadline = Math.min(this.#drainDeadline, this.#clock.now() + drainTimeoutMs);
    this.#changed.wake();
  }

  async #until(isDone: () => boolean, deadline: () => number): Promise<void> {
    for (;;) {
      const leftMs = deadline() - this.#clock.now();
      if (isDone() || leftMs <= 0) return;
      await this.#changed.wait(leftMs);
    }
  }
}
