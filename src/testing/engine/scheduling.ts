import { randomUUID } from "node:crypto";
import { queueNameOf } from "../../conductor/queue-name.js";
import type { JsonObject, Task } from "../../conductor/types.js";
import { evaluateObject, type Scope } from "./expressions.js";
import type { RunnableTask } from "./metadata.js";
import type { TaskRecord, WorkflowRecord } from "./model.js";
import { retryDelaySeconds, retryJitterMs } from "./retries.js";
import { enqueue, type EngineState, registerTask, setStatus } from "./state.js";

/** A domain whose workers polled this long ago still counts as active. */
const ACTIVE_DOMAIN_MS = 10_000;

/** Schedules a task of the workflow; a fork with the first task of each branch and its join. */
export function schedule(state: EngineState, workflow: WorkflowRecord, runnable: RunnableTask, now: number): void {
  if (workflow.byReference.has(runnable.workflowTask.taskReferenceName)) return;
  switch (runnable.workflowTask.type ?? "SIMPLE") {
    case "FORK_JOIN":
      scheduleFork(state, workflow, runnable, now);
      break;
    case "JOIN":
      scheduleJoin(state, workflow, runnable, now);
      break;
    default:
      scheduleWorkerTask(state, workflow, runnable, now);
  }
}

function scheduleFork(state: EngineState, workflow: WorkflowRecord, runnable: RunnableTask, now: number): void {
  const fork = createRecord(workflow, runnable, { ...systemTask("FORK"), inputData: {} }, now);
  add(state, fork, false);
  fork.task.startTime = now;
  setStatus(state, fork, "COMPLETED", now);
  fork.task.executed = true;
  workflow.pending.delete(fork);
  for (const branch of runnable.branches) schedule(state, workflow, branch, now);
  if (runnable.next) schedule(state, workflow, runnable.next, now);
}

function scheduleJoin(state: EngineState, workflow: WorkflowRecord, runnable: RunnableTask, now: number): void {
  const inputData = { joinOn: runnable.workflowTask.joinOn ?? [] };
  const join = createRecord(workflow, runnable, { ...systemTask("JOIN"), inputData }, now);
  add(state, join, false);
  join.task.startTime = now;
  setStatus(state, join, "IN_PROGRESS", now);
}

const systemTask = (type: "FORK" | "JOIN") => ({ taskType: type, taskDefName: type, rateLimitFrequencyInSeconds: 0 });

function scheduleWorkerTask(state: EngineState, workflow: WorkflowRecord, runnable: RunnableTask, now: number): void {
  const taskType = runnable.workflowTask.name;
  const taskId = randomUUID();
  const domain = activeDomain(state, workflow, taskType, now);
  const startDelay = runnable.workflowTask.startDelay ?? 0;
  const record = createRecord(
    workflow,
    runnable,
    {
      taskId,
      taskType,
      inputData: inputOf(workflow, runnable, taskId),
      startDelayInSeconds: startDelay,
      callbackAfterSeconds: startDelay,
      ...(domain !== undefined && { domain }),
    },
    now,
  );
  add(state, record, true);
  enqueue(state, record, startDelay * 1000, now);
}

/** Schedules the next attempt of a task that has failed. */
export function scheduleRetry(state: EngineState, failed: TaskRecord, now: number): void {
  const { task, workflow, runnable } = failed;
  const delaySeconds = retryDelaySeconds(runnable.definition, task.retryCount);
  const delayMs = delaySeconds * 1000 + retryJitterMs(runnable.definition, state.random);
  const taskId = randomUUID();
  task.retried = true;
  workflow.pending.delete(failed);
  const record = createRecord(
    workflow,
    runnable,
    {
      taskId,
      taskType: task.taskType,
      inputData: { ...task.inputData, ...inputOf(workflow, runnable, taskId) },
      retryCount: task.retryCount + 1,
      retriedTaskId: task.taskId,
      startDelayInSeconds: delaySeconds,
      callbackAfterSeconds: delaySeconds,
      ...(task.domain !== undefined && { domain: task.domain }),
      ...(task.reasonForIncompletion !== undefined && { reasonForIncompletion: task.reasonForIncompletion }),
    },
    now,
    failed.firstScheduledTime,
  );
  add(state, record, true);
  enqueue(state, record, delayMs, now);
}

