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
import { defaultOutboxLimits, type OutboxLimits } from "./delivery/outbox.js";
import { Drain, type DrainReport } from "./drain.js";
import { EndedHandOuts, type EndedHandOut } from "./ended-hand-outs.js";
import { Executor } from "./execution/executor.js";
import { Upkeep } from "./execution/upkeep.js";
import { ServerGate } from "./gate/server-gate.js";
import { InFlightTable, type Door, type InFlightTask } from "./in-flight.js";
import type { Journal } from "./journal/journal.js";
import { plainFailure } from "./parcel.js";
import type { RunnerParts } from "./parts.js";
import { PollCoordinator } from "./polling/poll-coordinator.js";
import { Successors } from "./polling/successors.js";
import type { Predecessor, HeldTask } from "./recovery/held-task.js";
import { takeOverFrom } from "./recovery/predecessor.js";
import { Reclaim } from "./recovery/reclaim.js";
import type { Shared } from "./shared.js";
import { TaskRunner } from "./task-runner.js";

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
  /** What the answer to a poll is meant to have at most, in bytes: tasks are asked for accordingly. Default 4 MiB. */
  readonly wantedPollBytes?: number;
  /** The longest wait of a loop before it iterates again, in ms. */
  readonly sliceMs: number;
  readonly outboxLimits?: OutboxLimits;
  readonly cancellationCheckMs?: number;
  /** How many polls the process lets the server hold at once. Default 16. */
  readonly maxHeldPolls?: number;
  /** Whether to poll for a workflow's next task as soon as one is acknowledged. Default true. */
  readonly followWorkflows?: boolean;
  /** Keeps results over the death of the process. The group does not close it. */
  readonly journal?: Pick<Journal, "keep" | "adoptInto" | "finishedElsewhere"> | undefined;
}

const DEFAULT_MAX_HELD_POLLS = 16;
const DEFAULT_WANTED_POLL_BYTES = 4 * 1024 * 1024;

/**
 * All runners of a process and what they share: one gate to the server, one delivery, one table of tasks. It composes
 * the parts and passes on what one of them has to tell another; the parts know each other only where they must. A handler
 * makes one, starts it, and ends it with {@link drain}, or with {@link evacuate} when the process cannot go on.
 */
export class RunnerGroup {
  readonly runners: readonly TaskRunner[];
  readonly #table: InFlightTable;
  readonly #gate: ServerGate;
  readonly #delivery: Delivery;
  readonly #handBack: HandBack;
  readonly #executor: Executor;
  readonly #upkeep: Upkeep;
  readonly #ended: EndedHandOuts;
  readonly #reclaim: Reclaim;
  readonly #coordinator: PollCoordinator;
  readonly #journal: RunnerGroupOptions["journal"];
  readonly #shared: Shared;
  readonly #drain: Drain;
  #loops: Promise<unknown> | undefined;

