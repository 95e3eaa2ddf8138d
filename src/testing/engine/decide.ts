import type { JsonObject } from "../../conductor/types.js";
import { evaluateObject } from "./expressions.js";
import { isEnded, isSuccessful, isWorkerTask, isWorkflowEnded, type TaskRecord, type WorkflowRecord } from "./model.js";
import { schedule, scheduleRetry, scopeOf } from "./scheduling.js";
import { type EngineState, setStatus } from "./state.js";
import { expireTask, expireWorkflow, nextTimeoutAt, type WorkflowEnd } from "./timeouts.js";

/** Looks at what has changed in a workflow and does what follows from it: timeouts, retries, next tasks, the end. */
export function decide(state: EngineState, workflow: WorkflowRecord, now: number): void {
  if (isWorkflowEnded(workflow)) return;
  const end = expireWorkflow(workflow, now) ?? processPending(state, workflow, now);
  if (end) endWorkflow(state, workflow, end, now);
  else if (workflow.pending.size === 0) completeWorkflow(state, workflow, now);
  setWorkflowAlarm(state, workflow);
}

/** Rings when something of the workflow times out; to be called whenever that may have changed. */
export function setWorkflowAlarm(state: EngineState, workflow: WorkflowRecord): void {
  const next = isWorkflowEnded(workflow) ? undefined : nextTimeoutAt(workflow);
  if (next === undefined) {
    if (workflow.alarm) state.timeline.clearAlarm(workflow.alarm);
  } else if (workflow.alarm) {
    state.timeline.moveAlarm(workflow.alarm, next);
  } else {
    workflow.alarm = state.timeline.setAlarm(next, (now) => {
      decide(state, workflow, now);
    });
  }
}

function processPending(state: EngineState, workflow: WorkflowRecord, now: number): WorkflowEnd | undefined {
  if (workflow.workflow.status === "PAUSED") return undefined;
  let changed = true;
  while (changed) {
    changed = false;
    for (const record of [...workflow.pending]) {
      const end = expireTask(state, record, now);
      if (end) return end;
      if (record.task.taskType === "JOIN") evaluateJoin(state, record, now);
      if (!isEnded(record)) continue;
      changed = true;
      if (!isSuccessful(record)) {
        const verdict = retryOrGiveUp(state, record, now);
        if (verdict === "retried") continue;
        if (verdict !== "goOn") return verdict;
      }
      record.task.executed = true;
      workflow.pending.delete(record);
      if (record.runnable.next) schedule(state, workflow, record.runnable.next, now);
    }
  }
  return undefined;
}

function retryOrGiveUp(state: EngineState, record: TaskRecord, now: number): WorkflowEnd | "retried" | "goOn" {
  const { task, runnable, firstScheduledTime } = record;
  const { workflowTask, definition } = runnable;
  const retryCount = workflowTask.retryCount ?? definition.retryCount;
  const isRetriable = task.status === "FAILED" || task.status === "TIMED_OUT";
  if (!isRetriable || !isWorkerTask(record) || retryCount <= task.retryCount) {
    if (workflowTask.optional === true) {
      task.status = "COMPLETED_WITH_ERRORS";
      return "goOn";
    }
    if (workflowTask.permissive === true) return "goOn";
    const status = WORKFLOW_STATUS_AFTER[task.status] ?? "FAILED";
    return { status, reason: failureOf(record, status), task: record };
  }
  const elapsedSeconds = Math.floor((now - firstScheduledTime) / 1000);
  if (definition.totalTimeoutSeconds > 0 && elapsedSeconds >= definition.totalTimeoutSeconds) {
    return {
      status: task.status === "TIMED_OUT" ? "TIMED_OUT" : "FAILED",
      reason: `Task ${task.taskId}/${task.taskDefName} exceeded total timeout of ${definition.totalTimeoutSeconds} seconds (elapsed ${elapsedSeconds} seconds across all attempts). No further retries will be attempted.`,
      task: record,
    };
  }
  scheduleRetry(state, record, now);
  return "retried";
}

