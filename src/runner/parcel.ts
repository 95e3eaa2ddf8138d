import { Buffer } from "node:buffer";
import { clip } from "../base/clip.js";
import type { JsonObject, TaskLog, TaskResult } from "../conductor/types.js";
import type { InFlightTask } from "./in-flight.js";
import { unserialisable, type Outcome } from "./outcome.js";
import { joinLogs } from "./task-log.js";

/** The server keeps 500 characters of a reason. */
const MAX_REASON_CHARACTERS = 500;
/** The server's limit for a task's output: beyond it, it ends the task itself and keeps nothing. */
export const MAX_RESULT_BYTES = 10_240 * 1024;

/** A result as it goes over the wire. Nothing else is kept of it while it waits: see {@link resultOf}. */
export interface Parcel {
  readonly status: TaskResult["status"];
  /** As JSON. Bytes, and no text: encoded once, however often it is sent, and their number is known. */
  readonly body: Buffer;
}

/** What a parcel says. Made anew with each call, for the few who ask: as objects it takes many times as much memory. */
export function resultOf({ body }: Parcel): TaskResult {
  return JSON.parse(body.toString()) as TaskResult;
}

/** How a task leaves that is to go back into its queue. */
export type WayBack =
  /** The update that puts it back, as JSON. */
  | { readonly kind: "handBack"; readonly body: Buffer }
  /** Its output cannot be sent, and so it cannot go back: a terminal failure that says why. */
  | { readonly kind: "failure"; readonly parcel: Parcel };

/**
 * The result that reports `outcome`, serialised. What cannot be serialised, or is more than the server takes, becomes a
 * terminal failure that says so.
 */
export function toParcel(entry: InFlightTask, outcome: Extract<Outcome, { kind: "completed" | "failed" }>): Parcel {
  const serialised = serialise(() => toResult(entry, outcome));
  return typeof serialised === "string" ? plainFailure(entry, serialised) : serialised;
}

/** The update that puts a task back into the queue, serialised. It replaces the stored output, so that is sent along. */
export function toHandBack(
  entry: InFlightTask,
  options: {
    readonly callbackAfterSeconds: number;
    /** Default: what the task had when it came. */
    readonly output?: JsonObject | undefined;
    readonly logs?: readonly TaskLog[] | undefined;
  },
): WayBack {
  const { callbackAfterSeconds, output = entry.task.outputData, logs = [] } = options;
  const serialised = serialise(() => {
    const lines = [...logs, ...(entry.logs?.takeLogs() ?? [])];
    return {
      ...identity(entry),
      status: "IN_PROGRESS",
      callbackAfterSeconds,
      outputData: output,
      ...(lines.length === 0 ? {} : { logs: joinLogs(lines) }),
    };
  });
  if (typeof serialised === "string") return { kind: "failure", parcel: plainFailure(entry, serialised) };
  return { kind: "handBack", body: serialised.body };
}

/** The update that makes the server wait a response timeout longer for the task, and changes nothing else. */
export function leaseExtension(entry: InFlightTask): TaskResult {
  return { ...identity(entry), status: "IN_PROGRESS", extendLease: true };
}

/** Or the reason for which it cannot be sent. */
function serialise(make: () => TaskResult): Parcel | string {
  let result: TaskResult;
  let body: Buffer;
  try {
    result = make();
    body = Buffer.from(JSON.stringify(result));
  } catch (error) {
    return unserialisable(error);
  }
  if (body.length > MAX_RESULT_BYTES) {
    return `the output is too large: ${body.length} bytes, and the server takes at most ${MAX_RESULT_BYTES}`;
  }
  return { status: result.status, body };
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
  return { status: result.status, body: Buffer.from(JSON.stringify(result)) };
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
  let logs = entry.logs?.takeLogs(outcome.kind === "failed" ? outcome.stack : undefined);
  if (outcome.logs !== undefined) logs = [...outcome.logs, ...(logs ?? [])];
  if (outcome.kind === "failed") result.reasonForIncompletion = clip(outcome.reason, MAX_REASON_CHARACTERS);
  if (logs !== undefined) result.logs = joinLogs(logs);
  if (outcome.storagePath !== undefined) result.externalOutputPayloadStoragePath = outcome.storagePath;
  return result;
}
