import { judgeLiveness, judgeReadiness } from "../../admin/health.js";
import { sleep, type Clock, type Timer } from "../../base/clock.js";
import type { StallReport } from "../../liveness/stall-report.js";
import { TickAge } from "../../liveness/tick-age.js";
import type { Logger } from "../../log/logger.js";
import type { EndedHandOut } from "../../runner/ended-hand-outs.js";
import type { PollerIdentity } from "../../runner/poller-identity.js";
import type { Predecessor } from "../../runner/recovery/held-task.js";
import { isOverburdened, type TaskHandlerStatus } from "../../status.js";
import { BEAT_MS, type MetricJson, type Report } from "../messages.js";
import { readReport } from "../read-message.js";
import { describeExit, exitKindOf, type ExitFacts, type ExitKind } from "./exit-kind.js";
import type { Child, ForkChild } from "./fork.js";
import { leftBehind } from "./left-behind.js";
import { inOwnTime } from "./own-time.js";
import type { ServerAnswers } from "./rolling.js";

/** The end of one process. */
export interface ExitRecord {
  /** 0 to N−1: which of the processes it was. */
  readonly process: number;
  readonly pid: number | undefined;
  readonly kind: ExitKind;
  /** One line for people. */
  readonly description: string;
  /** How long it had been ready, in ms; 0: it never was. */
  readonly readyMs: number;
  /** The process was asked to end, and did not within its drain. */
  readonly hadToBeKilled: boolean;
}

/** How it stands with one of the N places for a process. */
export type PlaceState =
  /** Nobody is there: before the first start, between a death and the replacement, and after the end. */
  "empty" | "starting" | "ready" | "stopping";

/** One of the N processes: who is in it now, and how the last one ended. */
export interface PlaceStatus {
  /** 0 to N−1: the label `process` of its metrics. */
  readonly process: number;
  readonly state: PlaceState;
  readonly pid: number | undefined;
  /** How long it has not beaten, in ms, counted in the supervisor's own ticks. */
  readonly silentMs: number;
  readonly lastExit: ExitRecord | undefined;
  /** What its last beat told. */
  readonly status: TaskHandlerStatus | undefined;
}

export interface PlaceOptions {
  readonly place: number;
  readonly fork: ForkChild;
  readonly clock: Clock;
  readonly log: Logger;
  readonly drainTimeoutMs: number;
  /** How long a process may take to start a handler, in ms. */
  readonly startTimeoutMs: number;
  readonly onReady: () => void;
  readonly onExit: (exit: ExitRecord) => void;
  /** The process in here has told how it is. */
  readonly onBeat: () => void;
  /** More functions go on in it after the end of their tasks than may run at once. Told again at each beat. */
  readonly onOverburdened: () => void;
  /** A process told its metrics unasked, when it stopped. */
  readonly onLastMetrics: (metrics: readonly MetricJson[]) => void;
}

/** What a child may be silent beyond its own stall timeout, in ms: its own watchdog comes first. */
export const SILENCE_MARGIN_MS = 5_000;
/** Beyond the drain a child waits for a poll under way, gives back, and closes; then it is killed, in ms. */
export const KILL_MARGIN_MS = 8_000;
/** A start that takes longer is worth a line in the log, in ms. */
const SLOW_START_MS = 10_000;
/** How long a process whose handlers have stopped may go on, in ms. */
const STOPPED_GRACE_MS = 10_000;
/** A process whose handlers have stopped has ended by then, if nothing else holds it, in ms. */
const HELD_MS = 1_000;
/** So many processes that died are remembered while nobody has taken over their tasks. */
const MAX_PREDECESSORS = 20;

/** What is known of the process that is in a place now. */
interface Occupant {
  readonly child: Child;
  readyAt: number | undefined;
  /** Its own stall timeout; undefined: it is not watched. */
  stallMs: number | undefined;
  pollers: readonly PollerIdentity[];
  beat: Extract<Report, { kind: "beat" }> | undefined;
  /** The last beat whose loops iterate: a timer that beats shows nothing. */
  liveBeat: object | undefined;
  report: StallReport | undefined;
  asked: ExitFacts["asked"];
  toldStopping: boolean;
  /** Its handlers have stopped, and nobody had asked for it. */
  stoppedItself: boolean;
  /** Nothing was in flight when its handlers stopped, */
  endedClean: boolean;
  /** and this was still to be searched for. */
  owed: readonly PollerIdentity[];
  /** The hand-outs that it had ended last, when its handlers had stopped. */
  ended: readonly EndedHandOut[];
  killedFor: ExitFacts["killedFor"];
  /** Something it told could not be read, which is said once. */
  isMisunderstood: boolean;
  /** When the drain ends, by the clock. */
  drainUntil: number;
  warnTimer: Timer;
  startTimer: Timer;
  killTimer: Timer;
}

