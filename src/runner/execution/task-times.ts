import { isObject } from "../../conductor/reply.js";
import type { Task, TaskDef } from "../../conductor/types.js";

/** How long one attempt may take, and what the server expects meanwhile. */
export interface TaskTimes {
  /** From now until the attempt is ended by us, in ms. */
  readonly budgetMs: number;
  /** What set it, for the message: `executionTimeoutMs of 30000 ms`. */
  readonly budgetReason: string;
  /** Without a sign from us for this long the server times the attempt out, in ms. */
  readonly responseTimeoutMs: number;
}

/** The server's own response timeout where a definition names none, in ms. */
const DEFAULT_RESPONSE_TIMEOUT_MS = 3_600_000;
/** Of a server's timeout, for the delivery of what we report: see {@link marginMs}. */
const MAX_MARGIN_MS = 5_000;
const MARGIN_SHARE = 0.25;

/** What is kept free at the end of a server's timeout so that our report arrives before it, in ms. */
export function marginMs(timeoutMs: number): number {
  return Math.min(timeoutMs * MARGIN_SHARE, MAX_MARGIN_MS);
}

/**
 * The deadline of an attempt: the worker's `executionTimeoutMs`, else the definition's `timeoutSeconds`, else
 * `responseTimeoutSeconds`, the last two less a margin for delivery; never beyond `timeoutSeconds`.
 */
export function taskTimes(task: Task, executionTimeoutMs: number | undefined): TaskTimes {
  const definition = definitionOf(task);
  const responseTimeoutMs =
    positive(task.responseTimeoutSeconds) ??
    positive(definition?.responseTimeoutSeconds) ??
    DEFAULT_RESPONSE_TIMEOUT_MS;
  // A timeout that only alerts ends nothing.
  const timeoutMs = definition?.timeoutPolicy === "ALERT_ONLY" ? undefined : positive(definition?.timeoutSeconds);
  // Both times are the server's own, so its clock need not agree with ours.
  const goneMs = Math.max(0, task.startTime > 0 && task.updateTime > 0 ? task.updateTime - task.startTime : 0);
  const leftMs = timeoutMs === undefined ? Infinity : Math.max(1, timeoutMs - goneMs - marginMs(timeoutMs));

  if (executionTimeoutMs !== undefined && executionTimeoutMs <= leftMs) {
    return {
      budgetMs: executionTimeoutMs,
      budgetReason: `executionTimeoutMs of ${executionTimeoutMs} ms`,
      responseTimeoutMs,
    };
  }
  if (timeoutMs !== undefined) {
    return { budgetMs: leftMs, budgetReason: `timeoutSeconds of ${timeoutMs / 1000} s`, responseTimeoutMs };
  }
  return {
    budgetMs: responseTimeoutMs - marginMs(responseTimeoutMs),
    budgetReason: `responseTimeoutSeconds of ${responseTimeoutMs / 1000} s`,
    responseTimeoutMs,
  };
}

/** The definition a polled task carries. */
export function definitionOf(task: Task): TaskDef | undefined {
  if (task.taskDefinition !== undefined) return task.taskDefinition;
  const inner: unknown = isObject(task.workflowTask) ? task.workflowTask.taskDefinition : undefined;
  return isObject(inner) ? (inner as unknown as TaskDef) : undefined;
}

/** The task may be attempted only once. The workflow's own count wins over the definition's. */
export function mustNotRunTwice(task: Task): boolean {
  const ofWorkflow: unknown = isObject(task.workflowTask) ? task.workflowTask.retryCount : undefined;
  return (typeof ofWorkflow === "number" ? ofWorkflow : definitionOf(task)?.retryCount) === 0;
}

/**
 * The task would be timed out the moment it is back in the queue: `pollTimeoutSeconds` counts from its first
 * scheduling, whoever had it meanwhile. `heldMs`: how long we have it.
 */
export function pollTimeoutIsOver(task: Task, heldMs: number): boolean {
  const timeoutMs = positive(definitionOf(task)?.pollTimeoutSeconds);
  if (timeoutMs === undefined || !(task.scheduledTime > 0)) return false;
  const waitedMs = Math.max(0, task.updateTime - task.scheduledTime);
  return waitedMs + heldMs + Math.min(1_000, timeoutMs * MARGIN_SHARE) >= timeoutMs;
}

/** Seconds as ms; undefined for what is no time. */
function positive(seconds: unknown): number | undefined {
  return typeof seconds === "number" && seconds > 0 && Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
