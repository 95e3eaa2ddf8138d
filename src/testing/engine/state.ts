import { queueNameOf } from "../../conductor/queue-name.js";
import type { TaskStatus } from "../../conductor/types.js";
import type { LedgerEntry } from "../ledger.js";
import { createPolling, type Polling, type QueueKind } from "./held-polls.js";
import { Metadata } from "./metadata.js";
import { isEnded, type PollData, type StoredLog, type TaskRecord, type WorkflowRecord } from "./model.js";
import { TaskQueue } from "./queue.js";
import type { Timeline } from "./timeline.js";

/** Everything the server knows. Routes and engine are functions over it. */
export interface EngineState {
  readonly timeline: Timeline;
  readonly taskExecutionPostponeSeconds: number;
  readonly random: () => number;
  readonly polling: Polling;
  readonly metadata: Metadata;
  readonly queues: Map<string, TaskQueue>;
  readonly workflows: Map<string, WorkflowRecord>;
  /** Workflows that have not ended, by name. */
  readonly runningWorkflows: Map<string, Set<WorkflowRecord>>;
  readonly tasks: Map<string, TaskRecord>;
  readonly tasksByType: Map<string, TaskRecord[]>;
  /** Worker tasks that have not ended, by definition name, in the order of their arrival. */
  readonly openTasks: Map<string, Set<TaskRecord>>;
  /** How many worker tasks are IN_PROGRESS, by definition name. */
  readonly inProgress: Map<string, number>;
  readonly pollData: Map<string, PollData>;
  readonly logs: Map<string, StoredLog[]>;
  readonly ledger: LedgerEntry[];
  /** Called with each workflow that ends. */
  readonly endListeners: Set<(workflow: WorkflowRecord) => void>;
}

export interface StateOptions {
  readonly timeline: Timeline;
  readonly queue: QueueKind;
  readonly taskExecutionPostponeSeconds: number;
  readonly random: () => number;
}

export function createState({ timeline, queue, taskExecutionPostponeSeconds, random }: StateOptions): EngineState {
  return {
    timeline,
    taskExecutionPostponeSeconds,
    random,
    polling: createPolling(queue, timeline),
    metadata: new Metadata(),
    queues: new Map(),
    workflows: new Map(),
    runningWorkflows: new Map(),
    tasks: new Map(),
    tasksByType: new Map(),
    openTasks: new Map(),
    inProgress: new Map(),
    pollData: new Map(),
    logs: new Map(),
    ledger: [],
    endListeners: new Set(),
  };
}

export function queueNamed(state: EngineState, name: string): TaskQueue {
  let queue = state.queues.get(name);
  if (queue === undefined) {
    queue = new TaskQueue(name);
    state.queues.set(name, queue);
  }
  return queue;
}

export const queueOf = (state: EngineState, { task }: TaskRecord): TaskQueue =>
  queueNamed(state, queueNameOf(task.taskType, task.domain));

/** Puts the task into its queue, or moves it there, and wakes the polls that wait for it. */
export function enqueue(state: EngineState, record: TaskRecord, delayMs: number, now: number): void {
  const queue = queueOf(state, record);
  queue.push(record.task.taskId, record.task.workflowPriority, now + delayMs, now);
  state.polling.pushed(queue, now);
}

export function registerTask(state: EngineState, record: TaskRecord, isWorkerTask: boolean): void {
  const { task } = record;
  state.tasks.set(task.taskId, record);
  if (!isWorkerTask) return;
  setOf(state.openTasks, task.taskDefName).add(record);
  const ofType = state.tasksByType.get(task.taskType);
  if (ofType) ofType.push(record);
  else state.tasksByType.set(task.taskType, [record]);
}

/** The one place where a task's status changes: the counts that hang on it change with it. */
export function setStatus(state: EngineState, record: TaskRecord, status: TaskStatus, now: number): void {
  const { task } = record;
  const was = task.status;
  task.status = status;
  if (was !== status && (was === "IN_PROGRESS" || status === "IN_PROGRESS")) {
    const step = status === "IN_PROGRESS" ? 1 : -1;
    state.inProgress.set(task.taskDefName, (state.inProgress.get(task.taskDefName) ?? 0) + step);
  }
  if (!isEnded(record)) {
    task.updateTime = now;
    return;
  }
  if (task.updateTime === 0) task.updateTime = now;
  if (task.endTime === 0) task.endTime = now;
  if (state.openTasks.get(task.taskDefName)?.delete(record) === true) {
    queueOf(state, record).remove(task.taskId);
    releasePostponed(state, record, now);
  }
}

/** A slot of a limited definition came free: one task of that queue need not wait any longer. */
function releasePostponed(state: EngineState, ended: TaskRecord, now: number): void {
  if ((ended.runnable.definition.concurrentExecLimit ?? 0) <= 0) return;
  const first = state.tasks.get(queueOf(state, ended).peekFirst() ?? "");
  if (first) enqueue(state, first, 0, now);
}

export function setOf<T>(sets: Map<string, Set<T>>, key: string): Set<T> {
  let set = sets.get(key);
  if (set === undefined) {
    set = new Set();
    sets.set(key, set);
  }
  return set;
}
