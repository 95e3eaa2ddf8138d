import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { systemClock } from "../base/clock.js";
import { DEFAULT_DRAIN_TIMEOUT_MS, obeyStopSignals } from "../base/stop-signals.js";
import { loseUnwritableLines } from "../base/unwritable-output.js";
import { describeHandler, describeWorker } from "../config/describe.js";
import { resolveConfig } from "../config/resolve.js";
import type { TaskHandlerOptions } from "../config/types.js";
import { createEmitter, type WorkerEmitter } from "../events/emitter.js";
import type { WorkerEventListener, WorkerEventName } from "../events/events.js";
import { createDefaultLogger } from "../log/default-logger.js";
import { safeLogger } from "../log/logger.js";
import type { TaskRunner } from "../runner/task-runner.js";
import type { TaskHandlerStatus } from "../status.js";
import { isSupervised } from "../supervisor/child/is-supervised.js";
import "../supervisor/child/before-first-line.js";
import { HandlerLife, type Internals } from "./handler-life.js";
import { onUncaughtErrors, throwToNode } from "./process-end.js";

/** How a handler is stopped. */
export interface StopOptions {
  /**
   * How long tasks that run may take to finish, in ms; what is not finished then goes back to the queue. Default 25000.
   * A poll under way is waited for in any case (up to `longPollMs` and a second), for it may bring a task.
   */
  drainTimeoutMs?: number;
}

const STOPPED: TaskHandlerStatus = {
  state: "stopped",
  runners: [],
  inFlight: 0,
  resultsWaiting: 0,
  abandoned: 0,
  outboxFull: false,
  serverReachable: false,
};

interface Request {
  readonly kind: "start" | "stop";
  readonly done: Promise<void>;
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
  readonly #internals: Internals;
  #life: HandlerLife | undefined;
  /** What was asked for last; requests are carried out in their order. */
  #last: Request | undefined;
  /** How long the stop that was asked for last may drain, in ms; it may not have begun yet. */
  #drainTimeoutMs = DEFAULT_DRAIN_TIMEOUT_MS;
  /** The channel's end in this process obeys the signals, with the drain that its supervisor was given. */
  #signalsAreHeard = false;

  constructor(options: TaskHandlerOptions);
  /** @internal */
  constructor(options: TaskHandlerOptions, internals?: Internals);
  constructor(options: TaskHandlerOptions, internals: Internals = {}) {
    this.#options = options;
    this.#internals = internals;
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
    const { logLevel, logFormat, journal } = config;
    const log = safeLogger(config.logger ?? (await createDefaultLogger(logLevel, logFormat, journal?.dir)));
    for (const warning of config.warnings) log.warn({}, warning);
    log.info({ serverUrl: config.serverUrl, workers: config.workers.length }, describeHandler(config));
    for (const worker of config.workers) log.info({ taskType: worker.taskDefName }, describeWorker(worker));
    // Before it polls: its first task may end the process, which must not pass for a script that does not start.
    const supervised = isSupervised() ? await import("../supervisor/child/child-end.js") : undefined;
    const options = this.#options;
    const earlier = this.#life?.legacy;
    this.#life = new HandlerLife({ config, options, log, events: this.#emitter, internals: this.#internals, earlier });
    const life = this.#life;
    try {
      await life.start();
    } catch (error) {
      this.#life = undefined;
      throw error;
    }
    if (supervised === undefined) return;
    const asSupervised = life.asSupervised((drainTimeoutMs) => this.stop({ drainTimeoutMs }));
    this.#signalsAreHeard = supervised.attachToSupervisor(asSupervised);
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
      if (options.drainTimeoutMs !== undefined) {
        this.#drainTimeoutMs = Math.min(this.#drainTimeoutMs, drainTimeoutMs);
        this.#life?.group.hurry(drainTimeoutMs);
      }
    } else {
      this.#drainTimeoutMs = drainTimeoutMs;
      const stop = () => this.#life?.stop(this.#drainTimeoutMs);
      this.#last = { kind: "stop", done: this.#last.done.then(stop, () => undefined) };
    }
    await this.#last.done;
  }

  /**
   * Starts, and runs until SIGTERM or SIGINT (or {@link stop}); then drains. A second signal, 2 s or more after the
   * first, cuts the drain short. Resolves when stopped; functions that ignored their abort signal do not keep the
   * process alive after that. An error that nobody catches (`uncaughtException`, `unhandledRejection`) is logged, what
   * is in flight is ended, and the process exits with code 1. A line that stdout or stderr does not take is no such
   * error: it is lost.
   */
  async run(): Promise<void> {
    loseUnwritableLines();
    const unlisten = [
      obeyStopSignals(
        {
          stop: (signal) => {
            this.#life?.log.info({ signal }, "signal received");
            if (!this.#signalsAreHeard) void this.stop();
          },
          hurry: (signal) => {
            this.#life?.log.warn({ signal }, "second signal received: cutting the drain short");
            if (!this.#signalsAreHeard) void this.stop({ drainTimeoutMs: 0 });
          },
        },
        systemClock,
      ),
      onUncaughtErrors((kind, error) => {
        if (this.#life !== undefined) {
          this.#life.crash(kind, error);
          return;
        }
        // Nothing runs yet that would have to be ended.
        ignoreProcess();
        throwToNode(error);
      }),
    ];
    const ignoreProcess = () => {
      for (const each of unlisten) each();
    };
    try {
      await this.start();
      const life = this.#life;
      await life?.stopped;
      life?.endAbandoned();
    } finally {
      ignoreProcess();
    }
  }

  /** Listens to an event; returns the way out. Listeners are isolated and never waited for. */
  on<K extends WorkerEventName>(event: K, listener: WorkerEventListener<K>): () => void {
    return this.#emitter.on(event, listener);
  }

  /** Listens no more; harmless when it did not listen. */
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

  /**
   * Changes how many tasks of a type run at once, from now on. Tasks that run already go on. Throws `RangeError` when it
   * is no integer from 1 to 10000.
   */
  setConcurrency(taskDefName: string, concurrency: number): void {
    for (const runner of this.#runners(taskDefName)) runner.setConcurrency(concurrency);
  }

  /** What the handler and its runners are doing now; before the start and after the end, `stopped` and no runners. */
  get status(): TaskHandlerStatus {
    return this.#life?.status ?? STOPPED;
  }

  /** Where `/livez`, `/readyz`, `/metrics` and `/status` are answered; undefined when nowhere. */
  get adminUrl(): string | undefined {
    return this.#life?.adminUrl;
  }

  /** {@link stop} with the default drain, at the end of an `await using`. */
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