/**
 * One of the N places for a process, and whoever is in it: the place stays, its processes (occupants) come and go. The
 * supervisor says when one is to start and to stop, ticks each place once a second, and decides in `onExit` whether and
 * when the next one starts; the place does the rest.
 *
 * - `empty`: nobody is in here. {@link start} forks, at once or after a wait.
 * - `starting`: forked, and no handler has started. It is killed after `startTimeoutMs`.
 * - `ready`: a handler polls. It must beat: one that is silent for longer than its own stall timeout is killed.
 * - `stopping`: it was asked to end, or told that it does. It is killed when it has not ended some seconds after its drain,
 *   or after its handlers have stopped.
 *
 * What a process had in its hands when it died is told to the ones that follow in here, until one has taken care of it.
 * All waits are in the supervisor's own time: what it slept through kills nobody.
 */
export class ProcessPlace {
  readonly #options: PlaceOptions;
  readonly #scrapes = new Map<number, (metrics: readonly MetricJson[]) => void>();
  #occupant: Occupant | undefined;
  #generation = 0;
  #silence = new TickAge(BEAT_MS);
  #silentMs = 0;
  #lastExit: ExitRecord | undefined;
  #restartTimer: Timer;
  #predecessors: readonly Predecessor[] = [];
  #lastId = 0;

  constructor(options: PlaceOptions) {
    this.#options = { ...options, clock: inOwnTime(options.clock, BEAT_MS) };
  }

  get state(): PlaceState {
    const now = this.#occupant;
    if (now === undefined) return "empty";
    const { asked, toldStopping, stoppedItself, killedFor } = now;
    if (asked !== undefined || toldStopping || stoppedItself || killedFor !== undefined) return "stopping";
    return now.readyAt === undefined ? "starting" : "ready";
  }

  /** Whether the server answers the process in here. */
  get server(): ServerAnswers {
    const beat = this.#occupant?.beat;
    if (beat === undefined) return "unknown";
    if (!beat.status.serverReachable) return "no";
    return judgeReadiness(beat.status).isReady ? "yes" : "unknown";
  }

  /** Counts the processes that were started here. */
  get generation(): number {
    return this.#generation;
  }

  /** The script's own code has stopped its handlers, and the process goes on without. */
  get hasStoppedItself(): boolean {
    return this.#occupant?.stoppedItself === true;
  }

  /** The process in here should beat, and has not for longer than it may. */
  get isSilent(): boolean {
    return this.#silentMs >= this.#silenceLimitMs;
  }

  get status(): PlaceStatus {
    const { place } = this.#options;
    return {
      process: place,
      state: this.state,
      pid: this.#occupant?.child.pid,
      silentMs: this.#silentMs,
      lastExit: this.#lastExit,
      status: this.#occupant?.beat?.status,
    };
  }

  /** Starts a process in `delayMs`, unless one is there. */
  start(delayMs = 0): void {
    const { clock } = this.#options;
    clock.clearTimer(this.#restartTimer);
    if (delayMs > 0) {
      this.#restartTimer = clock.setTimer(() => {
        this.start();
      }, delayMs);
    } else if (this.#occupant === undefined) this.#fork();
  }

  /** No process will be started here any more. */
  close(): void {
    this.#options.clock.clearTimer(this.#restartTimer);
  }

  /** Asks the process to finish what runs and to end; kills it when it has not. Called again it can only be shorter. */
  stop(asked: "stop" | "roll", drainTimeoutMs: number): void {
    const now = this.#occupant;
    if (now === undefined) return;
    now.asked = now.asked === "stop" ? "stop" : asked;
    const until = this.#options.clock.now() + drainTimeoutMs;
    if (until >= now.drainUntil) return;
    now.drainUntil = until;
    if (now.stoppedItself) {
      // Nothing is left to drain; what starts all the same is to stop again.
      now.child.send({ kind: "drain", drainTimeoutMs });
      this.#endHeld(now);
      return;
    }
    // Who is not ready hears no order yet: by default a signal ends it, and `run()` knows what to do.
    if (now.readyAt === undefined) now.child.kill("SIGTERM");
    else now.child.send({ kind: "drain", drainTimeoutMs });
    this.#killIn(now, drainTimeoutMs + KILL_MARGIN_MS);
  }

