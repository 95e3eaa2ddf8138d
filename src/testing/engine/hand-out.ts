import { queueNameOf } from "../../conductor/queue-name.js";
import type { HandOut } from "../ledger.js";
import { setWorkflowAlarm } from "./decide.js";
import { isEnded, type TaskRecord } from "./model.js";
import { enqueue, type EngineState, queueNamed, setStatus } from "./state.js";

/** A poll, or the second half of an `update-v2`. */
export interface ReceivedPoll {
  readonly taskType: string;
  readonly domain: string | undefined;
  readonly workerId: string | undefined;
  readonly count: number;
  readonly timeoutMs: number;
  readonly by: HandOut["by"];
}

/** A task on its way to a worker, with its line in the ledger. */
export interface HandedOut {
  readonly record: TaskRecord;
  readonly entry: HandOut;
}

/**
 * Holds the poll for as long as the kind of queue does, then marks what it found as IN_PROGRESS and answers. Whether the
 * client is still there is not asked: the real server does not ask either, and its task is then lost until it times out.
 */
export function poll(
  state: EngineState,
  request: ReceivedPoll,
  now: number,
  answer: (handedOut: HandedOut[], now: number) => void,
): void {
  const queueName = queueNameOf(request.taskType, request.domain);
  state.polling.hold(queueNamed(state, queueName), request.count, request.timeoutMs, now, (taskIds, then) => {
    const handedOut = taskIds.flatMap((taskId) => handOut(state, taskId, request, then) ?? []);
    state.pollData.set(queueName, {
      queueName: request.taskType,
      ...(request.domain !== undefined && { domain: request.domain }),
      ...(request.workerId !== undefined && { workerId: request.workerId }),
      lastPollTime: then,
    });
    answer(handedOut, then);
  });
}

function handOut(state: EngineState, taskId: string, request: ReceivedPoll, now: number): HandedOut | undefined {
  const record = state.tasks.get(taskId);
  if (record === undefined || isEnded(record)) return undefined;
  if (exceedsLimit(state, record)) {
    enqueue(state, record, state.taskExecutionPostponeSeconds * 1000, now);
    return undefined;
  }
  const { task } = record;
  setStatus(state, record, "IN_PROGRESS", now);
  if (task.startTime === 0) {
    task.startTime = now;
    task.queueWaitTime = now - task.scheduledTime;
  }
  task.callbackAfterSeconds = 0;
  if (request.workerId === undefined) delete task.workerId;
  else task.workerId = request.workerId;
  task.pollCount++;
  setWorkflowAlarm(state, record.workflow);
  const entry: HandOut = {
    kind: "handOut",
    at: now,
    taskId,
    taskType: task.taskType,
    workflowInstanceId: task.workflowInstanceId,
    pollCount: task.pollCount,
    workerId: request.workerId,
    by: request.by,
    answerWritten: undefined,
  };
  state.ledger.push(entry);
  return { record, entry };
}

/** Counted over the whole server; and of those that wait, only the oldest may go. */
function exceedsLimit(state: EngineState, record: TaskRecord): boolean {
  const limit = record.runnable.definition.concurrentExecLimit ?? 0;
  if (limit <= 0) return false;
  if ((state.inProgress.get(record.task.taskDefName) ?? 0) >= limit) return true;
  let place = 0;
  for (const open of state.openTasks.get(record.task.taskDefName) ?? []) {
    if (open === record) return false;
    if (++place >= limit) return true;
  }
  return false;
}
