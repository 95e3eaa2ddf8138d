import { hostname } from "node:os";
import path from "node:path";
import type { AdminServer } from "../admin/admin-server.js";
import { systemClock } from "../base/clock.js";
import { ignoreRejection } from "../base/on-rejection.js";
import { MetadataClient } from "../client/metadata-client.js";
import { createTaskApi } from "../conductor/task-api.js";
import type { HandlerConfig, TaskHandlerOptions } from "../config/types.js";
import type { WorkerEmitter } from "../events/emitter.js";
import { authenticated } from "../http/authenticated-transport.js";
import type { Transport } from "../http/exchange.js";
import { observed, type ObservedTransport } from "../http/observed-transport.js";
import type { TokenEvent } from "../http/token.js";
import { createTransport } from "../http/transport.js";
import { createBlockLog } from "../liveness/block-log.js";
import { createHeartbeatBoard, type HeartbeatBoard } from "../liveness/board.js";
import { METER_TICK_MS, startEventLoopMeter, type EventLoopMeter } from "../liveness/event-loop-meter.js";
import type { StallReport } from "../liveness/stall-report.js";
import { TickAge } from "../liveness/tick-age.js";
import { isUnderTestRunner, watch, type Watchdog } from "../liveness/watchdog.js";
import type { SafeLogger } from "../log/logger.js";
import { createRepeatLog } from "../log/repeat-log.js";
import type { Metrics } from "../metrics/metrics.js";
import { Journal } from "../runner/journal/journal.js";
import type { DeadOwner } from "../runner/journal/keeper.js";
import { isFolder } from "../runner/journal/make-folder.js";
import { predecessorOf } from "../runner/recovery/predecessor.js";
import type { DrainReport } from "../runner/drain.js";
import { RunnerGroup } from "../runner/runner-group.js";
import type { TaskHandlerStatus } from "../status.js";
import type { SupervisedHandler } from "../supervisor/child/child-end.js";
import { isSupervised } from "../supervisor/child/is-supervised.js";
import { registrationsOf, startTaskDefRegistrar, type TaskDefRegistrar } from "./task-def-registration.js";

/** A loop that only waits iterates at least this often, in ms. */
const MAX_SLICE_MS = 30_000;
/** What is too large for a request's deadline, on this link or for this server, gets so much at most, in ms. */
const MAX_REQUEST_MS = 90_000;
/** How long closing idle connections may take, in ms. */
const CLOSE_TIMEOUT_MS = 1_000;
/** What a process that an error ends spends on its tasks, in ms. */
const CRASH_GRACE_MS = 5_000;
/** The same for one that is stuck: it has been of no use for long enough. */
const STALL_GRACE_MS = 2_000;
/** Tasks in flight that a report names. */
const MAX_DESCRIBED = 100;

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
}

/** Those that run in this process: what ends the process ends what all of them have in their hands. */
const running = new Set<HandlerLife>();

/** `process.exit()` asks nobody. One listener for all: Node warns of many. */
const tellExit = (exitCode: number) => {
  for (const life of running) life.tellExit(exitCode);
};

/** One start of a handler, until its stop: everything that runs, and what watches and tells of it. */
export class HandlerLife {
  readonly log: SafeLogger;
  readonly group: RunnerGroup;
  /** Settles when the stop has ended, whoever asked for it. */
  readonly stopped: Promise<void>;
  /** Functions that were still going when the drain ended. */
  abandoned = 0;
  /** Tasks that the server still took for ours when the drain ended. */
  #left = 0;
  isStopping = false;
  readonly #config: HandlerConfig;
  readonly #options: TaskHandlerOptions;
  readonly #events: WorkerEmitter;
  readonly #journal: Journal | undefined;
  readonly #transport: ObservedTransport;
  readonly #registrar: TaskDefRegistrar;
  readonly #board: HeartbeatBoard;
  readonly #stallMs: number;
  readonly #meter: EventLoopMeter;
  #watchdog: Watchdog | undefined;
  #metrics: Metrics | undefined;
  #admin: AdminServer | undefined;
  #ending: Promise<void> | undefined;
  readonly #requestAge = new TickAge(METER_TICK_MS);
  #markStopped: () => void = () => undefined;

