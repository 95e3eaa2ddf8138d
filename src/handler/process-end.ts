import type { WorkerTopics } from "../events/emitter.js";
import type { Logger } from "../log/logger.js";
import type { RunnerGroup } from "../runner/runner-group.js";

/** What a process that an error ends spends on its tasks, in ms. */
const CRASH_GRACE_MS = 5_000;
/** How long functions that were abandoned may hold a process that is to end, in ms; then they end with it. */
const ABANDONED_GRACE_MS = 1_000;

/** How an error that nobody caught came to light. */
export type UncaughtKind = "uncaughtException" | "unhandledRejection";

export interface ProcessEndOptions {
  readonly log: Logger;
  readonly events: WorkerTopics;
  readonly group: Pick<RunnerGroup, "status" | "evacuate">;
  /** Ends the process, also where `process.exit()` would hang. */
  readonly endProcess: (code: number) => never;
}

/** Those of this process's handlers that run: what ends the process ends what all of them have in their hands. */
const running = new Set<ProcessEnd>();

/** `process.exit()` asks nobody. One listener for all handlers: Node warns of many. */
const tellExit = (exitCode: number) => {
  for (const each of running) each.tellExit(exitCode);
};

/**
 * What becomes of a handler's tasks when the process ends under it: by a stall, by an error that nobody caught, by
 * `process.exit()`, or because functions that were abandoned would hold it for ever.
 */
export class ProcessEnd {
  readonly #options: ProcessEndOptions;
  /** Set once the tasks in flight are being ended, for whatever reason; settles when they are. */
  #evacuation: Promise<void> | undefined;

  constructor(options: ProcessEndOptions) {
    this.#options = options;
  }

  /** The handler runs from now on: its tasks end with the process. */
  enter(): void {
    if (running.size === 0) process.on("exit", tellExit);
    running.add(this);
  }

  /** The handler has stopped: it has nothing left that could be lost. Harmless when it has not entered. */
  leave(): void {
    running.delete(this);
    if (running.size === 0) process.off("exit", tellExit);
  }

  /** Ends what is in flight, here and in the process's other handlers. */
  async evacuate(reason: string, boundMs: number): Promise<void> {
    await Promise.all([this, ...running].map((each) => each.#evacuate(reason, boundMs)));
  }

  #evacuate(reason: string, boundMs: number): Promise<void> {
    this.#evacuation ??= this.#options.group.evacuate(reason, boundMs);
    return this.#evacuation;
  }

  /** For an error that nobody caught: ends what is in flight within a bound, and then the process, with code 1. */
  crash(kind: UncaughtKind, error: unknown): void {
    const { log, events, endProcess } = this.#options;
    log.error({ kind, err: error }, "an error that nobody caught; ending what is in flight, and the process");
    if (events.uncaughtError.isHeard) events.uncaughtError.emit({ kind, error });
    if (this.#evacuation !== undefined) return;
    void this.evacuate(`the worker process had an ${kind}`, CRASH_GRACE_MS).then(() => {
      endProcess(1);
    });
  }

  /** Nothing can be saved any more, but it is not to go unnoticed; an end of our own making was told already. */
  tellExit(exitCode: number): void {
    if (this.#evacuation !== undefined) return;
    const { log, group } = this.#options;
    const { inFlight, resultsWaiting } = group.status;
    const message = "the process exits while its workers run: nothing is drained, and tasks in flight are not reported";
    log[inFlight > 0 ? "error" : "warn"]({ exitCode, inFlight, resultsWaiting }, message);
  }

  /**
   * For a process that has no more to do than this handler, which has stopped. Functions that ignored their abort signal
   * may hold timers or sockets for ever; the process must not, unless another handler runs in it.
   *
   * @param abandoned how many of them go on.
   */
  endAbandoned(abandoned: number): void {
    const { log, endProcess } = this.#options;
    const timer = setInterval(() => {
      if (running.size > 0) return;
      clearInterval(timer);
      log.warn({ abandoned }, "functions that were ended go on and hold the process; ending it");
      endProcess(Number(process.exitCode ?? 0));
    }, ABANDONED_GRACE_MS);
    timer.unref();
  }
}

/**
 * Tells of errors that nobody caught, which then do not end the process, until the returned function is called.
 */
export function onUncaughtErrors(heard: (kind: UncaughtKind, error: unknown) => void): () => void {
  const onException = (error: unknown) => {
    heard("uncaughtException", error);
  };
  const onRejection = (error: unknown) => {
    heard("unhandledRejection", error);
  };
  process.on("uncaughtException", onException);
  process.on("unhandledRejection", onRejection);
  return () => {
    process.off("uncaughtException", onException);
    process.off("unhandledRejection", onRejection);
  };
}

/** Node tells the error and ends the process, as if nobody listened: whoever does must have stopped to. */
export function throwToNode(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
