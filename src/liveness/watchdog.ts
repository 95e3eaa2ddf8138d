import type { HeartbeatBoard } from "./board.js";
import type { StallReason, StallReport } from "./stall-report.js";

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
  describe(): { readonly inFlight: readonly string[]; readonly eventLoopDelayMs: number };
  /** Called where the main thread still turns; the process ends when it settles, or after `graceMs`. */
  onStall(report: StallReport): Promise<void>;
  /** How long {@link onStall} may take, in ms. */
  readonly graceMs: number;
  /** The thread could not be started, or has died: nobody watches any more, or a new one was started. */
  onFailure(error: Error): void;
}

/** A thread that watches the loops from outside and ends the process when one is stuck. */
export interface Watchdog {
  /** The main thread has found the stall itself: the thread makes the report and ends the process. */
  declare(stall: { reason: StallReason; stuck: string; stalledMs: number }): void;
  /**
   * Ends the process with `code`, whatever still runs, by the same means as after a stall: `process.exit()` can hang for
   * ever on a stuck thread.
   */
  endProcess(code: number): void;
  /** Watches no longer; the thread ends with the last one that is watched. */
  stop(): void;
}

/** Exit code of a process that was stuck, as of other SDKs: EX_SOFTWARE. */
export const STALL_EXIT_CODE = 70;

export function watch(_watched: WatchedProcess): Watchdog {
  return { declare: () => {}, endProcess: (code) => process.exit(code), stop: () => {} };
}

/** True in a test: nobody wants their test runner ended. */
export function isUnderTestRunner(env: Readonly<Record<string, string | undefined>>): boolean {
  return ["VITEST", "JEST_WORKER_ID", "NODE_TEST_CONTEXT", "MOCHA_WORKER_ID"].some((name) => env[name] !== undefined);
}