  /** One turn of the supervisor, `gapMs` after the last: counts how long the process is silent. */
  tick(gapMs: number): void {
    const now = this.#occupant;
    this.#silentMs = this.#silence.tick(now?.liveBeat, gapMs);
    if (now === undefined || now.killedFor !== undefined || !this.isSilent) return;
    const { log, place } = this.#options;
    const silentSeconds = Math.round(this.#silentMs / 1000);
    log.error({ process: place, childPid: now.child.pid, silentSeconds }, "a worker process does not beat; killing it");
    this.#kill(now, "silence");
  }

  /** Asks for the metrics; undefined when the process does not answer in time. */
  async scrape(deadlineMs: number): Promise<readonly MetricJson[] | undefined> {
    const now = this.#occupant;
    if (now?.readyAt === undefined) return undefined;
    const id = ++this.#lastId;
    const answer = new Promise<readonly MetricJson[]>((resolve) => this.#scrapes.set(id, resolve));
    now.child.send({ kind: "scrape", id });
    const deadline = sleep(this.#options.clock, deadlineMs).then(() => undefined);
    const metrics = await Promise.race([answer, deadline]);
    this.#scrapes.delete(id);
    return metrics;
  }

  get #silenceLimitMs(): number {
    const stallMs = this.#occupant?.stallMs;
    return stallMs === undefined ? Infinity : stallMs + SILENCE_MARGIN_MS;
  }

  #fork(): void {
    const { place, fork, clock, startTimeoutMs } = this.#options;
    this.#generation += 1;
    this.#silence = new TickAge(BEAT_MS);
    this.#silentMs = 0;
    const child = fork(place, {
      onReport: (given) => {
        const { message, problem } = readReport(given);
        if (problem !== undefined) this.#misunderstood(now, problem);
        if (message !== undefined) this.#hear(now, message);
      },
      onStall: (report) => {
        now.report = report;
      },
      onPaused: () => {
        now.liveBeat = {};
      },
      onExit: (code, signal, stderrTail) => {
        this.#ended(now, code, signal, stderrTail);
      },
    });
    const now: Occupant = {
      child,
      readyAt: undefined,
      stallMs: undefined,
      pollers: [],
      beat: undefined,
      liveBeat: undefined,
      report: undefined,
      asked: undefined,
      toldStopping: false,
      stoppedItself: false,
      endedClean: false,
      owed: [],
      ended: [],
      killedFor: undefined,
      isMisunderstood: false,
      drainUntil: Infinity,
      warnTimer: clock.setTimer(() => {
        const text = "a worker process has not started a handler yet; does the script call run() or start()?";
        this.#options.log.warn({ process: place, childPid: child.pid }, text);
      }, SLOW_START_MS),
      startTimer: clock.setTimer(() => {
        this.#kill(now, "start");
      }, startTimeoutMs),
      killTimer: undefined,
    };
    this.#occupant = now;
  }

  #hear(now: Occupant, report: Report): void {
    if (this.#occupant !== now) return;
    switch (report.kind) {
      case "ready":
        this.#becomesReady(now, report);
        return;
      case "beat": {
        const { isLive } = judgeLiveness(report.status, now.stallMs ?? Infinity);
        now.beat = report;
        if (isLive) now.liveBeat = now.beat;
        this.#options.onBeat();
        if (isOverburdened(report.status)) this.#options.onOverburdened();
        return;
      }
      case "stopping":
        if (!now.toldStopping && now.asked === undefined)
          this.#killIn(now, this.#options.drainTimeoutMs + KILL_MARGIN_MS);
        now.toldStopping = true;
        return;
      case "stopped":
        // Unasked, its handlers may be started again; until then it does not beat.
        if (now.toldStopping || now.asked !== undefined) this.#endHeld(now);
        else now.stoppedItself = true;
        now.liveBeat = undefined;
        now.endedClean = report.leftInFlight === 0;
        now.owed = report.owed ?? [];
        now.ended = report.ended ?? [];
        this.#options.onLastMetrics(report.metrics);
        return;
      case "metrics":
        this.#scrapes.get(report.id)?.(report.metrics);
        return;
      case "reclaimed":
        this.#predecessors = this.#predecessors.filter(({ id }) => id !== report.id);
        return;
    }
  }

  /** A script may bring a copy of another version, or send what it likes; that must not end the supervisor. */
  #misunderstood(now: Occupant, problem: string): void {
    if (now.isMisunderstood) return;
    now.isMisunderstood = true;
    const { log, place } = this.#options;
    const text =
      "a worker process tells what its supervisor does not understand; do both have the same version of ostinato?";
    log.warn({ process: place, childPid: now.child.pid, problem }, text);
  }

