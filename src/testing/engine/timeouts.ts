import type { WorkflowStatus } from "../../conductor/types.js";
import { isEnded, isWorkerTask, type TaskRecord, type WorkflowRecord } from "./model.js";
import { type EngineState, setStatus } from "./state.js";

/** Why a workflow ends before its last task. */
export interface WorkflowEnd {
  readonly status: Extract<WorkflowStatus, "FAILED" | "TIMED_OUT" | "TERMINATED">;
  readonly reason: string;
  readonly task?: TaskRecord;
}

interface Due {
  readonly at: number;
  readonly reason: (now: number) => string;
  /** The response timeout always ends the attempt; the others ask the definition. */
  readonly followsPolicy: boolean;
}

/** The timeouts that run for a task now, in the order in which the server looks at them. */
function duesOf({ task, runnable: { definition }, firstScheduledTime }: TaskRecord): Due[] {
  const dues: Due[] = [];
  const policy = definition.timeoutPolicy;
  const startDelayMs = task.startDelayInSeconds * 1000;
  const callbackMs = task.callbackAfterSeconds * 1000;
  const pollTimeoutSeconds = definition.pollTimeoutSeconds ?? 0;
  if (definition.totalTimeoutSeconds > 0) {
    dues.push({
      at: firstScheduledTime + definition.totalTimeoutSeconds * 1000,
      reason: (now) =>
        `Task ${task.taskDefName}/${task.taskId} exceeded total timeout of ${definition.totalTimeoutSeconds} seconds (elapsed ${seconds(now - firstScheduledTime)} seconds across all attempts including retry delays). Timeout policy: ${policy}`,
      followsPolicy: true,
    });
  }
  if (definition.timeoutSeconds > 0 && task.startTime > 0) {
    const from = task.startTime + startDelayMs;
    dues.push({
      at: from + definition.timeoutSeconds * 1000,
      reason: (now) =>
        `Task timed out after ${seconds(now - from)} seconds. Timeout configured as ${definition.timeoutSeconds} seconds. Timeout policy configured to ${policy}`,
      followsPolicy: true,
    });
  }
  if (pollTimeoutSeconds > 0 && task.status === "SCHEDULED") {
    const from = task.scheduledTime + startDelayMs;
    dues.push({
      at: from + callbackMs + pollTimeoutSeconds * 1000,
      reason: (now) =>
        `Task poll timed out after ${seconds(now - from)} seconds. Poll timeout configured as ${pollTimeoutSeconds} seconds. Timeout policy configured to ${policy}`,
      followsPolicy: true,
    });
  }
  if (task.status === "IN_PROGRESS") {
    dues.push({
      at: task.updateTime + callbackMs + definition.responseTimeoutSeconds * 1000,
      reason: () =>
        `responseTimeout: ${definition.responseTimeoutSeconds} exceeded for the taskId: ${task.taskId} with Task Definition: ${task.taskDefName}`,
      followsPolicy: false,
    });
  }
  return dues;
}

/** Ends the attempt if one of its timeouts has passed. With the policy TIME_OUT_WF that ends the workflow. */
export function expireTask(state: EngineState, record: TaskRecord, now: number): WorkflowEnd | undefined {
  if (!isWorkerTask(record)) return undefined;
  for (const due of isEnded(record) ? [] : duesOf(record)) {
    if (due.at > now) continue;
    const policy = due.followsPolicy ? record.runnable.definition.timeoutPolicy : "RETRY";
    if (policy === "ALERT_ONLY") continue;
    const reason = due.reason(now);
    setStatus(state, record, "TIMED_OUT", now);
    record.task.reasonForIncompletion = reason;
    return policy === "TIME_OUT_WF" ? { status: "TIMED_OUT", reason, task: record } : undefined;
  }
  return undefined;
}

export function expireWorkflow({ workflow, runnable }: WorkflowRecord, now: number): WorkflowEnd | undefined {
  const { timeoutSeconds, timeoutPolicy } = runnable.definition;
  const elapsedMs = now - workflow.createTime;
  if (timeoutSeconds <= 0 || timeoutPolicy === "ALERT_ONLY" || elapsedMs < timeoutSeconds * 1000) return undefined;
  const reason = `Workflow timed out after ${seconds(elapsedMs)} seconds. Timeout configured as ${timeoutSeconds} seconds. Timeout policy configured to ${timeoutPolicy}`;
  return { status: "TIMED_OUT", reason };
}

/** When something of this workflow times out next; `undefined` when nothing will. */
export function nextTimeoutAt({ workflow, runnable, pending }: WorkflowRecord): number | undefined {
  let next = Infinity;
  const { timeoutSeconds, timeoutPolicy } = runnable.definition;
  if (timeoutSeconds > 0 && timeoutPolicy === "TIME_OUT_WF") next = workflow.createTime + timeoutSeconds * 1000;
  if (workflow.status !== "PAUSED") {
    for (const record of pending) {
      if (isEnded(record) || !isWorkerTask(record)) continue;
      const alertOnly = record.runnable.definition.timeoutPolicy === "ALERT_ONLY";
      for (const due of duesOf(record)) {
        if (!(alertOnly && due.followsPolicy)) next = Math.min(next, due.at);
      }
    }
  }
  return next === Infinity ? undefined : next;
}

const seconds = (ms: number): number => Math.floor(ms / 1000);