const WORKFLOW_STATUS_AFTER: Partial<Record<string, WorkflowEnd["status"]>> = {
  CANCELED: "TERMINATED",
  TIMED_OUT: "TIMED_OUT",
};

const failureOf = ({ task }: TaskRecord, status: string): string =>
  `Task ${task.taskId} failed with status: ${status} and reason: '${task.reasonForIncompletion ?? "null"}'`;

/** A join ends when all it waits for has ended; its output has theirs by reference name. */
function evaluateJoin(state: EngineState, join: TaskRecord, now: number): void {
  if (isEnded(join)) return;
  const references = join.runnable.workflowTask.joinOn ?? [];
  const joined = references.map((reference) => join.workflow.byReference.get(reference));
  const allEnded = joined.every((record) => record !== undefined && isEnded(record));
  const errors: string[] = [];
  for (const record of joined) {
    if (record === undefined) continue;
    const { optional, permissive } = record.runnable.workflowTask;
    if (Object.keys(record.output).length > 0) join.output[record.task.referenceTaskName] = record.output;
    if (!isSuccessful(record) && optional !== true && (permissive !== true || allEnded)) {
      join.task.reasonForIncompletion = record.task.reasonForIncompletion ?? "";
      setStatus(state, join, record.task.status === "CANCELED" ? "CANCELED" : "FAILED", now);
      break;
    }
    if (record.task.status === "COMPLETED_WITH_ERRORS") errors.push(`${record.task.taskDefName}/${record.task.taskId}`);
  }
  join.task.outputData = join.output;
  if (!allEnded || isEnded(join)) return;
  if (errors.length > 0) join.task.reasonForIncompletion = `${errors.join(" ")} completed with errors`;
  setStatus(state, join, errors.length > 0 ? "COMPLETED_WITH_ERRORS" : "COMPLETED", now);
}

function completeWorkflow(state: EngineState, workflow: WorkflowRecord, now: number): void {
  const failed = [...workflow.byReference.values()].filter((record) => !isSuccessful(record));
  if (failed.length > 0) {
    const reason = failed.map((record) => failureOf(record, record.task.status)).join(". ");
    endWorkflow(state, workflow, { status: "FAILED", reason }, now);
    return;
  }
  workflow.workflow.output = outputOf(workflow, workflow.tasks.at(-1));
  close(state, workflow, "COMPLETED", now);
}

/** Ends a workflow early: what is open of it is cancelled, and nobody tells the workers. */
export function endWorkflow(state: EngineState, workflow: WorkflowRecord, end: WorkflowEnd, now: number): void {
  workflow.workflow.output = outputOf(workflow, end.task ?? workflow.tasks.at(-1));
  workflow.workflow.reasonForIncompletion = end.reason;
  if (end.task) workflow.workflow.failedTaskId = end.task.task.taskId;
  for (const record of workflow.pending) {
    if (!isEnded(record)) setStatus(state, record, "CANCELED", now);
  }
  close(state, workflow, end.status, now);
}

function close(
  state: EngineState,
  record: WorkflowRecord,
  status: "COMPLETED" | WorkflowEnd["status"],
  now: number,
): void {
  const { workflow } = record;
  workflow.status = status;
  workflow.updateTime = now;
  workflow.endTime = now;
  const failed = record.tasks.filter(({ task }) => task.status.startsWith("FAILED")).map(({ task }) => task);
  workflow.failedReferenceTaskNames = [...new Set(failed.map(({ referenceTaskName }) => referenceTaskName))];
  workflow.failedTaskNames = [...new Set(failed.map(({ taskDefName }) => taskDefName))];
  record.pending.clear();
  state.runningWorkflows.get(workflow.workflowName)?.delete(record);
  setWorkflowAlarm(state, record);
  for (const listener of state.endListeners) listener(record);
}

function outputOf(workflow: WorkflowRecord, last: TaskRecord | undefined): JsonObject {
  const { outputParameters } = workflow.runnable.definition;
  if (Object.keys(outputParameters).length > 0) return evaluateObject(outputParameters, scopeOf(workflow));
  return last?.output ?? {};
}
