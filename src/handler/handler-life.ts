import { hostname } from "node:os";
import type { AdminServer } from "../admin/admin-server.js";
import { systemClock } from "../base/clock.js";
import { MetadataClient } from "../client/metadata-client.js";
import { createTaskApi } from "../conductor/task-api.js";
import type { HandlerConfig, TaskHandlerOptions } from "../config/types.js";
import type { WorkerEmitter } from "../events/emitter.js";
import type { Transport } from "../http/exchange.js";
import type { ObservedTransport } from "../http/observed-transport.js";
import { createHeartbeatBoard } from "../liveness/board.js";
import type { SafeLogger } from "../log/logger.js";
import { createRepeatLog } from "../log/repeat-log.js";
import type { Metrics } from "../metrics/metrics.js";
import type { DrainReport } from "../runner/drain.js";
import { MAX_TOLD_ENDED } from "../runner/ended-hand-outs.js";
import { Journal } from "../runner/journal/journal.js";
import type { DeadOwner } from "../runner/journal/keeper.js";
import type { PollerIdentity } from "../runner/poller-identity.js";
import type { Predecessor } from "../runner/recovery/held-task.js";
import { predecessorOf } from "../runner/recovery/predecessor.js";
import { RunnerGroup } from "../runner/runner-group.js";
import type { TaskHandlerStatus } from "../status.js";
import type { SupervisedHandler } from "../supervisor/child/child-end.js";
import { isSupervised } from "../supervisor/child/is-supervised.js";
import { answerBytes } from "./answer-bytes.js";
import { ProcessEnd, type UncaughtKind } from "./process-end.js";
import { connectToServer, maxRequestMsOf } from "./server-connection.js";
import { StallWatch } from "./stall-watch.js";
import { registrationsOf, startTaskDefRegistrar, type TaskDefRegistrar } from "./task-def-registration.js";

/** A loop that only waits iterates at least this often, in ms. */
const MAX_SLICE_MS = 30_000;
/** How long closing idle connections may take, in ms. */
const CLOSE_TIMEOUT_MS = 1_000;

/** Seams for tests; not part of the public surface. */
export interface Internals {
  /** Wraps the transport, below everything that watches it. */
  readonly wrapTransport?: (transport: Transport) => Transport;
}

export interface LifeOptions {
  readonly config: HandlerConfig;
  readonly options: TaskHandlerOptions;
  readonly log: SafeLogger;
  readonly events: WorkerEmitter;
  readonly internals: Internals;
  /** Of the start before, where there was one. */
  readonly earlier: Legacy | undefined;
}

/** What one start of a handler leaves to the next, in the same process. */
export interface Legacy {
  readonly predecessor: Predecessor;
  /** The names under which this process has polled so far. */
  readonly workerIds: ReadonlySet<string>;
}

/**
 * One start of a handler, until its stop: everything that runs, and what watches and tells of it. Its parts, from the
 * server to the user: the transport, the runners of all task types with their journal, what registers task definitions,
 * what watches for stalls, what is done when the process ends, the metrics and the admin endpoint.
 *
 * `TaskHandler` makes one for each start: {@link start}, then {@link stop}; after that it is not used again.
 */
export class HandlerLife {
  readonly log: SafeLogger;
  readonly group: RunnerGroup;
  /** Settles when the stop has ended, whoever asked for it. */
  readonly stopped: Promise<void>;
  readonly #config: HandlerConfig;
  readonly #options: TaskHandlerOptions;
  readonly #events: WorkerEmitter;
  readonly #earlier: Legacy | undefined;
  readonly #journal: Journal | undefined;
  readonly #transport: ObservedTransport;
  readonly #registrar: TaskDefRegistrar;
  readonly #stallMs: number;
  readonly #stallWatch: StallWatch;
  readonly #processEnd: ProcessEnd;
  #metrics: Metrics | undefined;
  #admin: AdminServer | undefined;
  #isStopping = false;
  /** What the drain has left; undefined before its end. */
  #drained: DrainReport | undefined;
  #markStopped: () => void = () => undefined;
  /** What the start before owed is dealt with, or not to the end (false). */
  readonly #earlierIsDone: Promise<boolean>;
  #markEarlierDone: (isDone: boolean) => void = () => undefined;

