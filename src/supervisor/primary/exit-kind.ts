import { clip } from "../../base/clip.js";
import { STALL_EXIT_CODE, type StallReport } from "../../liveness/stall-report.js";

/** Why a process ended. */
export type ExitKind =
  /** It was asked to, by the primary, by a signal or by its own code. */
  | "stopped"
  /** It was replaced in a roll. */
  | "rolled"
  /** An error ended it. */
  | "crashed"
  /** It was stuck; its watchdog ended it, or the primary. */
  | "wedged"
  /** V8's heap was full. */
  | "outOfMemory"
  /** A signal ended it that nobody of ours sent; the kernel kills so for want of memory. */
  | "killed"
  /** It did not start a handler in time. */
  | "notStarted";

/** The one list of the kinds; the compiler holds it to {@link ExitKind}. */
const KINDS = {
  stopped: true,
  rolled: true,
  crashed: true,
  wedged: true,
  outOfMemory: true,
  killed: true,
  notStarted: true,
} satisfies Record<ExitKind, true>;

/** Every kind of end there is. */
export const EXIT_KINDS = Object.keys(KINDS) as readonly ExitKind[];

/** All that is known when a process has ended. */
export interface ExitFacts {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the primary had asked of it. */
  readonly asked: "stop" | "roll" | undefined;
  /** It told that it was stopping, or had stopped. */
  readonly toldStopping: boolean;
  /** It had started a handler. */
  readonly wasReady: boolean;
  /**
   * Why the primary killed it: its beats had stopped, it had not started in time, its drain had not ended in time, or it
   * went on after its handlers had stopped (then by SIGTERM first).
   */
  readonly killedFor: "silence" | "start" | "drain" | "lingering" | undefined;
  /** What the watchdog's thread told. */
  readonly report: StallReport | undefined;
  /** The last of what it wrote to stderr. */
  readonly stderrTail: string;
}

/** Of an error in the line about an end, which is also the reason with which its tasks fail. */
const MAX_ERROR_CHARACTERS = 500;

const OUT_OF_MEMORY = /FATAL ERROR: .*(?:heap out of memory|Heap limit|heap limit|process out of memory)/;
/** How V8 ends a process whose heap is full: abort(), or a trap where it is built to. */
const ABORT_SIGNALS: readonly (NodeJS.Signals | null)[] = ["SIGABRT", "SIGTRAP", "SIGILL"];
const ABORT_CODES: readonly (number | null)[] = [134, 133, 132];

/** Says why a process ended. Pure. */
export function exitKindOf(facts: ExitFacts): ExitKind {
  const { code, signal, asked, killedFor, wasReady } = facts;
  if (facts.report !== undefined || killedFor === "silence" || code === STALL_EXIT_CODE) return "wedged";
  if (killedFor === "start") return "notStarted";
  const aborted = ABORT_SIGNALS.includes(signal) || ABORT_CODES.includes(code);
  if (aborted && OUT_OF_MEMORY.test(facts.stderrTail)) return "outOfMemory";
  if (
    killedFor === "drain" ||
    killedFor === "lingering" ||
    ((asked !== undefined || facts.toldStopping) && code === 0)
  ) {
    return asked === "roll" ? "rolled" : "stopped";
  }
  if (signal !== null) return asked !== undefined && !wasReady ? "stopped" : "killed";
  if (code !== 0) return "crashed";
  return wasReady ? "stopped" : "notStarted";
}

/**
 * One line about the end of a process, for people:
 * `wedged in spin (worker.js:12:5): charge stood still for 300 s (exit code 70)`.
 */
export function describeExit(kind: ExitKind, facts: ExitFacts): string {
  const how = facts.signal ?? `exit code ${facts.code ?? "unknown"}`;
  switch (kind) {
    case "stopped":
    case "rolled":
      if (facts.killedFor === "drain") return "killed: its drain had not ended in time";
      return facts.killedFor === "lingering"
        ? "stopped; something else held the process, and it was ended"
        : `stopped (${how})`;
    case "wedged":
      if (facts.report !== undefined) return `${describeStall(facts.report)} (${how})`;
      return facts.killedFor === "silence"
        ? "wedged: it was silent for longer than its stall timeout, and was killed"
        : `wedged (${how})`;
    case "outOfMemory":
      return `out of memory: V8's heap was full (${how}); --max-old-space-size gives it more`;
    case "killed":
      return facts.signal === "SIGKILL"
        ? "killed by SIGKILL, not by its supervisor; perhaps by the kernel, for want of memory"
        : `killed by ${how}`;
    case "notStarted":
      return facts.killedFor === "start"
        ? "it did not start a handler in time; does the script call run() or start()?"
        : `it ended (${how}) without starting a handler; does the script call run() or start()?`;
    case "crashed": {
      const error = lastError(facts.stderrTail);
      return `crashed (${how})${error === undefined ? "" : `: ${error}`}`;
    }
  }
}

function describeStall(report: StallReport): string {
  const seconds = Math.round(report.stalledMs / 1000);
  const place = topFrame(report.stack) ?? report.nativeCall ?? report.lastEntered;
  return `wedged${place === undefined ? "" : ` in ${place}`}: ${report.stuck.join(", ")} stood still for ${seconds} s`;
}

/** The innermost frame of a stack that has a place, and is not of Node itself: `spin (worker.js:12:5)`. */
function topFrame(stack: string | undefined): string | undefined {
  const frames = stack
    ?.split("\n")
    .map((line) => /^\s*at (.+)$/.exec(line)?.[1])
    .filter((frame) => frame !== undefined && !frame.includes("node:"));
  // V8's own functions have none: `RegExp.test (<anonymous>)`.
  return frames?.find((frame) => frame?.endsWith("(<anonymous>)") === false) ?? frames?.[0];
}

/** The error that Node printed when nobody caught it. */
function lastError(stderrTail: string): string | undefined {
  const lines = stderrTail.split("\n").map((line) => line.trim());
  const error = lines.findLast((line) => /^(?:Uncaught )?[\w$.]*(?:Error|Exception)\b/.test(line));
  return error === undefined ? undefined : clip(error, MAX_ERROR_CHARACTERS);
}
