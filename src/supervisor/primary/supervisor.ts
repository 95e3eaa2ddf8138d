import type { Clock, Timer } from "../../base/clock.js";
import type { SafeLogger } from "../../log/logger.js";
import { BEAT_MS, type MetricJson } from "../messages.js";
import { EXIT_KINDS, type ExitKind } from "./exit-kind.js";
import type { ForkChild } from "./fork.js";
import { MAX_FAMILIES, MergedMetrics } from "./merged-metrics.js";
import { ownMetrics } from "./own-metrics.js";
import { ProcessPlace, type ExitRecord, type PlaceStatus } from "./process-place.js";
import { endsInARow, restartDelayMs, shouldGiveUp, type RestartLimits } from "./restart-policy.js";
import { nextRollStep } from "./rolling.js";

export interface SupervisorOptions {
  readonly processes: number;
  readonly fork: ForkChild;
  readonly clock: Clock;
  /** 0 up to 1, as `Math.random`. */
  readonly random: () => number;
  readonly log: SafeLogger;
  readonly drainTimeoutMs: number;
  readonly startTimeoutMs: number;
  readonly limits: RestartLimits;
}

/** What a supervisor is doing. */
export type SupervisorState = "running" | "rolling" | "stopping" | "stopped";

/** What a supervisor and its processes are doing: what `status` of its handle tells. */
export interface SupervisorStatus {
  readonly state: SupervisorState;
  readonly processes: readonly PlaceStatus[];
  /** How many processes were replaced, by the reason of their end. */
  readonly restarts: Readonly<Record<ExitKind, number>>;
}

/** How a supervisor came to its end. */
export interface SupervisorEnd {
  /** For the exit of the process: 0 when every child drained, 1 when one had to be killed or the supervisor gave up. */
  readonly code: number;
  /** Why the supervisor gave up, with the last exits; undefined when it was asked to stop. */
  readonly failure: string | undefined;
  /** The last ends of processes, at most ten, the latest last. */
  readonly exits: readonly ExitRecord[];
}

/** What a child may take to answer a scrape, in ms. */
const SCRAPE_DEADLINE_MS = 1_000;
/** What a new process may take until the server answers it, before a roll that waits for it says so, in ms. */
const ROLL_PATIENCE_MS = 10_000;
const KEPT_EXITS = 10;

