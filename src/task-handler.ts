import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { systemClock } from "./clock.js";
import { MetadataClient } from "./conductor/metadata-client.js";
import { createTaskApi } from "./conductor/task-api.js";
import { registrationsOf, startTaskDefRegistrar, type TaskDefRegistrar } from "./conductor/task-def-registration.js";
import { describeHandler, describeWorker } from "./config/describe.js";
import { resolveConfig } from "./config/resolve.js";
import type { HandlerConfig, TaskHandlerOptions } from "./config/types.js";
import { authenticated } from "./http/authenticated-transport.js";
import type { Transport } from "./http/exchange.js";
import type { TokenEvent } from "./http/token.js";
import { createTransport } from "./http/transport.js";
import { createHeartbeatBoard } from "./liveness/board.js";
import { RunnerGroup, type GroupStatus } from "./runner/runner-group.js";
import type { TaskRunner } from "./runner/task-runner.js";
import { createDefaultLogger } from "./telemetry/default-logger.js";
import { createEmitter, type WorkerEmitter } from "./telemetry/emitter.js";
import type { WorkerEventListener, WorkerEventName } from "./telemetry/events.js";
import { safeLogger, type SafeLogger } from "./telemetry/logger.js";
import { createRepeatLog } from "./telemetry/repeat-log.js";

/** How long `stop()` lets tasks finish, in ms: below the 30 s after which Kubernetes kills. */
const DEFAULT_DRAIN_TIMEOUT_MS = 25_000;
/** A second signal sooner than this is the same request: a terminal's Ctrl-C reaches a group of processes twice. */
const SECOND_SIGNAL_MS = 2_000;
/** A loop that only waits iterates at least this often, in ms. */
const MAX_SLICE_MS = 30_000;
/** How long closing idle connections may take, in ms. */
const CLOSE_TIMEOUT_MS = 1_000;
/** After `run()`, functions that were abandoned get this long before they are ended with the process, in ms. */
const ABANDONED_GRACE_MS = 1_000;

export interface StopOptions {
  /**
   * How long tasks that run may take to finish, in ms; what is not finished then goes back to the queue. Default 25000.
   * A poll under way is waited for in any case (up to `longPollMs` and a second), for it may bring a task.
   */
  drainTimeoutMs?: number;
}

export interface TaskHandlerStatus extends GroupStatus {
  readonly state: "running" | "draining" | "stopped";
}

interface Request {
  readonly kind: "start" | "stop";
  readonly done: Promise<void>;
}

/** One start, until its stop. */
interface Life {
  readonly config: HandlerConfig;
  readonly log: SafeLogger;
  readonly transport: Transport;
  readonly group: RunnerGroup;
  readonly registrar: TaskDefRegistrar;
  isStopping: boolean;
  /** Settles when the stop has ended, whoever asked for it. */
  readonly stopped: Promise<void>;
  readonly markStopped: () => void;
  /** Functions that were still going when the drain ended. */
  abandoned: number;
}

/**
 * Runs workers: polls the server for their tasks, executes them and reports the results, until it is told to stop.
 *
 * ```ts
 * await new TaskHandler({ serverUrl: "http://localhost:8080/api", workers: [greet] }).run();
 * ```
 */
export class TaskHandler {
  readonly #options: TaskHandlerOptions;
  readonly #emitter: WorkerEmitter;
  #life: Life | undefined;
  /** What was asked for last; requests are carried out in their order. */
  #last: Request | undefined;

