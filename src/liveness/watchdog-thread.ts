import { isMainThread, Worker } from "node:worker_threads";
import { BOARD_LAYOUT, CELL_OFF, LOOP_PHASES, type HeartbeatBoard } from "./board.js";
import { takeReportFd } from "./report-fd.js";
import { HOLD, installStallHook, type Described } from "./stall-hook.js";
import { STALL_EXIT_CODE, type StallReport } from "./stall-report.js";
import { EXIT_THREAD_SOURCE } from "./thread/exit-source.js";
import type { Attachment, FromThread, ThreadData, ToThread } from "./thread/protocol.js";
import { WATCHDOG_SOURCE } from "./thread/source.js";

/** A thread that has died, or found no room, is replaced this often in a row, after these pauses in ms. */
const RESTART_PAUSES_MS = [100, 1_000, 10_000, 60_000];
/** A thread that lived for so long begins a new row, in ms. */
const HEALTHY_MS = 600_000;
/** What listeners of `exit` may take before the process is ended regardless, in ms. */
const EXIT_LISTENERS_MS = 1_000;
/** By then the thread has ended the process, unless C's `exit()` hangs, in ms. Its SIGKILL comes later than that. */
const EXIT_BOUND_MS = 600;
/** By then the thread has killed a process whose `exit()` hangs, or never will, in ms. */
const KILL_BOUND_MS = 3_000;

const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

/**
 * The main thread's side of the watchdog: one thread for a process, however many handlers are watched in it. `watch()`
 * attaches and detaches them; the thread is started with the first, ended with the last, and replaced when it dies.
 *
 * - The thread reads the boards by itself, so that it also sees a main thread that is stuck. It asks that thread only
 *   when a loop stands still: by `areYouThere`, and by a function that {@link installStallHook} puts where it is found.
 * - A stall is told by the thread (`stalled`), or found by the main thread and declared to it. Either way the thread makes
 *   the report and ends the process; {@link leave} uses the time until then, where the main thread turns.
 * - {@link end} ends the process for other reasons by the same means, because `process.exit()` may hang.
 *
 * Without a thread (a limit, a permission, a worker thread) nobody watches, which `onFailure` is told; what ends the
 * process then is the main thread alone.
 */
class WatchdogThread {
  readonly #hook = `ostinato.stall.${Math.random().toString(36).slice(2)}`;
  readonly #held = new Int32Array(new SharedArrayBuffer(4));
  readonly #watched = new Map<number, WatchedProcess>();
  #removeHook: (() => void) | undefined;
  #lastId = 0;
  #worker: Worker | undefined;
  #startedAt = 0;
  #deaths = 0;
  #restart: NodeJS.Timeout | undefined;
  #isLeaving = false;

