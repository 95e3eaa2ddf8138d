import type { StallReason, StallReport } from "./stall-report.js";
import { watchdogThread, type WatchedProcess } from "./watchdog-thread.js";

/** A thread that watches the loops from outside and ends the process when one is stuck. */
export interface Watchdog {
  /**
   * The main thread has found the stall itself: the thread makes the report and ends the process, unless somebody
   * debugs it; so it is told again for as long as the stall lasts. Without a thread the main thread does what it can.
   */
  declare(stall: { reason: StallReason; stuck: string; stalledMs: number }): void;
  /**
   * Ends the process with `code`, whatever still runs, by the same means as after a stall: `process.exit()` can hang for
   * ever on a stuck thread. Listeners of `exit` are called, for a second at most. Works after {@link stop} as well.
   */
  endProcess(code: number): never;
  /** Watches no longer; the thread ends with the last one that is watched. */
  stop(): void;
}

/**
 * Watches these loops from one thread for the whole process. Never throws: what keeps it from watching goes to
 * `onFailure`.
 */
export function watch(watched: WatchedProcess): Watchdog {
  const id = watchdogThread.attach(watched);
  return {
    declare(stall) {
      if (!watchdogThread.tell({ kind: "declare", id, stall })) watchdogThread.leave(id, reportWithoutThread(stall));
    },
    endProcess: (code) => watchdogThread.end(code),
    stop() {
      watchdogThread.detach(id);
    },
  };

  function reportWithoutThread({ reason, stuck, stalledMs }: Parameters<Watchdog["declare"]>[0]): StallReport {
    const seen = { reason, stuck: [stuck], stalledMs: Math.round(stalledMs), phase: "polling" };
    return { ...seen, mainThread: "turning", ...watched.describe() };
  }
}

/** True in a test: nobody wants their test runner ended. */
export function isUnderTestRunner(env: Readonly<Record<string, string | undefined>>): boolean {
  return ["VITEST", "JEST_WORKER_ID", "NODE_TEST_CONTEXT", "MOCHA_WORKER_ID"].some((name) => env[name] !== undefined);
}