/** Keeps N processes running: replaces what dies, rolls, and stops. Knows nothing of clusters, ports and signals. */
export class Supervisor {
  /** Resolves when no process is left and none will be started; never rejects. */
  readonly exited: Promise<SupervisorEnd>;
  readonly #options: SupervisorOptions;
  readonly #places: readonly ProcessPlace[];
  readonly #ends: number[];
  readonly #exits: ExitRecord[] = [];
  readonly #restarts = Object.fromEntries(EXIT_KINDS.map((kind) => [kind, 0])) as Record<ExitKind, number>;
  readonly #metrics = new MergedMetrics();
  #markExited: (end: SupervisorEnd) => void = () => undefined;
  #isStopping = false;
  #hasEnded = false;
  #failure: string | undefined;
  /** Which is said once. */
  #hasTooManyMetrics = false;
  #hadToKill = false;
  #everReady = false;
  #failedStarts = 0;
  #rollGoal: readonly number[] | undefined;
  #rolled: (() => void)[] = [];
  /** Since when a roll waits for a process that the server does not answer; infinite once that was said. */
  #unansweredSince: number | undefined;
  #tickTimer: Timer;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { processes, fork, clock, log, drainTimeoutMs, startTimeoutMs } = options;
    this.exited = new Promise((resolve) => {
      this.#markExited = resolve;
    });
    this.#ends = Array.from({ length: processes }, () => 0);
    this.#places = this.#ends.map(
      (_, place) =>
        new ProcessPlace({
          place,
          fork,
          clock,
          log,
          drainTimeoutMs,
          startTimeoutMs,
          onReady: () => {
            this.#onReady(place);
          },
          onExit: (exit) => {
            this.#onExit(exit);
          },
          onBeat: () => {
            this.#stepRoll();
          },
          onOverburdened: () => {
            this.#recycle(place);
          },
          onLastMetrics: (metrics) => {
            this.#collect(place, metrics);
          },
        }),
    );
  }

  start(): void {
    for (const place of this.#places) place.start();
    this.#tick(this.#options.clock.now());
  }

  get status(): SupervisorStatus {
    const state = this.#hasEnded
      ? "stopped"
      : this.#isStopping
        ? "stopping"
        : this.#rollGoal === undefined
          ? "running"
          : "rolling";
    return { state, processes: this.#places.map((place) => place.status), restarts: { ...this.#restarts } };
  }

  /** The numbers of the processes that should beat and have been silent for longer than they may. */
  get silent(): ReadonlySet<number> {
    return new Set(this.#places.flatMap((place, number) => (place.isSilent ? [number] : [])));
  }

  /** Lets all finish what runs, for up to `drainTimeoutMs`, and starts none any more. Again: only shorter. */
  stop(drainTimeoutMs = this.#options.drainTimeoutMs): Promise<SupervisorEnd> {
    if (!this.#isStopping) this.#options.log.info({ drainTimeoutMs }, "stopping: the processes finish what runs");
    this.#isStopping = true;
    for (const place of this.#places) {
      place.close();
      place.stop("stop", drainTimeoutMs);
    }
    this.#endWhenEmpty();
    return this.exited;
  }

  /**
   * Replaces every process by a new one, one after the other, so that at most one is missing. Resolves when all are
   * new, or the supervisor stops; called during a roll it begins anew, and both resolve at its end.
   */
  roll(): Promise<void> {
    if (this.#isStopping) return Promise.resolve();
    // During a roll, too: what was replaced already may run what was there before the latest order.
    this.#options.log.info({}, "replacing the processes, one after the other");
    this.#rollGoal = this.#places.map(({ generation }) => generation);
    const done = new Promise<void>((resolve) => this.#rolled.push(resolve));
    // Not in its turn: without handlers it may never be ready, and nobody misses it.
    for (const place of this.#places) if (place.hasStoppedItself) place.stop("roll", this.#options.drainTimeoutMs);
    this.#stepRoll();
    return done;
  }

  /** The metrics of all children and of this process, as Prometheus reads them. Waits for no child longer than 1 s. */
  async metrics(): Promise<string> {
    const live = new Set<number>();
    const asking = this.#places.map(async (place, number) => {
      const answer = await place.scrape(SCRAPE_DEADLINE_MS);
      if (answer === undefined) return;
      live.add(number);
      // At once: while another one lets us wait, this process may end, and what it counted would count twice.
      this.#collect(number, answer);
    });
    await Promise.all(asking);
    return this.#metrics.render(live, ownMetrics(this.status.processes, this.#restarts));
  }

  #collect(place: number, metrics: readonly MetricJson[]): void {
    if (this.#metrics.collect(place, metrics) || this.#hasTooManyMetrics) return;
    this.#hasTooManyMetrics = true;
    this.#options.log.warn({ process: place, limit: MAX_FAMILIES }, "too many names of metrics; new ones are left out");
  }

  #tick(before: number): void {
    const { clock } = this.#options;
    const now = clock.now();
    for (const place of this.#places) place.tick(now - before);
    this.#tickTimer = clock.setTimer(() => {
      this.#tick(now);
    }, BEAT_MS);
  }

  #onReady(place: number): void {
    this.#everReady = true;
    this.#failedStarts = 0;
    const { log } = this.#options;
    log.info({ process: place, childPid: this.#places[place]?.status.pid }, "a worker process is ready");
    this.#stepRoll();
  }

  #onExit(exit: ExitRecord): void {
    const { process: place, kind, pid, description, readyMs, hadToBeKilled } = exit;
    const { log, random, limits } = this.#options;
    this.#metrics.ended(place);
    this.#exits.push(exit);
    if (this.#exits.length > KEPT_EXITS) this.#exits.shift();
    const isExpected = kind === "stopped" || kind === "rolled";
    const fields = { process: place, childPid: pid, reason: kind };
    if (this.#isStopping) {
      log[isExpected ? "info" : "warn"](fields, `a worker process has ended: ${description}`);
      this.#hadToKill ||= hadToBeKilled || !isExpected;
      this.#endWhenEmpty();
      return;
    }

    if (readyMs === 0) this.#failedStarts += 1;
    const starts = {
      everReady: this.#everReady,
      failedInARow: this.#failedStarts,
      isScriptsFault: kind === "crashed" || kind === "notStarted",
      ready: this.#places.filter(({ state }) => state === "ready").length,
    };
    if (shouldGiveUp(starts, limits)) {
      log.error(fields, `a worker process has ended: ${description}`);
      this.#giveUp();
      return;
    }
    const ends = kind === "rolled" ? 0 : endsInARow(this.#ends[place] ?? 0, readyMs, limits);
    this.#ends[place] = ends;
    const delayMs = restartDelayMs(ends, random, limits);
    this.#restarts[kind] += 1;
    const when = delayMs === 0 ? "at once" : `in ${(delayMs / 1000).toFixed(1)} s`;
    log[isExpected ? "info" : "error"](
      { ...fields, delayMs: Math.round(delayMs) },
      `a worker process has ended, and is replaced ${when}: ${description}`,
    );
    this.#places[place]?.start(delayMs);
  }

  #giveUp(): void {
    const recent = this.#exits.slice(-this.#failedStarts);
    const list = recent.map(({ process: place, description }) => `  process ${place}: ${description}`).join("\n");
    const what = this.#everReady
      ? `${this.#failedStarts} worker processes in a row ended before they started a handler`
      : "the worker script does not start";
    this.#failure = `${what}:\n${list}`;
    void this.stop();
  }

  #stepRoll(): void {
    const goal = this.#rollGoal;
    if (goal === undefined) return;
    const candidates = this.#places.map(({ generation, state, server }) => ({
      generation,
      isReady: state === "ready",
      server,
    }));
    const step = nextRollStep(candidates, goal);
    this.#tellUnanswered(step.kind === "wait" ? step.unanswered : undefined);
    if (step.kind === "wait") return;
    if (step.kind === "replace") {
      this.#places[step.index]?.stop("roll", this.#options.drainTimeoutMs);
      return;
    }
    this.#options.log.info({}, "all processes are replaced");
    this.#endRoll();
  }

  /** Says why a roll does not go on, once it has not for a while. */
  #tellUnanswered(place: number | undefined): void {
    const { clock, log } = this.#options;
    const now = clock.now();
    if (place === undefined) this.#unansweredSince = undefined;
    else this.#unansweredSince ??= now;
    if (this.#unansweredSince === undefined || now - this.#unansweredSince < ROLL_PATIENCE_MS) return;
    this.#unansweredSince = Infinity;
    const text = "the roll waits: the server does not answer the new process; the old ones go on";
    log.warn({ process: place }, text);
  }

  /** Replaces a process in which too many functions outlive their tasks, when no other process is missing. */
  #recycle(place: number): void {
    if (this.#isStopping || this.#rollGoal !== undefined) return;
    if (!this.#places.every(({ state }) => state === "ready")) return;
    const { log, drainTimeoutMs } = this.#options;
    log.warn(
      { process: place },
      "more functions go on after the end of their tasks than may run; replacing the process",
    );
    this.#places[place]?.stop("roll", drainTimeoutMs);
  }

  #endRoll(): void {
    this.#rollGoal = undefined;
    for (const resolve of this.#rolled.splice(0)) resolve();
  }

  #endWhenEmpty(): void {
    if (this.#hasEnded || this.#places.some(({ state }) => state !== "empty")) return;
    this.#hasEnded = true;
    this.#options.clock.clearTimer(this.#tickTimer);
    this.#endRoll();
    const failure = this.#failure;
    const code = failure !== undefined || this.#hadToKill ? 1 : 0;
    this.#markExited({ code, failure, exits: [...this.#exits] });
  }
}