  constructor({ config, options, log, events, internals, earlier }: LifeOptions) {
    this.#earlier = earlier;
    this.#earlierIsDone = new Promise<boolean>((resolve) => {
      this.#markEarlierDone = resolve;
    });
    this.#config = config;
    this.#options = options;
    this.#events = events;
    this.log = log;
    this.stopped = new Promise<void>((resolve) => {
      this.#markStopped = resolve;
    });
    // First: what it throws must not leave anything running.
    this.#journal = this.#openJournal();
    const { topics } = events;
    const { workers, requestTimeoutMs, maxHeldPolls, followWorkflows, stallTimeoutSeconds } = config;
    this.#stallMs = stallTimeoutSeconds > 0 ? stallTimeoutSeconds * 1000 : Infinity;
    const maxRequestMs = maxRequestMsOf(config, this.#stallMs);
    const { wrapTransport } = internals;
    const { maxBytes: maxAnswerBytes, wantedPollBytes } = answerBytes();
    this.#transport = connectToServer({ config, log, events: topics, maxRequestMs, maxAnswerBytes, wrapTransport });
    const board = createHeartbeatBoard(workers.length);
    this.group = new RunnerGroup({
      workers,
      api: createTaskApi(this.#transport, requestTimeoutMs),
      clock: systemClock,
      random: Math.random,
      events: topics,
      log,
      board,
      requestTimeoutMs,
      maxRequestMs,
      maxHeldPolls,
      wantedPollBytes,
      followWorkflows,
      journal: this.#journal,
      sliceMs: Math.min(this.#stallMs / 4, MAX_SLICE_MS),
    });
    this.#registrar = startTaskDefRegistrar({
      registrations: registrationsOf(workers),
      metadata: new MetadataClient(this.#transport, requestTimeoutMs),
      clock: systemClock,
      random: Math.random,
      log,
      repeatLog: createRepeatLog({ clock: systemClock, logger: log }),
    });
    this.#stallWatch = new StallWatch({
      config,
      stallMs: this.#stallMs,
      log,
      events: topics,
      board,
      transport: this.#transport,
      group: this.group,
      onStall: (report) => options.onStall?.(report),
      onEventLoopDelay: (delayMs) => this.#metrics?.eventLoopDelayed(delayMs),
      evacuate: (reason, boundMs) => this.#processEnd.evacuate(reason, boundMs),
    });
    const endProcess = (code: number) => this.#stallWatch.endProcess(code);
    this.#processEnd = new ProcessEnd({ log, events: topics, group: this.group, endProcess });
  }

  #openJournal(): Journal | undefined {
    const { journal, workers } = this.#config;
    if (journal === undefined) return undefined;
    const workerIds = workers.map(({ workerId }) => workerId);
    const onAdopted = (owner: DeadOwner) => {
      this.group.noteEnded(owner.ended);
      // A silent one on another machine may come back.
      const isDead = owner.isCertain || owner.host === hostname();
      // Of one that died in disorder a supervisor knows more, and says so itself.
      const isOurs = owner.owed !== undefined || !isSupervised();
      // An earlier start of this very process has told us itself.
      const isEarlier = owner.workerIds.some((workerId) => this.#earlier?.workerIds.has(workerId));
      if (isEarlier) return this.#earlierIsDone;
      return isDead && isOurs ? this.group.takeOver(predecessorOf(owner, workers)) : undefined;
    };
    const { serverUrl: server } = this.#config;
    return new Journal({ ...journal, workerIds, server, clock: systemClock, log: this.log, onAdopted });
  }

  /** Opens the admin endpoint, starts the watchdog and lets the loops go. Rejects when the admin port is taken. */
  async start(): Promise<void> {
    try {
      await this.#exposeMetrics();
      await this.#openAdmin();
    } catch (error) {
      this.#registrar.stop();
      await this.#close();
      throw error;
    }
    this.#stallWatch.start();
    this.#processEnd.enter();
    this.group.start();
    if (this.#earlier !== undefined) void this.group.takeOver(this.#earlier.predecessor).then(this.#markEarlierDone);
  }

  async #exposeMetrics(): Promise<void> {
    const { registry } = this.#options;
    if (registry === false) return;
    const { attachMetrics } = await import("../metrics/metrics.js");
    this.#metrics = await attachMetrics({ events: this.#events, status: () => this.group.status }, registry);
  }

  async #openAdmin(): Promise<void> {
    const { adminPort: port, adminHost: host } = this.#config;
    if (port === undefined) return;
    if (isSupervised()) {
      this.log.info({}, "health and metrics are answered by the supervisor, for all its processes; not by this one");
      return;
    }
    const { startAdminServer } = await import("../admin/admin-server.js");
    const registry = this.#metrics?.registry;
    this.#admin = await startAdminServer({ port, host, registry, stallMs: this.#stallMs, status: () => this.status });
    this.log.info({ adminUrl: this.#admin.url }, "health and metrics are answered");
  }

  get status(): TaskHandlerStatus {
    const { status } = this.group;
    const isStopped = status.runners.every((runner) => runner.state === "stopped");
    return { state: isStopped ? "stopped" : this.#isStopping ? "draining" : "running", ...status };
  }

  /** Where health and metrics are answered; undefined when nowhere. */
  get adminUrl(): string | undefined {
    return this.#admin?.url;
  }

  /** Drains and closes everything; resolves when that is done. Never rejects. */
  async stop(drainTimeoutMs: number): Promise<void> {
    this.#isStopping = true;
    this.#registrar.stop();
    const { inFlight } = this.group.status;
    this.log.info({ inFlight, drainTimeoutMs }, "stopping: no further polls, letting tasks finish");
    this.#drained = await this.group.drain(drainTimeoutMs);
    const { owed, ...left } = this.#drained;
    if (owed.length > 0) this.#tellOwed(owed);
    if (this.#left > 0 || left.abandoned > 0) this.log.warn(left, "stopped, and not everything was finished");
    else this.log.info({}, "stopped");
    await this.#close();
    this.#markStopped();
  }

  #tellOwed(owed: readonly PollerIdentity[]): void {
    const hasSuccessor = this.#journal !== undefined || isSupervised();
    const then = hasSuccessor
      ? "the next process goes on with it"
      : "the next start of this handler goes on with it; without one it waits for its response timeout";
    const pollers = owed.map(({ taskType, domain, workerId }) => ({ taskType, domain, workerId }));
    this.log.warn({ pollers }, `stopped before the search for lost tasks had ended; ${then}`);
  }

  /** What the next start of the handler has to know, once this one has stopped. */
  get legacy(): Legacy {
    // Whatever was begun has left, or is among the ended: what is found now never arrived.
    const pollers = (this.#drained?.owed ?? []).map((poller) => ({ ...poller, leftNothing: true }));
    const ended = this.group.endedHandOuts(MAX_TOLD_ENDED);
    const reason = "the worker was stopped and started again";
    const workerIds = this.#config.workers.map(({ workerId }) => workerId);
    return {
      predecessor: { id: process.pid, tasks: [], pollers, ended, reason },
      workerIds: new Set([...(this.#earlier?.workerIds ?? []), ...workerIds]),
    };
  }

  /** Tasks that the server still took for ours when the drain ended. */
  get #left(): number {
    return this.#drained === undefined ? 0 : this.#drained.leftInFlight + this.#drained.givenUp;
  }

  /** What it owes itself. Of what others had left the supervisor knows until somebody has done with it. */
  get #owed(): readonly PollerIdentity[] {
    const own = new Set(this.#config.workers.map(({ workerId }) => workerId));
    return this.#drained?.owed.filter(({ workerId }) => own.has(workerId)) ?? [];
  }

  async #close(): Promise<void> {
    this.#processEnd.leave();
    this.#stallWatch.stop();
    this.#journal?.close(this.#drained?.owed);
    await withTimeout(Promise.all([this.#transport.close(), this.#admin?.close()]), CLOSE_TIMEOUT_MS);
    this.#metrics?.detach();
  }

  /** For an error that nobody caught: ends what is in flight within a bound, and then the process, with code 1. */
  crash(kind: UncaughtKind, error: unknown): void {
    this.#processEnd.crash(kind, error);
  }

  /** After the stop, for a process that has nothing else to do: functions that still go on must not hold it for ever. */
  endAbandoned(): void {
    const abandoned = this.#drained?.abandoned ?? 0;
    if (abandoned > 0) this.#processEnd.endAbandoned(abandoned);
  }

  /** As a supervisor sees it; `stop` is the way to stop it. */
  asSupervised(stop: (drainTimeoutMs: number) => Promise<void>): SupervisedHandler {
    return {
      log: this.log,
      workers: this.#config.workers,
      stallMs: this.#stallWatch.stallMs,
      registry: this.#metrics?.registry,
      stopped: this.stopped,
      status: () => this.status,
      tasks: (max) => this.group.heldTasks(max),
      left: () => this.#left,
      owed: () => this.#owed,
      ended: (max) => this.group.endedHandOuts(max),
      takeOver: (predecessor) => this.group.takeOver(predecessor),
      endProcess: (code) => this.#stallWatch.endProcess(code),
      stop,
    };
  }
}

async function withTimeout(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work.catch(() => undefined), timeout]);
  clearTimeout(timer);
}
