import path from "node:path";
import { clip } from "../base/clip.js";
import { systemClock } from "../base/clock.js";
import { isFolder } from "../base/is-folder.js";
import { ignoreRejection } from "../base/on-rejection.js";
import type { HandlerConfig } from "../config/types.js";
import type { WorkerTopics } from "../events/emitter.js";
import type { ObservedTransport } from "../http/observed-transport.js";
import { createBlockLog } from "../liveness/block-log.js";
import type { HeartbeatBoard } from "../liveness/board.js";
import { METER_TICK_MS, startEventLoopMeter, type EventLoopMeter } from "../liveness/event-loop-meter.js";
import type { StallReport } from "../liveness/stall-report.js";
import { TickAge } from "../liveness/tick-age.js";
import { isUnderTestRunner, watch, type Watchdog } from "../liveness/watchdog.js";
import type { Logger } from "../log/logger.js";
import type { RunnerGroup } from "../runner/runner-group.js";

/** What a process that is stuck spends on its tasks before it ends, in ms: it has been of no use for long enough. */
const STALL_GRACE_MS = 2_000;
/** Tasks in flight that a report names. */
const MAX_DESCRIBED = 100;
/** Of an id that the server gave a task. */
const MAX_ID_CHARACTERS = 500;

export interface StallWatchOptions {
  readonly config: Pick<HandlerConfig, "watchdog" | "stallReportFile">;
  /** What stands still for this long is stuck, in ms; Infinity: nothing is. */
  readonly stallMs: number;
  readonly log: Logger;
  readonly events: WorkerTopics;
  readonly board: HeartbeatBoard;
  readonly transport: Pick<ObservedTransport, "oldest">;
  readonly group: Pick<RunnerGroup, "heldTasks">;
  /** The user's; see `TaskHandlerOptions`. */
  readonly onStall: ((report: StallReport) => unknown) | undefined;
  /** How late the event loop was, twice a second. */
  readonly onEventLoopDelay: (delayMs: number) => void;
  /** Ends the tasks in flight, for that reason, within a bound. */
  readonly evacuate: (reason: string, boundMs: number) => Promise<void>;
}

/**
 * What a handler does about standing still: it measures the event loop and names what blocks it, looks for a request
 * that outlives its deadline, and has its poll loops watched by a thread that ends the process when one is stuck.
 *
 * The event loop is measured from the start to {@link stop}, and keeps the process alive meanwhile; the thread watches
 * from {@link start} on, where it is wanted.
 */
export class StallWatch {
  readonly #options: StallWatchOptions;
  readonly #meter: EventLoopMeter;
  readonly #requestAge = new TickAge(METER_TICK_MS);
  #watchdog: Watchdog | undefined;

  constructor(options: StallWatchOptions) {
    this.#options = options;
    const { board, log, onEventLoopDelay } = options;
    const tellBlock = createBlockLog({ clock: systemClock, logger: log, lastEntered: () => board.lastEntered });
    this.#meter = startEventLoopMeter(systemClock, (delayMs) => {
      onEventLoopDelay(delayMs);
      tellBlock(delayMs);
      this.#lookForStuckRequest(METER_TICK_MS + delayMs);
    });
  }

  /** What the watchdog allows, in ms; undefined: none watches. */
  get stallMs(): number | undefined {
    const { config, stallMs } = this.#options;
    const isWanted = config.watchdog ?? !isUnderTestRunner(process.env);
    return isWanted && stallMs !== Infinity ? stallMs : undefined;
  }

  /** Has the loops watched, where that is wanted. */
  start(): void {
    const { stallMs } = this;
    if (stallMs === undefined) return;
    const { config, board, log } = this.#options;
    const { stallReportFile } = config;
    if (stallReportFile !== undefined && !isFolder(path.dirname(stallReportFile))) {
      const message = "stallReportFile is in a folder that is not there: unless somebody makes it, no report is kept";
      log.warn({ stallReportFile }, message);
    }
    this.#watchdog = watch({
      board,
      stallMs,
      reportFile: stallReportFile,
      graceMs: STALL_GRACE_MS,
      describe: () => ({ inFlight: this.#describeTasks(), eventLoopDelayMs: this.#meter.delayMs }),
      onStall: (report) => this.#onStall(report),
      onFailure: (error) => {
        log.error({ err: error }, "the watchdog does not watch");
      },
    });
  }

  /** Nothing is measured or watched any more. */
  stop(): void {
    this.#watchdog?.stop();
    this.#meter.stop();
  }

  /** Ends the process, also where `process.exit()` would hang. Works after {@link stop} as well. */
  endProcess(code: number): never {
    if (this.#watchdog === undefined) process.exit(code);
    return this.#watchdog.endProcess(code);
  }

  #describeTasks(): string[] {
    const tasks = this.#options.group.heldTasks(MAX_DESCRIBED);
    return tasks.map(({ taskType, taskId, state }) => `${taskType}/${clip(taskId, MAX_ID_CHARACTERS)} (${state})`);
  }

  /** The main thread turns, but a loop is stuck: what can be saved is saved before the thread ends the process. */
  async #onStall(report: StallReport): Promise<void> {
    const { log, events, onStall, evacuate } = this.#options;
    const { reason, stuck, stalledMs } = report;
    log.error({ stall: report }, `a loop is stuck (${stuck.join(", ")}); ending the process`);
    if (events.stalled.isHeard) events.stalled.emit({ taskType: stuck.join(", "), reason, stalledMs });
    try {
      ignoreRejection(onStall?.(report));
    } catch (error) {
      log.error({ err: error }, "onStall failed");
    }
    await evacuate("the worker process was stuck and had to end", STALL_GRACE_MS);
  }

  /** Each request has a deadline; one that outlives the stall timeout shows that this does not hold any more. */
  #lookForStuckRequest(gapMs: number): void {
    const { transport, stallMs } = this.#options;
    const oldest = transport.oldest();
    const stalledMs = this.#requestAge.tick(oldest, gapMs);
    if (oldest === undefined || stalledMs < stallMs) return;
    const { method, pathTemplate } = oldest.request;
    this.#watchdog?.declare({ reason: "request", stuck: `${method} ${pathTemplate}`, stalledMs });
  }
}
