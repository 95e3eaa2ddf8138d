import { randomUUID } from "node:crypto";
import type { TaskResult, TaskResultStatus } from "../../conductor/types.js";
import type { UpdateIgnoredReason } from "../ledger.js";
import { decide } from "./decide.js";
import { isEnded, isWorkerTask, isWorkflowEnded, type TaskRecord } from "./model.js";
import { fault, notFound, Refusal } from "./refusal.js";
import { enqueue, type EngineState, setStatus } from "./state.js";

/** A task result as it was read from a request. */
export type ReceivedResult = Omit<TaskResult, "status"> & {
  readonly status: TaskResultStatus | undefined;
  /** Of the request's body, in bytes. */
  readonly size: number;
};

const KEPT_LOGS = 10;
const KEPT_REASON_LENGTH = 500;
/** A larger output is stored apart from the task. */
const OUTPUT_THRESHOLD_BYTES = 3072 * 1024;
/** A larger output fails the task. */
const OUTPUT_LIMIT_BYTES = 10_240 * 1024;

/** Takes a result, notes it in the ledger and gives the task; or throws the refusal. */
export function updateTask(
  state: EngineState,
  result: ReceivedResult,
  endpoint: "v1" | "v2",
  now: number,
): TaskRecord | undefined {
  try {
    const { record, ignoredReason } = apply(state, result, now);
    note(state, result, endpoint, ignoredReason, 200, now);
    if (record && ignoredReason === undefined && result.extendLease !== true) decide(state, record.workflow, now);
    return result.extendLease === true ? undefined : record;
  } catch (error) {
    if (error instanceof Refusal) {
      note(state, result, endpoint, refusedBecause(error), error.status, now);
    }
    throw error;
  }
}

/** A line in the ledger for an update that could not be read as one, or was refused. */
export function note(
  state: EngineState,
  result: ReceivedResult,
  endpoint: "v1" | "v2",
  ignoredReason: UpdateIgnoredReason | undefined,
  answeredStatus: number,
  now: number,
): void {
  state.ledger.push({
    kind: "update",
    at: now,
    taskId: result.taskId,
    workflowInstanceId: result.workflowInstanceId,
    status: result.status,
    workerId: result.workerId,
    extendLease: result.extendLease === true,
    endpoint,
    applied: ignoredReason === undefined,
    ignoredReason,
    answeredStatus,
  });
}

const refusedBecause = (refusal: Refusal): UpdateIgnoredReason => {
  if (refusal.status !== 404) return "invalid request";
  return refusal.message.includes("workflow") ? "no such workflow" : "no such task";
};

interface Applied {
  readonly record: TaskRecord;
  readonly ignoredReason: UpdateIgnoredReason | undefined;
}

function apply(state: EngineState, result: ReceivedResult, now: number): Applied {
  if (result.extendLease === true) return extendLease(state, result, now);
  const workflow = state.workflows.get(result.workflowInstanceId);
  if (workflow === undefined) throw notFound(`No such workflow found by id: ${result.workflowInstanceId}`);
  const record = state.tasks.get(result.taskId);
  if (record === undefined) throw notFound(`No such task found by id: ${result.taskId}`);
  if (isEnded(record)) return { record, ignoredReason: "task already ended" };
  if (isWorkflowEnded(workflow)) return { record, ignoredReason: "workflow already ended" };
  // The server stumbles over a missing status only here.
  if (result.status === undefined) throw fault('Cannot invoke "Status.name()" because the status is null');
  store(record, result);
  if (result.status === "IN_PROGRESS" && isWorkerTask(record)) {
    setStatus(state, record, "SCHEDULED", now);
    enqueue(state, record, record.task.callbackAfterSeconds * 1000, now);
  } else {
    setStatus(state, record, result.status, now);
  }
  storeOutput(state, record, result, now);
  addLogs(state, record.task.taskId, result.logs ?? [], now);
  return { record, ignoredReason: undefined };
}

function extendLease(state: EngineState, result: ReceivedResult, now: number): Applied {
  const record = state.tasks.get(result.taskId);
  if (record === undefined) throw notFound(`No such task found by id: ${result.taskId}`);
  if (isEnded(record)) return { record, ignoredReason: "task already ended" };
  // The alarm of the workflow may stay: it rings early, finds nothing due, and is set anew.
  record.task.updateTime = now;
  return { record, ignoredReason: undefined };
}

/** Whatever the result leaves out is overwritten with nothing. There is no check of who sends it. */
function store({ task }: TaskRecord, result: ReceivedResult): void {
  task.callbackAfterSeconds = result.callbackAfterSeconds ?? 0;
  if (result.workerId === undefined) delete task.workerId;
  else task.workerId = result.workerId;
  if (result.reasonForIncompletion === undefined) delete task.reasonForIncompletion;
  else task.reasonForIncompletion = result.reasonForIncompletion.slice(0, KEPT_REASON_LENGTH);
}

function storeOutput(state: EngineState, record: TaskRecord, result: ReceivedResult, now: number): void {
  const { task } = record;
  const output = result.outputData ?? {};
  record.output = output;
  task.outputData = output;
  if (result.externalOutputPayloadStoragePath !== undefined) {
    task.externalOutputPayloadStoragePath = result.externalOutputPayloadStoragePath;
  }
  if (result.size <= OUTPUT_THRESHOLD_BYTES) return;
  const size = Buffer.byteLength(JSON.stringify(output));
  if (size <= OUTPUT_THRESHOLD_BYTES) return;
  task.outputData = {};
  if (size <= OUTPUT_LIMIT_BYTES) {
    task.externalOutputPayloadStoragePath = `task/output/${randomUUID()}.json`;
    return;
  }
  record.output = {};
  setStatus(state, record, "FAILED_WITH_TERMINAL_ERROR", now);
  task.reasonForIncompletion = `The payload size: ${size} of task: ${task.taskId} in workflow: ${task.workflowInstanceId}  is greater than the permissible limit: ${OUTPUT_LIMIT_BYTES} bytes`;
}

/** Keeps the first ten; the rest is dropped without a word. */
export function addLogs(
  state: EngineState,
  taskId: string,
  logs: readonly { log: string; createdTime?: number }[],
  now: number,
): void {
  if (logs.length === 0) return;
  const stored = logs
    .slice(0, KEPT_LOGS)
    .map(({ log, createdTime }) => ({ log, taskId, createdTime: createdTime ?? now }));
  const existing = state.logs.get(taskId);
  if (existing) existing.push(...stored);
  else state.logs.set(taskId, stored);
}