  constructor(options: TaskHandlerOptions) {
    this.#options = options;
    this.#emitter = createEmitter((event, error) => {
      this.#life?.log.error({ event, err: error }, "a listener failed; the worker goes on");
    });
  }

  /**
   * Checks the options and the environment and begins to poll. Resolves when polling has begun, also while the server
   * is away: it is tried until it comes. Throws `ConfigurationError`, naming everything that is wrong. Called while
   * running it does nothing; after a stop it starts again.
   */
  start(): Promise<void> {
    if (this.#last?.kind === "start") return this.#last.done;
    const before = this.#last?.done ?? Promise.resolve();
    const request: Request = { kind: "start", done: before.then(() => this.#start()) };
    this.#last = request;
    request.done.catch(() => {
      if (this.#last === request) this.#last = undefined;
    });
    return request.done;
  }

  async #start(): Promise<void> {
    const identity = { hostname: hostname(), pid: process.pid, random: randomBytes(4).toString("hex") };
    const config = resolveConfig(this.#options, process.env, identity);
    const log = safeLogger(this.#options.logger ?? (await createDefaultLogger(config.logLevel)));
    for (const warning of config.warnings) log.warn({}, warning);

    const transport = this.#connect(config, log);
    const stallMs = config.stallTimeoutSeconds * 1000;
    const group = new RunnerGroup({
      workers: config.workers,
      api: createTaskApi(transport, config.requestTimeoutMs),
      clock: systemClock,
      random: Math.random,
      events: this.#emitter,
      log,
      board: createHeartbeatBoard(config.workers.length),
      requestTimeoutMs: config.requestTimeoutMs,
      maxHeldPolls: config.maxHeldPolls,
      followWorkflows: config.followWorkflows,
      sliceMs: stallMs > 0 ? Math.min(stallMs / 4, MAX_SLICE_MS) : MAX_SLICE_MS,
    });
    let markStopped = (): void => undefined;
    const stopped = new Promise<void>((resolve) => {
      markStopped = resolve;
    });
    const registrar = startTaskDefRegistrar({
      registrations: registrationsOf(config.workers),
      metadata: new MetadataClient(transport, config.requestTimeoutMs),
      clock: systemClock,
      random: Math.random,
      log,
      repeatLog: createRepeatLog({ clock: systemClock, logger: log }),
    });
    this.#life = { config, log, transport, group, registrar, isStopping: false, stopped, markStopped, abandoned: 0 };
    log.info({ serverUrl: config.serverUrl, workers: config.workers.length }, describeHandler(config));
    for (const worker of config.workers) log.info({ taskType: worker.taskDefName }, describeWorker(worker));
    group.start();
  }

  #connect(config: HandlerConfig, log: SafeLogger): Transport {
    const transport = createTransport({
      baseUrl: config.serverUrl,
      onRecycled: ({ reason }) => {
        log.debug({ reason }, "connections replaced");
        if (this.#emitter.has("connectionsRecycled")) this.#emitter.emit("connectionsRecycled", { reason });
      },
    });
    const { auth: credentials, requestTimeoutMs } = config;
    if (credentials === undefined) return transport;
    return authenticated(transport, { credentials, clock: systemClock, requestTimeoutMs, onTokenEvent: tokenLog(log) });
  }

  /**
   * Stops polling at once, lets running tasks finish for up to `drainTimeoutMs`, delivers their results, and gives back
   * what is not finished. Resolves when all that is done; never rejects. Called again, it can only shorten the drain.
   */
  async stop(options: StopOptions = {}): Promise<void> {
    const drainTimeoutMs = options.drainTimeoutMs ?? DEFAULT_DRAIN_TIMEOUT_MS;
    if (!(drainTimeoutMs >= 0 && Number.isFinite(drainTimeoutMs))) {
      throw new RangeError(`drainTimeoutMs must be a number of milliseconds, 0 or more, got ${String(drainTimeoutMs)}`);
    }
    if (this.#last === undefined) return;
    if (this.#last.kind === "stop") {
      if (options.drainTimeoutMs !== undefined) this.#life?.group.hurry(drainTimeoutMs);
    } else {
      const stop = () => (this.#life === undefined ? undefined : this.#stop(this.#life, drainTimeoutMs));
      this.#last = { kind: "stop", done: this.#last.done.then(stop, () => undefined) };
    }
    await this.#last.done;
  }

  async #stop(life: Life, drainTimeoutMs: number): Promise<void> {
    const { log, group, transport } = life;
    life.isStopping = true;
    life.registrar.stop();
    const { inFlight } = group.status;
    log.info({ inFlight, drainTimeoutMs }, "stopping: no further polls, letting tasks finish");
    const report = await group.drain(drainTimeoutMs);
    life.abandoned = report.abandoned;
    if (report.leftInFlight > 0 || report.abandoned > 0)
      log.warn({ ...report }, "stopped, and not everything was finished");
    else log.info({}, "stopped");
    await withTimeout(transport.close(), CLOSE_TIMEOUT_MS);
    life.markStopped();
  }

  /**
   * Starts, and runs until SIGTERM or SIGINT (or {@link stop}); then drains. A second signal, 2 s or more after the
   * first, cuts the drain short. Resolves when stopped; functions that ignored their abort signal do not keep the
   * process alive after that.
   */
  async run(): Promise<void> {
    let firstSignalAt: number | undefined;
    const onSignal = (signal: NodeJS.Signals) => {
      const now = systemClock.now();
      if (firstSignalAt === undefined) {
        firstSignalAt = now;
        this.#life?.log.info({ signal }, "signal received");
        void this.stop();
      } else if (now - firstSignalAt >= SECOND_SIGNAL_MS) {
        this.#life?.log.warn({ signal }, "second signal received: cutting the drain short");
        void this.stop({ drainTimeoutMs: 0 });
      }
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    try {
      await this.start();
      const life = this.#life;
      await life?.stopped;
      if (life !== undefined && life.abandoned > 0) endAbandoned(life);
    } finally {
      process.off("SIGTERM", onSignal);
      process.off("SIGINT", onSignal);
    }
  }

  /** Listens to an event; returns the way out. Listeners are isolated and never waited for. */
  on<K extends WorkerEventName>(event: K, listener: WorkerEventListener<K>): () => void {
    return this.#emitter.on(event, listener);
  }

  off<K extends WorkerEventName>(event: K, listener: WorkerEventListener<K>): void {
    this.#emitter.off(event, listener);
  }

  /** Stops polling for a task type, or for all; what runs goes on. What a poll under way still brings is handed back. */
  pause(taskDefName?: string): void {
    for (const runner of this.#runners(taskDefName)) runner.pause();
  }

  /** Polls again after {@link pause}, or after a start with `paused`. */
  resume(taskDefName?: string): void {
    for (const runner of this.#runners(taskDefName)) runner.resume();
  }

  /** Changes how many tasks of a type run at once, from now on. Tasks that run already go on. */
  setConcurrency(taskDefName: string, concurrency: number): void {
    for (const runner of this.#runners(taskDefName)) runner.setConcurrency(concurrency);
  }

  get status(): TaskHandlerStatus {
    const life = this.#life;
    if (life === undefined) {
      return { state: "stopped", runners: [], inFlight: 0, resultsWaiting: 0, abandoned: 0, serverReachable: false };
    }
    const { status } = life.group;
    const isStopped = status.runners.every((runner) => runner.state === "stopped");
    return { state: isStopped ? "stopped" : life.isStopping ? "draining" : "running", ...status };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #runners(taskDefName: string | undefined): readonly TaskRunner[] {
    const runners = this.#life?.group.runners ?? [];
    if (taskDefName === undefined) return runners;
    const found = runners.filter((runner) => runner.config.taskDefName === taskDefName);
    if (found.length === 0) throw new RangeError(`no worker runs for task type ${JSON.stringify(taskDefName)}`);
    return found;
  }
}

/** Functions that ignored their abort signal may hold timers or sockets for ever; the process must not. */
function endAbandoned({ log, abandoned }: Life): void {
  const timer = setTimeout(() => {
    log.warn({ abandoned }, "functions that were ended go on and hold the process; ending it");
    process.exit();
  }, ABANDONED_GRACE_MS);
  timer.unref();
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

async function withTimeout(work: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work.catch(() => undefined), timeout]);
  clearTimeout(timer);
}
