import type { Timer } from "../base/clock.js";
import type { Task } from "../conductor/types.js";
import type { WorkerConfig } from "../config/types.js";
import type { Outcome } from "./outcome.js";
import type { TaskLogKeeper } from "./task-log.js";

/**
 * - `received`: handed out to us, nothing begun.
 * - `running`: its function runs.
 * - `delivering`: the result is on its way.
 * - `waiting`: the result waits in the outbox.
 * - `handingBack`: on its way back to the queue.
 */
export type InFlightState = "received" | "running" | "delivering" | "waiting" | "handingBack";

/** How a task leaves us; every task leaves by exactly one door. */
export type Door = "reported" | "handedBack" | "moot" | "undeliverable";

/** A task that was handed out to this process and has not left it yet. */
export class InFlightTask {
  #task: Task;
  readonly worker: WorkerConfig;
  /** By the process's clock, ms. */
  readonly receivedAt: number;
  state: InFlightState = "received";
  /** When the attempt ends, by the process's clock; set when it begins. */
  deadlineAt = Infinity;
  /** When the server would time the attempt out unless it hears from us, by the process's clock. */
  leaseEndsAt = Infinity;
  /** Deadline, lease and cancellation checks share one timer. */
  timer: Timer = undefined;
  /** A lease extension got no answer: the server may still act on it, and undo what was reported meanwhile. */
  hasUnclearExtension = false;
  /** What the function has logged; undefined before it begins. */
  logs: TaskLogKeeper | undefined;
  /** Ends the execution from outside with this outcome; undefined while nothing runs. */
  interrupt: ((outcome: Outcome, reason: Error) => void) | undefined;

  constructor(task: Task, worker: WorkerConfig, receivedAt: number) {
    this.#task = task;
    this.worker = worker;
    this.receivedAt = receivedAt;
  }

  /** As it was handed out; once it was {@link shed}, only what names the hand-out. */
  get task(): Task {
    return this.#task;
  }

  /**
   * What there is to report of it is made: from now on it is only named. Its input, which may be megabytes, is let go,
   * and so is its function's context; while the server is away, a thousand such tasks may wait.
   */
  shed(): void {
    this.#task = named(this.#task);
    this.logs = undefined;
  }

  /** Under which `workerId` the server shows this hand-out: another's, where that process died and we end its task. */
  get ownerId(): string {
    const workerId: unknown = this.task.workerId;
    return typeof workerId === "string" ? workerId : this.worker.workerId;
  }

  /** Whether the server, which shows the task like this, still waits for what we have to say on this hand-out. */
  isAsHandedOut({ status, workerId, pollCount }: Task): boolean {
    return status === "IN_PROGRESS" && workerId === this.ownerId && pollCount === this.task.pollCount;
  }

  /**
   * What shows the task like this is older than the hand-out that we have: a cache on the way repeats an answer. A task
   * that begins anew on the server, with fewer hand-outs, was touched later.
   */
  isFromBefore({ pollCount, updateTime }: Task): boolean {
    return pollCount < this.task.pollCount && updateTime <= this.task.updateTime;
  }

  /** The ids that every event and log line about the task carries. */
  get ids(): { taskType: string; taskId: string; workflowInstanceId: string } {
    return {
      taskType: this.worker.taskDefName,
      taskId: this.task.taskId,
      workflowInstanceId: this.task.workflowInstanceId,
    };
  }
}

/** As much of a task as is needed to report on it, and to recognise its hand-out. */
function named(task: Task): Task {
  const { taskId, workflowInstanceId, taskType, taskDefName, workerId, domain, status } = task;
  const { pollCount, retryCount, updateTime, responseTimeoutSeconds } = task;
  // Spelled out, each task has one: spreading what may be undefined costs a microsecond.
  const names = {
    taskId,
    workflowInstanceId,
    taskType,
    taskDefName,
    workerId,
    domain,
    status,
    pollCount,
    retryCount,
    updateTime,
    responseTimeoutSeconds,
    inputData: {},
    outputData: {},
  };
  return names as unknown as Task;
}

/**
 * Every task in this process, by id. Leaving the table is taking a door.
 *
 * The map holds places, which are empty when a task has left: what V8 keeps of a map's old stores, as told in
 * `linked-list.ts`, keeps no tasks then.
 */
export class InFlightTable {
  readonly #places = new Map<string, { task: InFlightTask | undefined }>();
  readonly #onLeave: (task: InFlightTask, door: Door) => void;

  constructor(onLeave: (task: InFlightTask, door: Door) => void) {
    this.#onLeave = onLeave;
  }

  get size(): number {
    return this.#places.size;
  }

  get(taskId: string): InFlightTask | undefined {
    return this.#places.get(taskId)?.task;
  }

  enter(task: InFlightTask): void {
    this.#places.set(task.task.taskId, { task });
  }

  /** Harmless when the task has left already. */
  leave(task: InFlightTask, door: Door): void {
    const place = this.#places.get(task.task.taskId);
    if (place?.task !== task) return;
    this.#places.delete(task.task.taskId);
    place.task = undefined;
    this.#onLeave(task, door);
  }

  has(task: InFlightTask): boolean {
    return this.get(task.task.taskId) === task;
  }

  *[Symbol.iterator](): IterableIterator<InFlightTask> {
    for (const { task } of this.#places.values()) if (task !== undefined) yield task;
  }
}
