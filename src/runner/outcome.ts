import { inspect, types } from "node:util";
import { clip, clipMiddle } from "../base/clip.js";
import { isBrandedAs } from "../base/errors.js";
import { isObject } from "../conductor/reply.js";
import type { JsonObject, TaskLog, TaskResult } from "../conductor/types.js";
import { isInProgress } from "../worker/in-progress.js";

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

const CANNOT_BE_SERIALISED = "the output cannot be serialised";
/** Of a reason, for events and log lines; the server keeps less. */
const MAX_REASON_CHARACTERS = 2_000;
const MAX_STACK_CHARACTERS = 16_000;

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
      stack = typeof thrown.stack === "string" ? clipMiddle(thrown.stack, MAX_STACK_CHARACTERS) : undefined;
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
  reason = clip(reason, MAX_REASON_CHARACTERS);
  return { kind: "failed", terminal, reason, error: thrown, ...(stack === undefined ? {} : { stack }) };
}

function badOutput(what: string, value: unknown): Outcome {
  return { kind: "failed", terminal: true, reason: `${what} must be an object, got ${describe(value)}` };
}

function vanished(value: unknown): Outcome {
  const reason = `${CANNOT_BE_SERIALISED}: JSON writes nothing of ${describe(value)}`;
  return { kind: "failed", terminal: true, reason };
}

/** The reason of a failure for what JSON cannot write. */
export function unserialisable(error: unknown): string {
  return clip(`${CANNOT_BE_SERIALISED}: ${threwReason(error)}`, MAX_REASON_CHARACTERS);
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
  if (typeof value === "string") return clip(value, MAX_REASON_CHARACTERS);
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