  constructor(options: RunnerGroupOptions) {
    const { clock, random, api, events, log, requestTimeoutMs, maxRequestMs = requestTimeoutMs } = options;
    const times = { requestTimeoutMs, maxRequestMs };
    const repeatLog = createRepeatLog({ clock, logger: log });
    this.#journal = options.journal;
    this.#gate = new ServerGate(clock, random);
    this.#table = new InFlightTable(this.#onLeave);
    const shared: Shared = { clock, random, api, gate: this.#gate, table: this.#table, events, log };
    this.#shared = shared;
    this.#upkeep = new Upkeep(shared, repeatLog, requestTimeoutMs, options.cancellationCheckMs);
    this.#executor = new Executor(shared, this.#upkeep);
    this.#handBack = new HandBack(shared, times, this.#onChange, this.#onRefusedHandBack);
    this.#ended = new EndedHandOuts();
    this.#reclaim = new Reclaim(shared, repeatLog, this.#ended, this.#onChange);
    const maxHeldPolls = options.maxHeldPolls ?? DEFAULT_MAX_HELD_POLLS;
    this.#coordinator = new PollCoordinator({ clock, api, gate: this.#gate, log, maxHeldPolls });
    const limits = options.outboxLimits ?? defaultOutboxLimits();
    this.#delivery = new Delivery(shared, repeatLog, limits, this.#deliveryHooks, times, options.journal);
    const parts: RunnerParts = {
      shared,
      upkeep: this.#upkeep,
      executor: this.#executor,
      handBack: this.#handBack,
      delivery: this.#delivery,
      ended: this.#ended,
      reclaim: this.#reclaim,
      coordinator: this.#coordinator,
      successors: options.followWorkflows === false ? undefined : new Successors(),
      follow: this.#follow,
      repeatLog,
      wantedPollBytes: options.wantedPollBytes ?? DEFAULT_WANTED_POLL_BYTES,
      sliceMs: options.sliceMs,
      onChange: this.#onChange,
    };
    this.runners = options.workers.map(
      (worker) => new TaskRunner(worker, parts, options.board.cell(worker.taskDefName)),
    );
    this.#drain = new Drain({
      clock,
      runners: this.runners,
      table: this.#table,
      handBack: this.#handBack,
      delivery: this.#delivery,
      reclaim: this.#reclaim,
    });
  }

  readonly #onChange = (): void => {
    this.#drain.changed();
  };

  readonly #onLeave = (entry: InFlightTask, door: Door): void => {
    this.#upkeep.end(entry);
    this.#ended.add(entry.task);
    if (door === "undeliverable") this.#drain.noteGivenUp();
    this.#drain.changed();
  };

  /** A task that can neither be run nor handed back fails for good, with the server's reason. */
  readonly #onRefusedHandBack = (entry: InFlightTask, why: string): void => {
    const failure = plainFailure(entry, `the server refused to take the task back: ${why}`);
    void this.#delivery.deliver(entry, failure, false);
  };

  readonly #deliveryHooks: DeliveryHooks = {
    onChange: () => {
      for (const runner of this.runners) runner.wake();
      this.#drain.changed();
    },
    onLostChain: (worker) => {
      const site = this.runners.find((runner) => runner.config === worker);
      if (site !== undefined) this.#reclaim.lost(site, this.#shared.clock.now());
    },
    onWaiting: (entry) => {
      this.#upkeep.waiting(entry);
    },
    settled: (entry) => this.#upkeep.settled(entry),
  };

  readonly #follow = (after: string, taskTypes: readonly string[]): void => {
    for (const runner of this.runners) if (taskTypes.includes(runner.config.taskDefName)) runner.follow(after);
  };

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
      serverReachable: this.#gate.isReachable,
    };
  }

  /**
   * Stops polling, waits for what runs and for polls under way, and at the deadline gives back what is not finished.
   * Called again, it can only shorten the drain. Never rejects.
   */
  async drain(drainTimeoutMs: number): Promise<DrainReport> {
    await this.#drain.finish(drainTimeoutMs);
    // What a poll brings that is still unanswered reaches nobody.
    for (const runner of this.runners) if (runner.owedUntil !== undefined) this.#reclaim.lost(runner, runner.owedUntil);
    const owed = this.#reclaim.stop();
    this.#coordinator.stop();
    this.#handBack.stop();
    this.#delivery.stop("the worker has stopped");
    for (const runner of this.runners) runner.stop();
    await this.#loops;
    const { abandoned } = this.#executor;
    const leftInFlight = this.#table.size;
    const { givenUp } = this.#drain;
    const hasEndedAll = leftInFlight + givenUp === 0;
    // Nobody may take for lost what was begun here.
    for (const { task } of this.#table) this.#ended.add(task);
    const owedNow = owed.map((poller) => ({ ...poller, leftNothing: hasEndedAll && poller.leftNothing === true }));
    return { abandoned, leftInFlight, givenUp, owed: owedNow };
  }

  /** See {@link Drain.hurry}. */
  hurry(drainTimeoutMs: number): void {
    this.#drain.hurry(drainTimeoutMs);
  }

  /** See {@link Drain.evacuate}. */
  evacuate(reason: string, boundMs: number): Promise<void> {
    return this.#drain.evacuate(reason, boundMs);
  }

  /** The tasks that have not left, as another process would have to know them to end them: at most `max`. Only reads. */
  heldTasks(max: number): HeldTask[] {
    const held: HeldTask[] = [];
    for (const { ids, task, ownerId, state } of this.#table) {
      if (held.length >= max) break;
      held.push({ ...ids, workerId: ownerId, pollCount: task.pollCount, state });
    }
    return held;
  }

  /** What was ended last, for the process that comes next: at most `max`. */
  endedHandOuts(max: number): readonly EndedHandOut[] {
    return this.#ended.latest(max);
  }

  /** Another process has ended these: they do not run again here. */
  noteEnded(handOuts: readonly EndedHandOut[]): void {
    for (const handOut of handOuts) this.#ended.add(handOut);
  }

  /**
   * Ends what a process that died has left. Resolves when that is under way, or given up: with true; with false when
   * this process stops before. Never rejects.
   */
  async takeOver(predecessor: Predecessor): Promise<boolean> {
    const isOver = () => this.#drain.hasBegun;
    this.noteEnded(predecessor.ended ?? []);
    const finished = (await this.#journal?.finishedElsewhere()) ?? new Set<string>();
    const parts = { shared: this.#shared, reclaim: this.#reclaim, isOver, finished };
    return takeOverFrom(predecessor, this.runners, parts);
  }
}