function add(state: EngineState, record: TaskRecord, isWorkerTask: boolean): void {
  const { workflow, task } = record;
  workflow.tasks.push(record);
  workflow.byReference.set(task.referenceTaskName, record);
  workflow.pending.add(record);
  registerTask(state, record, isWorkerTask);
}

function createRecord(
  workflow: WorkflowRecord,
  runnable: RunnableTask,
  given: Partial<Task> & Pick<Task, "taskType" | "inputData">,
  now: number,
  firstScheduledTime = now,
): TaskRecord {
  const { workflowTask, definition } = runnable;
  const { correlationId, workflowId, workflowName, priority } = workflow.workflow;
  const task: Task = {
    status: "SCHEDULED",
    referenceTaskName: workflowTask.taskReferenceName,
    retryCount: 0,
    seq: workflow.tasks.length + 1,
    pollCount: 0,
    taskDefName: workflowTask.name,
    scheduledTime: now,
    startTime: 0,
    endTime: 0,
    updateTime: 0,
    startDelayInSeconds: 0,
    retried: false,
    executed: false,
    callbackFromWorker: true,
    responseTimeoutSeconds: workflowTask.taskDefinition ? definition.responseTimeoutSeconds : 0,
    workflowInstanceId: workflowId,
    workflowType: workflowName,
    taskId: given.taskId ?? randomUUID(),
    callbackAfterSeconds: 0,
    outputData: {},
    workflowTask,
    rateLimitPerFrequency: 0,
    rateLimitFrequencyInSeconds: 1,
    workflowPriority: priority,
    iteration: 0,
    subworkflowChanged: false,
    firstStartTime: 0,
    executionMetadata: { additionalContext: {}, empty: true, additionalContextMap: {} },
    queueWaitTime: 0,
    loopOverTask: false,
    ...(correlationId !== undefined && { correlationId }),
    ...(workflowTask.taskDefinition && { taskDefinition: workflowTask.taskDefinition }),
    ...given,
  };
  return { task, workflow, runnable, output: {}, firstScheduledTime };
}

function inputOf(workflow: WorkflowRecord, { workflowTask, definition }: RunnableTask, taskId: string): JsonObject {
  const template = definition.inputTemplate;
  const input = evaluateObject({ ...template, ...workflowTask.inputParameters }, scopeOf(workflow), taskId);
  for (const [key, value] of Object.entries(input)) if (value === null) input[key] = template[key] ?? null;
  return input;
}

/** What `${…}` can name: the workflow, and the latest attempt of each task by its reference name. */
export function scopeOf({ workflow, byReference }: WorkflowRecord): Scope {
  return (name) => {
    if (name === "workflow") {
      return { ...workflow, workflowType: workflow.workflowName, version: workflow.workflowVersion, schemaVersion: 2 };
    }
    const record = byReference.get(name);
    return record && { ...record.task, input: record.task.inputData, output: record.output };
  };
}

/** The first listed domain that somebody polls; else the last listed one. `NO_DOMAIN` stands for none. */
function activeDomain(
  state: EngineState,
  { taskToDomain }: WorkflowRecord,
  taskType: string,
  now: number,
): string | undefined {
  const listed = taskToDomain[taskType] ?? taskToDomain["*"];
  if (listed === undefined || listed.trim() === "") return undefined;
  const domains = listed.split(",").map((domain) => domain.trim());
  const isNone = (domain: string | undefined): boolean => domain?.toUpperCase() === "NO_DOMAIN";
  const active = domains.find((domain) => {
    const polled = state.pollData.get(queueNameOf(taskType, domain));
    return !isNone(domain) && polled !== undefined && polled.lastPollTime > now - ACTIVE_DOMAIN_MS;
  });
  const last = domains.at(-1);
  return active ?? (isNone(last) ? undefined : last);
}