  /** Watches this one as well. Returns a number by which it goes, also where nobody watches: `onFailure` is told that. */
  attach(watched: WatchedProcess): number {
    const id = ++this.#lastId;
    this.#watched.set(id, watched);
    this.#removeHook ??= installStallHook(
      this.#hook,
      (of) => this.#watched.get(of)?.describe(),
      () => {
        Atomics.store(this.#held, 0, 1);
        Atomics.notify(this.#held, 0);
        standStill(STALL_EXIT_CODE);
      },
    );
    if (!isMainThread) {
      watched.onFailure(
        new Error(
          "the watchdog runs only in the main thread of a process, and this is a worker thread: nobody watches",
        ),
      );
    } else if (this.#worker === undefined) {
      if (this.#restart === undefined) this.#start();
    } else {
      this.#post({ kind: "attach", attachment: attachmentOf(id, watched) });
    }
    return id;
  }

  detach(id: number): void {
    if (!this.#watched.delete(id)) return;
    this.#post({ kind: "detach", id });
    if (this.#watched.size > 0) return;
    this.#removeHook?.();
    this.#removeHook = undefined;
    clearTimeout(this.#restart);
    this.#restart = undefined;
    this.#deaths = 0;
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
  }

  /** False when no thread is there that could act on it. */
  tell(message: ToThread): boolean {
    return this.#post(message);
  }

  /** Runs the listeners of `exit` and ends the process; does not return. */
  end(exitCode: number): never {
    if (isMainThread && this.#worker === undefined) this.#start();
    if (this.#worker === undefined) process.exit(exitCode);
    this.#post({ kind: "end", exitCode, withinMs: EXIT_LISTENERS_MS });
    tellExitListeners(exitCode);
    this.#post({ kind: "go" });
    standStill(exitCode);
    process.exit(exitCode);
  }

  #start(): void {
    this.#restart = undefined;
    const data: ThreadData = {
      attachments: [...this.#watched].map(([id, watched]) => attachmentOf(id, watched)),
      layout: BOARD_LAYOUT,
      phases: LOOP_PHASES,
      cellOff: CELL_OFF,
      hook: this.#hook,
      hold: HOLD,
      held: this.#held,
      mayInspect: mayInspect(),
      exitThreadSource: EXIT_THREAD_SOURCE,
      stallExitCode: STALL_EXIT_CODE,
      reportFd: takeReportFd(),
    };
    let worker: Worker;
    this.#startedAt = performance.now();
    try {
      // Without the process's flags and environment: what they preload has no business in this thread.
      worker = new Worker(WATCHDOG_SOURCE, {
        eval: true,
        execArgv: [],
        env: {},
        resourceLimits: RESOURCE_LIMITS,
        workerData: data,
        name: "ostinato-watchdog",
      });
    } catch (error) {
      // A limit on threads, or no memory: that may pass. What is not allowed will not be.
      if ((error as NodeJS.ErrnoException).code === "ERR_WORKER_INIT_FAILED") this.#lost("could not be started", error);
      else this.#tellFailure(new Error("the watchdog thread cannot be started: nobody watches", { cause: error }));
      return;
    }
    this.#worker = worker;
    let cause: unknown;
    worker.on("message", (message: FromThread) => {
      this.#receive(message);
    });
    worker.on("error", (error: unknown) => {
      cause = error;
    });
    worker.on("exit", (code) => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#lost("has died", cause ?? new Error(`it ended with code ${code}`));
    });
    // Last: a listener that is added holds the process again.
    worker.unref();
  }

  #lost(how: string, cause: unknown): void {
    if (performance.now() - this.#startedAt >= HEALTHY_MS) this.#deaths = 0;
    const pauseMs = RESTART_PAUSES_MS[this.#deaths];
    this.#deaths += 1;
    if (pauseMs === undefined) {
      this.#tellFailure(new Error(`the watchdog thread ${how} again and again: nobody watches any more`, { cause }));
      return;
    }
    this.#tellFailure(new Error(`the watchdog thread ${how}; another one is started in ${pauseMs} ms`, { cause }));
    this.#restart = setTimeout(() => {
      if (this.#watched.size > 0) this.#start();
    }, pauseMs).unref();
  }

  #tellFailure(error: Error): void {
    for (const watched of this.#watched.values()) watched.onFailure(error);
  }

  #receive(message: FromThread): void {
    switch (message.kind) {
      case "areYouThere":
        this.#post({ kind: "here" });
        break;
      case "stalled":
        this.leave(message.id, message.report);
        break;
    }
  }

  /** The stall is told: what can be saved is saved, and then the process ends. */
  leave(id: number, report: StallReport): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    const saved = this.#watched.get(id)?.onStall(report) ?? Promise.resolve();
    const end = () => {
      this.end(STALL_EXIT_CODE);
    };
    saved.then(end, end);
  }

  #post(message: ToThread): boolean {
    this.#worker?.postMessage(message);
    return this.#worker !== undefined;
  }
}

function attachmentOf(id: number, { board, stallMs, graceMs, reportFile }: WatchedProcess): Attachment {
  return { id, buffer: board.buffer, names: [...board.names], stallMs, graceMs, reportFile };
}

function mayInspect(): boolean {
  const { permission } = process as { permission?: { has(scope: string): boolean } };
  return permission === undefined || permission.has("inspector");
}

/** What `process.exit()` does first. One that hangs is cut short by the thread. */
function tellExitListeners(exitCode: number): void {
  process.exitCode = exitCode;
  try {
    process.emit("exit", exitCode);
  } catch {
    // A listener of the user's; the process ends as it would have.
  }
  process.removeAllListeners("exit");
}

/**
 * While the thread ends the process, nothing of the user's runs any more. Should that hang (C's `exit()` waits for a
 * stuck pool thread) the process becomes one that has the right exit code, where Node can do that; else the thread sends
 * SIGKILL.
 */
function standStill(exitCode: number): void {
  const never = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(never, 0, 0, EXIT_BOUND_MS);
  const { execve } = process as { execve?: (file: string, args: string[], env: Record<string, string>) => void };
  try {
    process.removeAllListeners("warning");
    execve?.(process.execPath, ["node", "-e", `process.exit(${exitCode})`], {});
  } catch {
    // Not on this platform.
  }
  Atomics.wait(never, 0, 0, KILL_BOUND_MS);
}

/** The only one of the process. */
export const watchdogThread = new WatchdogThread();
/** What a watchdog watches: the loops of one handler. */
export interface WatchedProcess {
  readonly board: HeartbeatBoard;
  /** A loop that does not beat for this long is stuck, in ms. */
  readonly stallMs: number;
  /** Gets the report as well; undefined: stderr only. */
  readonly reportFile: string | undefined;
  /**
   * What is known for the report. Called while the main thread is interrupted at any point of any code: it must only
   * read, and must not throw.
   */
  describe(): Described;
  /** Called where the main thread still turns; the process ends when it settles, or after `graceMs`. */
  onStall(report: StallReport): Promise<void>;
  /** How long {@link onStall} may take, in ms. */
  readonly graceMs: number;
  /** The thread could not be started, or has died: the message says whether another one will be. */
  onFailure(error: Error): void;
}
