import { isObject } from "./reply.js";
import type { Task } from "./types.js";

/** A task that reached us. With `problem`, it can be named to the server and cannot be worked on. */
export interface ReceivedTask {
  readonly task: Task;
  readonly problem: string | undefined;
}

/**
 * A task as it came over the wire, or `undefined` when it has no ids: nobody could report on it. What the server leaves
 * out is filled in; what has a type it cannot have is named in `problem`.
 */
export function asHandOut(value: unknown): ReceivedTask | undefined {
  if (!isObject(value)) return undefined;
  if (!isId(value.taskId) || !isId(value.workflowInstanceId)) return undefined;
  const task = value as unknown as Task;
  let problem: string | undefined;
  if (value.inputData === undefined || value.inputData === null) task.inputData = {};
  else if (!isObject(value.inputData)) problem = `inputData is no object but ${kindOf(value.inputData)}`;
  if (!isObject(value.outputData)) task.outputData = {};
  for (const field of NUMBERS) {
    const number = value[field];
    if (typeof number === "number") continue;
    if (number !== undefined && number !== null) problem ??= `${field} is no number but ${kindOf(number)}`;
    (task as Record<string, unknown>)[field] = 0;
  }
  if (value.taskDefinition !== undefined && !isObject(value.taskDefinition)) delete task.taskDefinition;
  return { task, problem };
}

const NUMBERS = [
  "retryCount",
  "pollCount",
  "responseTimeoutSeconds",
  "scheduledTime",
  "startTime",
  "updateTime",
  "queueWaitTime",
] as const;

function isId(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function kindOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
}