  constructor({ config, options, log, events, internals }: LifeOptions) {
    this.#config = config;
    this.#options = options;
    this.#events = events;
    this.log = log;
    // First: what it throws must not leave anything running.
    this.#journal = this.#openJournal();
    const stallMs = config.stallTimeoutSeconds * 1000;
    this.#stallMs = stallMs > 0 ? stallMs : Infinity;
    const maxRequestMs = maxRequestMsOf(config, this.#stallMs);
    this.#transport = this.#connect(internals, maxRequestMs);
    this.#board = createHeartbeatBoard(config.workers.length);
    this.group = new RunnerGroup({
      workers: config.workers,
      api: createTaskApi(this.#transport, config.requestTimeoutMs),
      clock: systemClock,
      random: Math.random,
      events: events.topics,
      log,
      board: this.#board,
      requestTimeoutMs: config.requestTimeoutMs,
      maxRequestMs,
      maxHeldPolls: config.maxHeldPolls,
      followWorkflows: config.followWorkflows,
      journal: this.#journal,
      sliceMs: Math.min(this.#stallMs / 4, MAX_SLICE_MS),
    });
    this.stopped = new Promise<void>((resolve) => {
      this.#markStopped = resolve;
    });
    this.#registrar = startTaskDefRegistrar({
      registrations: registrationsOf(config.workers),
      metadata: new MetadataClient(this.#transport, config.requestTimeoutMs),
      clock: systemClock,
      random: Math.random,
      log,
      repeatLog: createRepeatLog({ clock: systemClock, logger: log }),
    });
    const lastEntered = () => this.#board.lastEntered;
    const tellBlock = createBlockLog({ clock: systemClock, logger: log, lastEntered });
    this.#meter = startEventLoopMeter(systemClock, (delayMs) => {
      this.#metrics?.eventLoopDelayed(delayMs);
      tellBlock(delayMs);
      this.#lookForStuckRequest(METER_TICK_MS + delayMs);
    });
  }

  /** Opens the admin endpoint, starts the watchdog and lets the loops go. Rejects when the admin port is taken. */
  async start(): Promise<void> {
    const { registry } = this.#options;
    try {
      if (registry !== false) {
        const { attachMetrics } = await import("../metrics/metrics.js");
        this.#metrics = await attachMetrics({ events: this.#events, status: () => this.group.status }, registry);
      }
      await this.#openAdmin();
    } catch (error) {
      this.#registrar.stop();
      await this.#close();
      throw error;
    }
    this.#startWatchdog();
    if (running.size === 0) process.on("exit", tellExit);
    running.add(this);
    this.group.start();
  }

  #openJournal(): Journal | undefined {
    const { journal, workers } = this.#config;
    if (journal === undefined) return undefined;
    const workerIds = workers.map(({ workerId }) => workerId);
    const onAdopted = (owner: DeadOwner) => {
      // A supervisor knows more of the dead process, and says so itself. A silent one on another machine may come back.
      const isDead = owner.isCertain || owner.host === hostname();
      if (isDead && !isSupervised()) void this.group.takeOver(predecessorOf(owner, workers));
    };
    const { serverUrl: server } = this.#config;
    return new Journal({ ...journal, workerIds, server, clock: systemClock, log: this.log, onAdopted });
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

  /** Where health and metrics are answered; undefined when nowhere. */
  get adminUrl(): string | undefined {
    return this.#admin?.url;
  }

  get status(): TaskHandlerStatus {
    const { status } = this.group;
    const isStopped = status.runners.every((runner) => runner.state === "stopped");
    return { state: isStopped ? "stopped" : this.isStopping ? "draining" : "running", ...status };
  }

