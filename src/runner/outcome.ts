import { Buffer } from "node:buffer";
import { inspect, types } from "node:util";
import { isObject } from "../conductor/reply.js";
import type { JsonObject, TaskLog, TaskResult } from "../conductor/types.js";
import { isBrandedAs } from "../base/errors.js";
import { isInProgress } from "../worker/in-progress.js";
import { joinLogs } from "./execution/context.js";
import type { InFlightTask } from "./in-flight.js";

/** What became of an execution, as a value. */
export type Outcome =
  | {
      readonly kind: "completed";
      readonly output: JsonObject;
      readonly logs?: readonly TaskLog[];
      /** Where the function has put the output itself. */
      readonly storagePath?: string;
    }
  | {
      readonly kind: "inProgress";
      readonly callbackAfterSeconds: number;
      /** Undefined: the stored output stays. */
      readonly output: JsonObject | undefined;
      readonly logs?: readonly TaskLog[];
    }
  | {
      readonly kind: "failed";
      /** True: no retry. */
      readonly terminal: boolean;
      readonly reason: string;
      /** What was thrown, or what ended the function. */
      readonly error?: unknown;
      readonly stack?: string;
      readonly output?: JsonObject;
      readonly logs?: readonly TaskLog[];
      readonly storagePath?: string;
    }
  /** The worker stops, and the task goes back to the queue. */
  | { readonly kind: "handBack" }
  /** The server has ended the task meanwhile. */
  | { readonly kind: "moot"; readonly reason: string };

/** The server keeps 500 characters of a reason. */
const MAX_REASON_CHARACTERS = 500;
const CANNOT_BE_SERIALISED = "the output cannot be serialised";
const MAX_STACK_CHARACTERS = 16_000;
/** The server's limit for a task's output: beyond it, it ends the task itself and keeps nothing. */
export const MAX_RESULT_BYTES = 10_240 * 1024;

/** The outcome of a function that returned `value`. */
export function returned(value: unknown): Outcome {
  if (value === undefined || value === null) return { kind: "completed", output: {} };
  if (isInProgress(value)) {
    if (value.output !== undefined && !isObject(value.output))
      return badOutput("the output given to inProgress", value.output);
    return { kind: "inProgress", callbackAfterSeconds: value.callbackAfterSeconds, output: value.output };
  }
  // What JSON makes of it decides: a Date is an object here and a string there.
  let plain: unknown;
  try {
    plain = hasToJson(value) ? value.toJSON() : types.isBoxedPrimitive(value) ? value.valueOf() : value;
    if (vanishes(plain)) return vanished(value);
  } catch (error) {
    return { kind: "failed", terminal: true, reason: unserialisable(error), error };
  }
  if (isObject(plain)) return { kind: "completed", output: plain };
  return { kind: "completed", output: { result: plain } };
}

/**
 * JSON writes nothing of it although it holds something: a Map, a Set, an Error, a Response, a function. A task that is
 * completed with that has lost its output.
 */
