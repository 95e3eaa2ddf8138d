import { judgeLiveness } from "../../../src/admin/health.js";
import { defineWorker, inProgress, TaskHandler, type TaskContext, type TaskHandlerStatus } from "../../../src/index.js";
import type { Logger } from "../../../src/log/logger.js";
import { watchEvents, type SeenEvent } from "../faults/event-log.js";
import {
  CONCURRENCY,
  LONG_POLL_MS,
  REQUEST_TIMEOUT_MS,
  TASK_TYPES,
  type ChaosTaskType,
  type TaskInput,
} from "./plan.js";

/** What a worker writes down; `at` is in epoch ms, comparable between the processes of a machine. */
export type BookEntry =
  | { readonly kind: "began"; readonly at: number; readonly taskId: string; readonly pollCount: number }
  | {
      readonly kind: "ended";
      readonly at: number;
      readonly taskId: string;
      readonly pollCount: number;
      readonly end: RunEnd;
      readonly output?: object;
    }
  | { readonly kind: "event"; readonly at: number; readonly event: SeenEvent }
  | {
      readonly kind: "line";
      readonly at: number;
      readonly level: string;
      readonly message: string;
      readonly fields: string;
    }
  | { readonly kind: "notLive"; readonly at: number; readonly reasons: readonly string[] };

/** How a run of a function ended. `aborted`: its result was not wanted any more. */
export type RunEnd = "returned" | "threw" | "inProgress" | "aborted";

/** What a worker is told to do. */
export type Command =
  | { readonly do: "start" | "status" }
  | { readonly do: "stop"; readonly drainTimeoutMs: number }
  | { readonly do: "pause" | "resume"; readonly taskType: ChaosTaskType }
  | { readonly do: "concurrency"; readonly taskType: ChaosTaskType; readonly concurrency: number };

export interface ChaosWorkerSettings {
  readonly serverUrl: string;
  /** What its events call it. */
  readonly name: string;
  /** Where results are kept; undefined: nowhere. */
  readonly journalDir: string | undefined;
  /** Whether it has an access key. */
  readonly hasAuth: boolean;
}

/** A worker of all task types that does what it is told, and writes down what it does. */
export interface ChaosWorker {
  /** Resolves with the status after it. */
  tell(command: Command): Promise<TaskHandlerStatus>;
  close(): Promise<void>;
}

export const epochNow = () => performance.timeOrigin + performance.now();

/** A loop that does not iterate for so long is stuck, in s. */
const STALL_TIMEOUT_SECONDS = 8;
const LIVENESS_EVERY_MS = 200;

export function createWorker(settings: ChaosWorkerSettings, write: (entry: BookEntry) => void): ChaosWorker {
  const { serverUrl, name, journalDir, hasAuth } = settings;
  const handler = new TaskHandler({
    serverUrl,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    stallTimeoutSeconds: STALL_TIMEOUT_SECONDS,
    logger: writingLogger(write),
    registry: false,
    // Many workers share a process: none of them may end it.
    watchdog: false,
    workers: TASK_TYPES.map((taskDefName) =>
      defineWorker<TaskInput>({
        taskDefName,
        concurrency: CONCURRENCY[taskDefName],
        longPollMs: LONG_POLL_MS,
        executionTimeoutMs: 10_000,
        execute: runsAsTold(write),
      }),
    ),
    ...(journalDir === undefined ? {} : { journal: { dir: journalDir } }),
    ...(hasAuth ? { auth: { keyId: "chaos", keySecret: "known to nobody" } } : {}),
  });
  watchEvents(handler, name, (event) => {
    write({ kind: "event", at: epochNow(), event });
  });
  const liveness = setInterval(() => {
    const { isLive, reasons } = judgeLiveness(handler.status, STALL_TIMEOUT_SECONDS * 1_000);
    if (!isLive) write({ kind: "notLive", at: epochNow(), reasons });
  }, LIVENESS_EVERY_MS);
  return {
    async tell(command) {
      if (command.do === "start") await handler.start();
      else if (command.do === "stop") await handler.stop({ drainTimeoutMs: command.drainTimeoutMs });
      else if (command.do === "pause") handler.pause(command.taskType);
      else if (command.do === "resume") handler.resume(command.taskType);
      else if (command.do === "concurrency") handler.setConcurrency(command.taskType, command.concurrency);
      return handler.status;
    },
    async close() {
      clearInterval(liveness);
      await handler.stop({ drainTimeoutMs: 0 });
    },
  };
}

/** The function of all task types. */
function runsAsTold(write: (entry: BookEntry) => void) {
  return async ({ ms, fails, back }: TaskInput, context: TaskContext) => {
    const { taskId, pollCount, retryCount, signal, task } = context;
    const begunAt = epochNow();
    write({ kind: "began", at: begunAt, taskId, pollCount });
    const end = (how: RunEnd, output?: object) => {
      const entry = { kind: "ended", at: epochNow(), taskId, pollCount, end: how } as const;
      write(output === undefined ? entry : { ...entry, output });
    };
    if (ms > 0) await passed(ms, signal);
    if (signal.aborted) {
      end("aborted");
      return { isLate: true };
    }
    if (retryCount < fails) {
      end("threw");
      throw new Error("as it was told");
    }
    const { calls = 0 } = task.outputData as { calls?: number };
    if (calls < back) {
      end("inProgress");
      return inProgress({ callbackAfterSeconds: calls % 2, output: { calls: calls + 1 } });
    }
    const output = { by: `${taskId} ${pollCount}`, at: begunAt };
    end("returned", output);
    return output;
  };
}

function passed(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

function writingLogger(write: (entry: BookEntry) => void): Logger {
  const at = (level: string) => (fields: object, message: string) => {
    write({ kind: "line", at: epochNow(), level, message, fields: plainFields(fields) });
  };
  return { debug: () => {}, info: at("info"), warn: at("warn"), error: at("error") };
}

function plainFields(fields: object): string {
  try {
    return JSON.stringify(fields, (_key, value: unknown) => {
      if (!(value instanceof Error)) return value;
      return process.env.CHAOS_STACKS === undefined ? `${value.name}: ${value.message}` : value.stack;
    });
  } catch {
    return "{}";
  }
}