  /** Drains and closes everything; resolves with what was left. Never rejects. */
  async stop(drainTimeoutMs: number): Promise<void> {
    this.isStopping = true;
    this.#registrar.stop();
    const { inFlight } = this.group.status;
    this.log.info({ inFlight, drainTimeoutMs }, "stopping: no further polls, letting tasks finish");
    const report = await this.group.drain(drainTimeoutMs);
    this.#tellEnd(report);
    await this.#close();
    this.#markStopped();
  }

  #tellEnd(report: DrainReport): void {
    const { abandoned, leftInFlight, givenUp } = report;
    this.abandoned = abandoned;
    this.#left = leftInFlight + givenUp;
    if (this.#left > 0 || abandoned > 0) this.log.warn({ ...report }, "stopped, and not everything was finished");
    else this.log.info({}, "stopped");
  }

  /** Whether another handler of this process runs. */
  get hasNeighbours(): boolean {
    return [...running].some((life) => life !== this);
  }

  /** Ends what is in flight, here and in the process's other handlers. */
  async #evacuate(reason: string, boundMs: number): Promise<void> {
    await Promise.all(
      [this, ...running].map((life) => {
        life.#ending ??= life.group.evacuate(reason, boundMs);
        return life.#ending;
      }),
    );
  }

  async #close(): Promise<void> {
    running.delete(this);
    if (running.size === 0) process.off("exit", tellExit);
    this.#watchdog?.stop();
    this.#meter.stop();
    this.#journal?.close();
    await withTimeout(Promise.all([this.#transport.close(), this.#admin?.close()]), CLOSE_TIMEOUT_MS);
    this.#metrics?.detach();
  }

  /** For an error that nobody caught: ends what is in flight within a bound, and then the process, with code 1. */
  crash(kind: "uncaughtException" | "unhandledRejection", error: unknown): void {
    this.log.error({ kind, err: error }, "an error that nobody caught; ending what is in flight, and the process");
    if (this.#events.topics.uncaughtError.isHeard) this.#events.topics.uncaughtError.emit({ kind, error });
    if (this.#ending !== undefined) return;
    void this.#evacuate(`the worker process had an ${kind}`, CRASH_GRACE_MS).then(() => {
      this.endProcess(1);
    });
  }

  /** Nothing can be saved any more, but it is not to go unnoticed; an end of our own making was told already. */
  tellExit(exitCode: number): void {
    if (this.#ending !== undefined) return;
    const { inFlight, resultsWaiting } = this.group.status;
    const message = "the process exits while its workers run: nothing is drained, and tasks in flight are not reported";
    this.log[inFlight > 0 ? "error" : "warn"]({ exitCode, inFlight, resultsWaiting }, message);
  }

  /** Ends the process, also where `process.exit()` would hang. */
  endProcess(code: number): never {
    if (this.#watchdog === undefined) process.exit(code);
    return this.#watchdog.endProcess(code);
  }

  /** As a supervisor sees it; `stop` is the way to stop it. */
  asSupervised(stop: (drainTimeoutMs: number) => Promise<void>): SupervisedHandler {
    return {
      log: this.log,
      workers: this.#config.workers,
      stallMs: this.#watchesStalls ? this.#stallMs : undefined,
      registry: this.#metrics?.registry,
      stopped: this.stopped,
      status: () => this.status,
      tasks: (max) => this.group.heldTasks(max),
      left: () => this.#left,
      takeOver: (predecessor) => this.group.takeOver(predecessor),
      endProcess: (code) => this.endProcess(code),
      stop,
    };
  }

  get #watchesStalls(): boolean {
    return (this.#config.watchdog ?? !isUnderTestRunner(process.env)) && this.#stallMs !== Infinity;
  }

  #startWatchdog(): void {
    if (!this.#watchesStalls) return;
    const { stallReportFile } = this.#config;
    if (stallReportFile !== undefined && !isFolder(path.dirname(stallReportFile))) {
      const message = "stallReportFile is in a folder that is not there: unless somebody makes it, no report is kept";
      this.log.warn({ stallReportFile }, message);
    }
    this.#watchdog = watch({
      board: this.#board,
      stallMs: this.#stallMs,
      reportFile: this.#config.stallReportFile,
      graceMs: STALL_GRACE_MS,
      describe: () => ({
        inFlight: this.group
          .heldTasks(MAX_DESCRIBED)
          .map(({ taskType, taskId, state }) => `${taskType}/${taskId} (${state})`),
        eventLoopDelayMs: this.#meter.delayMs,
      }),
      onStall: (report) => this.#onStall(report),
      onFailure: (error) => {
        this.log.error({ err: error }, "the watchdog does not watch");
      },
    });
  }

  /** The main thread turns, but a loop is stuck: what can be saved is saved before the thread ends the process. */
  async #onStall(report: StallReport): Promise<void> {
    const { reason, stuck, stalledMs } = report;
    this.log.error({ stall: report }, `a loop is stuck (${stuck.join(", ")}); ending the process`);
    if (this.#events.topics.stalled.isHeard)
      this.#events.topics.stalled.emit({ taskType: stuck.join(", "), reason, stalledMs });
    try {
      ignoreRejection(this.#options.onStall?.(report));
    } catch (error) {
      this.log.error({ err: error }, "onStall failed");
    }
    await this.#evacuate("the worker process was stuck and had to end", STALL_GRACE_MS);
  }

  /** Each request has a deadline; one that outlives the stall timeout shows that this does not hold any more. */
  #lookForStuckRequest(gapMs: number): void {
    const oldest = this.#transport.oldest();
    const stalledMs = this.#requestAge.tick(oldest, gapMs);
    if (oldest === undefined || stalledMs < this.#stallMs) return;
    const { method, pathTemplate } = oldest.request;
    this.#watchdog?.declare({ reason: "request", stuck: `${method} ${pathTemplate}`, stalledMs });
  }

  #connect(
    { wrapTransport = (transport: Transport) => transport }: Internals,
    maxFlowingMs: number,
  ): ObservedTransport {
    const { topics: events } = this.#events;
    const transport = createTransport({
      baseUrl: this.#config.serverUrl,
      maxFlowingMs,
      onRecycled: ({ reason }) => {
        this.log.debug({ reason }, "connections replaced");
        if (events.connectionsRecycled.isHeard) events.connectionsRecycled.emit({ reason });
      },
      onDeadlineExceeded: (lane) => {
        if (events.deadlineExceeded.isHeard) events.deadlineExceeded.emit({ lane });
      },
    });
    const told = observed(
      wrapTransport(transport),
      systemClock,
      ({ lane, method, pathTemplate }, exchange, durationMs) => {
        if (!events.requestEnded.isHeard) return;
        const status = exchange.kind === "answered" ? exchange.status : 0;
        events.requestEnded.emit({ lane, method, pathTemplate, status, durationMs });
      },
    );
    const { auth: credentials, requestTimeoutMs } = this.#config;
    if (credentials === undefined) return told;
    const onTokenEvent = tokenLog(this.log);
    const withToken = authenticated(told, { credentials, clock: systemClock, requestTimeoutMs, onTokenEvent });
    return observed(withToken, systemClock);
  }
}

/** A request waits for its token as long as it may take; all of that must be over before it looks stuck. */
function maxRequestMsOf({ workers, requestTimeoutMs }: HandlerConfig, stallMs: number): number {
  const longestDeadlineMs = Math.max(...workers.map(({ longPollMs }) => longPollMs)) + requestTimeoutMs;
  return Math.min(MAX_REQUEST_MS, stallMs - longestDeadlineMs - METER_TICK_MS);
}

/** Says once what became of asking for a token, and again when that changes. */
function tokenLog(log: SafeLogger): (event: TokenEvent) => void {
  const repeatLog = createRepeatLog({ clock: systemClock, logger: log });
  return (event) => {
    if (event.kind === "failed") {
      repeatLog.failed("asking for a token", {}, event.message);
      return;
    }
    repeatLog.succeeded("asking for a token");
    if (event.kind === "anonymous") log.info({}, "the server has no token endpoint; requests go without a token");
    else log.debug({}, "a new token");
  };
}

async function withTimeout(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work.catch(() => undefined), timeout]);
  clearTimeout(timer);
}