function vanishes(value: unknown): boolean {
  if (typeof value === "function" || typeof value === "symbol") return true;
  if (!isObject(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return false;
  if (types.isNativeError(value)) return true;
  return Object.prototype.toString.call(value) !== "[object Object]" && Object.keys(value).length === 0;
}

function hasToJson(value: unknown): value is { toJSON(): unknown } {
  return typeof value === "object" && value !== null && typeof (value as { toJSON?: unknown }).toJSON === "function";
}

/** The outcome of a function of the official SDK's shape, which returns a whole task result. */
export function returnedTaskResult(value: unknown): Outcome {
  if (isInProgress(value)) return returned(value);
  if (!isObject(value))
    return { kind: "failed", terminal: false, reason: `execute returned no task result but ${describe(value)}` };
  const result = value as Partial<TaskResult>;
  if (result.outputData !== undefined && result.outputData !== null && !isObject(result.outputData)) {
    return badOutput("outputData", result.outputData);
  }
  if (vanishes(result.outputData)) return vanished(result.outputData);
  const output = result.outputData ?? {};
  const logs = Array.isArray(result.logs) ? { logs: (result.logs as unknown[]).map(asTaskLog) } : {};
  const { externalOutputPayloadStoragePath: at } = result as { externalOutputPayloadStoragePath?: unknown };
  const more = { ...logs, ...(typeof at === "string" && at !== "" ? { storagePath: at } : {}) };
  const reason =
    asReason(result.reasonForIncompletion) ?? `the worker returned ${describe(result.status)} without a reason`;
  switch (result.status) {
    case "COMPLETED":
      return { kind: "completed", output, ...more };
    case "IN_PROGRESS":
      return {
        kind: "inProgress",
        callbackAfterSeconds: seconds(result.callbackAfterSeconds),
        output: result.outputData,
        ...logs,
      };
    case "FAILED":
    case "CANCELED":
      return { kind: "failed", terminal: false, reason, output, ...more };
    case "FAILED_WITH_TERMINAL_ERROR":
      return { kind: "failed", terminal: true, reason, output, ...more };
    case undefined:
    default:
      return {
        kind: "failed",
        terminal: false,
        reason: `execute returned the status ${describe(result.status)}, which a worker cannot report`,
      };
  }
}

/** The outcome of a function that threw `thrown`, which may be anything. Never throws itself. */
export function threw(thrown: unknown): Outcome {
  let reason: string;
  let stack: string | undefined;
  let terminal = false;
  try {
    terminal =
      isBrandedAs(thrown, "NonRetryableError") ||
      hasCode(thrown, "NON_RETRYABLE") ||
      hasName(thrown, "NonRetryableException");
    if (thrown instanceof Error) {
      const { message, name } = thrown as { message: unknown; name: unknown };
      const said = [message, name].find((text) => typeof text === "string" && text !== "");
      reason = typeof said === "string" ? said : `the function threw ${describe(thrown)}`;
      stack = typeof thrown.stack === "string" ? thrown.stack.slice(0, MAX_STACK_CHARACTERS) : undefined;
    } else if (isObject(thrown) && typeof thrown.message === "string" && thrown.message !== "") {
      reason = thrown.message;
    } else if (typeof thrown === "string" && thrown !== "") {
      reason = thrown;
    } else {
      reason = `the function threw ${describe(thrown)}`;
    }
  } catch {
    reason = "the function threw something that cannot be looked at";
  }
  return { kind: "failed", terminal, reason, error: thrown, ...(stack === undefined ? {} : { stack }) };
}

/** A result as it goes over the wire. */
export interface Parcel {
  readonly result: TaskResult;
  /** As JSON. Bytes, and no text: encoded once, however often it is sent, and their number is known. */
  readonly body: Buffer;
}

/**
 * The result that reports `outcome`, serialised. What cannot be serialised, or is more than the server takes, becomes a
 * terminal failure that says so.
 */
export function toParcel(entry: InFlightTask, outcome: Extract<Outcome, { kind: "completed" | "failed" }>): Parcel {
  return serialise(entry, () => toResult(entry, outcome));
}

/**
 * The update that puts a task back into the queue, serialised. It replaces the stored output, so that is sent along. As
 * with {@link toParcel} it may turn out as a terminal failure: look at its status.
 */
export function toHandBack(
  entry: InFlightTask,
  options: {
    readonly callbackAfterSeconds: number;
    /** Default: what the task had when it came. */
    readonly output?: JsonObject | undefined;
    readonly logs?: readonly TaskLog[] | undefined;
  },
): Parcel {
  const { callbackAfterSeconds, output = entry.task.outputData, logs = [] } = options;
  return serialise(entry, () => {
    const lines = [...logs, ...(entry.context?.takeLogs() ?? [])];
    return {
      ...identity(entry),
      status: "IN_PROGRESS",
      callbackAfterSeconds,
      outputData: output,
      ...(lines.length === 0 ? {} : { logs: joinLogs(lines) }),
    };
  });
}

function serialise(entry: InFlightTask, make: () => TaskResult): Parcel {
  let result: TaskResult;
  let body: Buffer;
  try {
    result = make();
    body = Buffer.from(JSON.stringify(result));
  } catch (error) {
    return plainFailure(entry, unserialisable(error));
  }
  if (body.length > MAX_RESULT_BYTES) {
    return plainFailure(
      entry,
      `the output is too large: ${body.length} bytes, and the server takes at most ${MAX_RESULT_BYTES}`,
    );
  }
  return { result, body };
}

function identity(entry: InFlightTask): { taskId: string; workflowInstanceId: string; workerId: string } {
  const { taskId, workflowInstanceId } = entry.task;
  return { taskId, workflowInstanceId, workerId: entry.worker.workerId };
}

/** A terminal failure that carries nothing that could go wrong again. */
export function plainFailure(entry: InFlightTask, reason: string): Parcel {
  const result: TaskResult = {
    ...identity(entry),
    status: "FAILED_WITH_TERMINAL_ERROR",
    reasonForIncompletion: clip(reason, MAX_REASON_CHARACTERS),
    outputData: {},
  };
  return { result, body: Buffer.from(JSON.stringify(result)) };
}

function toResult(entry: InFlightTask, outcome: Extract<Outcome, { kind: "completed" | "failed" }>): TaskResult {
  const { taskId, workflowInstanceId } = entry.task;
  // Spelled out: spreading the ids costs a microsecond a task.
  const result: TaskResult = {
    taskId,
    workflowInstanceId,
    workerId: entry.worker.workerId,
    status: outcome.kind === "completed" ? "COMPLETED" : outcome.terminal ? "FAILED_WITH_TERMINAL_ERROR" : "FAILED",
    outputData: outcome.output ?? {},
  };
  let logs = entry.context?.takeLogs(outcome.kind === "failed" ? outcome.stack : undefined);
  if (outcome.logs !== undefined) logs = [...outcome.logs, ...(logs ?? [])];
  if (outcome.kind === "failed") result.reasonForIncompletion = clip(outcome.reason, MAX_REASON_CHARACTERS);
  if (logs !== undefined) result.logs = joinLogs(logs);
  if (outcome.storagePath !== undefined) result.externalOutputPayloadStoragePath = outcome.storagePath;
  return result;
}

function badOutput(what: string, value: unknown): Outcome {
  return { kind: "failed", terminal: true, reason: `${what} must be an object, got ${describe(value)}` };
}

function vanished(value: unknown): Outcome {
  const reason = `${CANNOT_BE_SERIALISED}: JSON writes nothing of ${describe(value)}`;
  return { kind: "failed", terminal: true, reason };
}

function unserialisable(error: unknown): string {
  return `${CANNOT_BE_SERIALISED}: ${threwReason(error)}`;
}

function threwReason(thrown: unknown): string {
  const outcome = threw(thrown);
  return outcome.kind === "failed" ? outcome.reason : "";
}

function describe(value: unknown): string {
  try {
    return clip(inspect(value, { depth: 1, maxStringLength: 200, maxArrayLength: 10, breakLength: Infinity }), 300);
  } catch {
    return `a value of type ${typeof value}`;
  }
}

function asReason(value: unknown): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value === "string") return value;
  return value instanceof Error ? threwReason(value) : describe(value);
}

function asTaskLog(value: unknown): TaskLog {
  if (!isObject(value)) return { log: describe(value), createdTime: 0 };
  const { log, createdTime } = value;
  return {
    log: typeof log === "string" ? log : describe(log),
    createdTime: typeof createdTime === "number" ? createdTime : 0,
  };
}

function seconds(value: unknown): number {
  return typeof value === "number" && value > 0 && Number.isFinite(value) ? Math.ceil(value) : 0;
}

function hasCode(value: unknown, code: string): boolean {
  return value instanceof Error && (value as { code?: unknown }).code === code;
}

function hasName(value: unknown, name: string): boolean {
  return value instanceof Error && value.name === name;
}

function clip(text: string, maxCharacters: number): string {
  return text.length <= maxCharacters ? text : `${text.slice(0, maxCharacters - 1)}…`;
}
