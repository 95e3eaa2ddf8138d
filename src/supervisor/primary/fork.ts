import cluster, { type Worker } from "node:cluster";
import type { Readable } from "node:stream";
import { clip } from "../../base/clip.js";
import { loseUnwritableLines } from "../../base/unwritable-output.js";
import { REPORT_FD_VARIABLE } from "../../liveness/report-fd.js";
import type { StallReport } from "../../liveness/stall-report.js";
import { REPORT_FD, SUPERVISED_VARIABLE, unwrap, wrap, type Order } from "../messages.js";

/** What a child process tells. */
export interface ChildEvents {
  /** A message of ours came from it, unchecked. */
  onReport(report: unknown): void;
  /** The watchdog's thread is about to end the process. */
  onStall(report: StallReport): void;
  /** Somebody holds the process at a breakpoint; told again while that lasts. */
  onPaused(): void;
  /** The process has ended and its output is read; called once. `code` and `signal` null: it could not be started. */
  onExit(code: number | null, signal: NodeJS.Signals | null, stderrTail: string): void;
}

/** A child process, as the supervisor needs it. */
export interface Child {
  /** Undefined: it could not be started. */
  readonly pid: number | undefined;
  /** Harmless when the process has ended. */
  send(order: Order): void;
  kill(signal: NodeJS.Signals): void;
}

export type ForkChild = (place: number, events: ChildEvents) => Child;

export interface ForkOptions {
  readonly script: string;
  readonly args: readonly string[];
  readonly execArgv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

const STDERR_TAIL_CHARACTERS = 8_192;
/** What is kept of the children's stderr for a reader of ours that does not read, in bytes; beyond it is dropped. */
const MAX_STDERR_WAITING = 1024 * 1024;
const MAX_REPORT_CHARACTERS = 256 * 1024;
/** Of one text in it, and entries of one list. */
const MAX_TEXT_CHARACTERS = 16_000;
const MAX_TEXTS = 1_000;
/** How long pipes may stay open after the exit, because a grandchild holds them, in ms. */
const PIPE_GRACE_MS = 250;

/** Sets the cluster module up, which a process can use for one thing only, and gives what forks. */
export function createForkChild({ script, args, execArgv, env }: ForkOptions): ForkChild {
  cluster.setupPrimary({
    exec: script,
    args: [...args],
    execArgv: [...execArgv],
    // stderr is read for what V8 and Node say at the end; the last is the watchdog's (REPORT_FD).
    stdio: ["ignore", "inherit", "pipe", "ipc", "pipe"],
  });
  loseUnwritableLines();
  return (place, events) => {
    const childEnv = { ...env, [SUPERVISED_VARIABLE]: String(place), [REPORT_FD_VARIABLE]: String(REPORT_FD) };
    try {
      return watch(cluster.fork(childEnv), events);
    } catch (error) {
      // No memory for it (ENOMEM), an environment that is too large (E2BIG): a start that failed, as others do.
      setImmediate(() => {
        events.onExit(null, null, String(error));
      });
      return NO_CHILD;
    }
  };
}

const NO_CHILD: Child = { pid: undefined, send: () => {}, kill: () => {} };

function watch(worker: Worker, events: ChildEvents): Child {
  const { process: child } = worker;
  let stderrTail = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    if (process.stderr.writableLength < MAX_STDERR_WAITING) process.stderr.write(chunk);
    stderrTail = (stderrTail + chunk.toString()).slice(-STDERR_TAIL_CHARACTERS);
  });
  // Without descriptors for them (EMFILE) there are no pipes at all, whatever the types say.
  const pipes = child.stdio as typeof child.stdio | undefined;
  const reports = pipes?.[REPORT_FD] as Readable | null | undefined;
  if (reports) readStallReports(reports, events);
  worker.on("message", (message: unknown) => {
    const report = unwrap(message);
    if (report !== undefined) events.onReport(report);
  });

  let hasEnded = false;
  const ended = (code: number | null, signal: NodeJS.Signals | null) => {
    if (hasEnded) return;
    hasEnded = true;
    events.onExit(code, signal, stderrTail);
  };
  // Node gives the error of a child that could not be started, and of a message that could not be sent.
  worker.on("error", (error: unknown) => {
    if (child.pid !== undefined) return;
    stderrTail = String(error);
    ended(null, null);
  });
  child.once("exit", (code, signal) => {
    const timer = setTimeout(ended, PIPE_GRACE_MS, code, signal);
    child.once("close", () => {
      clearTimeout(timer);
      ended(code, signal);
    });
  });
  return {
    pid: child.pid,
    send(order) {
      if (worker.isConnected()) worker.send(wrap(order), () => {});
    },
    kill(signal) {
      if (!hasEnded) child.kill(signal);
    },
  };
}

function readStallReports(stream: Readable, events: ChildEvents): void {
  let text = "";
  stream.on("error", () => {});
  stream.on("data", (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-MAX_REPORT_CHARACTERS);
    const end = text.lastIndexOf("\n");
    if (end === -1) return;
    for (const line of text.slice(0, end).split("\n")) {
      const report = parseStallReport(line);
      if (line === '{"paused":true}') events.onPaused();
      else if (report !== undefined) events.onStall(report);
    }
    text = text.slice(end + 1);
  });
}

/** A line of the report pipe. The process that wrote it was in a bad way: nothing in it is taken on trust. */
export function parseStallReport(line: string): StallReport | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const given = value as Partial<Record<keyof StallReport, unknown>>;
  const texts = (list: unknown) =>
    (Array.isArray(list) ? list.slice(0, MAX_TEXTS) : [])
      .filter((entry): entry is string => typeof entry === "string")
      .map((entry) => clip(entry, MAX_TEXT_CHARACTERS));
  const number = (entry: unknown) => (Number.isFinite(entry) ? (entry as number) : 0);
  const text = <K extends string>(key: K, entry: unknown) =>
    (typeof entry === "string" ? { [key]: clip(entry, MAX_TEXT_CHARACTERS) } : {}) as Partial<Record<K, string>>;
  if (given.reason !== "loop" && given.reason !== "request") return undefined;
  const threads = ["turning", "busy", "native", "unknown"] as const;
  return {
    reason: given.reason,
    stuck: texts(given.stuck),
    stalledMs: number(given.stalledMs),
    phase: typeof given.phase === "string" ? clip(given.phase, MAX_TEXT_CHARACTERS) : "unknown",
    mainThread: threads.find((state) => state === given.mainThread) ?? "unknown",
    inFlight: texts(given.inFlight),
    eventLoopDelayMs: number(given.eventLoopDelayMs),
    ...text("lastEntered", given.lastEntered),
    ...text("stack", given.stack),
    ...text("nativeCall", given.nativeCall),
    ...(isCpuShare(given.cpu) ? { cpu: given.cpu } : {}),
  };
}

function isCpuShare(given: unknown): given is NonNullable<StallReport["cpu"]> {
  if (typeof given !== "object" || given === null) return false;
  const { ofMs, ranMs, waitedMs } = given as Record<string, unknown>;
  return [ofMs, ranMs, waitedMs].every((value) => Number.isFinite(value));
}