  #becomesReady(now: Occupant, { stallMs, pollers }: Extract<Report, { kind: "ready" }>): void {
    const { clock, drainTimeoutMs, onReady } = this.#options;
    now.stallMs = stallMs;
    now.pollers = pollers;
    now.stoppedItself = false;
    now.endedClean = false;
    now.owed = [];
    if (now.readyAt !== undefined) return;
    now.readyAt = clock.now();
    clock.clearTimer(now.warnTimer);
    clock.clearTimer(now.startTimer);
    now.child.send({ kind: "welcome", drainTimeoutMs });
    if (now.drainUntil !== Infinity) {
      now.child.send({ kind: "drain", drainTimeoutMs: Math.max(0, now.drainUntil - clock.now()) });
      return;
    }
    for (const predecessor of this.#predecessors) now.child.send({ kind: "reclaim", predecessor });
    onReady();
  }

  #killIn(now: Occupant, delayMs: number, why: "drain" | "lingering" = "drain"): void {
    const { clock } = this.#options;
    clock.clearTimer(now.killTimer);
    now.killTimer = clock.setTimer(() => {
      this.#kill(now, why);
    }, delayMs);
  }

  /** Its handlers have stopped: what it has of its own (a server, a pool) is all that may hold it now. */
  #endHeld(now: Occupant): void {
    const { clock } = this.#options;
    clock.clearTimer(now.killTimer);
    now.killTimer = clock.setTimer(() => {
      now.killedFor ??= "lingering";
      // Our order came by message: what the script itself does on SIGTERM has not been done yet.
      if (now.asked !== undefined) now.child.kill("SIGTERM");
      this.#killIn(now, STOPPED_GRACE_MS - HELD_MS, "lingering");
    }, HELD_MS);
  }

  #kill(now: Occupant, why: NonNullable<ExitFacts["killedFor"]>): void {
    now.killedFor ??= why;
    now.child.kill("SIGKILL");
  }

  #ended(now: Occupant, code: number | null, signal: NodeJS.Signals | null, stderrTail: string): void {
    const { clock, place, onExit } = this.#options;
    clock.clearTimer(now.warnTimer);
    clock.clearTimer(now.startTimer);
    clock.clearTimer(now.killTimer);
    const { asked, toldStopping, killedFor, report, readyAt } = now;
    const wasReady = readyAt !== undefined;
    const facts = { code, signal, asked, toldStopping, wasReady, killedFor, report, stderrTail };
    const kind = exitKindOf(facts);
    const description = describeExit(kind, facts);
    this.#occupant = undefined;
    this.#silentMs = 0;
    if (wasReady) this.#remember(now, description);
    const readyMs = wasReady ? Math.max(1, clock.now() - readyAt) : 0;
    const exit: ExitRecord = {
      process: place,
      pid: now.child.pid,
      kind,
      description,
      readyMs,
      hadToBeKilled: killedFor === "drain",
    };
    this.#lastExit = exit;
    onExit(exit);
  }

  /** What the process had is told to the ones that follow until one has taken care of it. */
  #remember(now: Occupant, reason: string): void {
    const { tasks, pollers } = now.endedClean
      ? { tasks: [], pollers: now.owed }
      : leftBehind(now.beat?.tasks ?? [], now.pollers, now.report?.inFlight ?? []);
    const { ended } = now;
    if (tasks.length === 0 && pollers.length === 0 && ended.length === 0) return;
    const predecessor: Predecessor = { id: ++this.#lastId, tasks, pollers, ended, reason };
    this.#predecessors = [...this.#predecessors, predecessor].slice(-MAX_PREDECESSORS);
  }
}
