/** Everything that happens in a worker process, by name. Metrics, logs and users' listeners all read from here. */
export interface WorkerEvents {
  /** A poll was answered. */
  pollCompleted: { taskType: string; requested: number; received: number; durationMs: number };
  /** A poll failed; the loop backs off and goes on. */
  pollFailed: { taskType: string; durationMs: number; error: Error };
  /** A task was received; its execution begins now. `queueWaitMs`: how long it lay in the queue, by the server's clock. */
  taskStarted: TaskEvent & { queueWaitMs: number };
  /** The function returned. */
  taskExecuted: TaskEvent & { durationMs: number; status: "COMPLETED" | "IN_PROGRESS" };
  /** The function threw, ran past its deadline or returned what cannot be sent. */
  taskFailed: TaskEvent & { durationMs: number; terminal: boolean; reason: string; error?: unknown };
  /** The server has acknowledged the result. */
  taskUpdated: TaskEvent & { durationMs: number; attempts: number; status: string };
  /** One attempt to deliver a result failed; it is tried again. */
  taskUpdateFailed: TaskEvent & { attempts: number; error: Error };
  /** The server no longer wants the result: the task or its workflow is gone. */
  taskMoot: TaskEvent & { reason: string };
  /** The result (or, undefined, a hand-back) cannot be delivered; this event and the log are all that is left of it. */
  taskUndeliverable: TaskEvent & { attempts: number; result: unknown; error: Error };
  /** The task went back to the queue unfinished. */
  taskHandedBack: TaskEvent & { reason: "surplus" | "paused" | "stopping" | "notOurs" | "lost" };
  /** The response timeout of a running task was pushed out. */
  leaseExtended: TaskEvent;
  /** A function goes on after its task was ended; its slot is free. */
  taskAbandoned: TaskEvent;
  /** Connections were replaced by new ones. */
  connectionsRecycled: { reason: "age" | "suspicion" };
}

/** What every event about a task carries. */
export interface TaskEvent {
  taskType: string;
  taskId: string;
  workflowInstanceId: string;
}

export type WorkerEventName = keyof WorkerEvents;
export type WorkerEventListener<K extends WorkerEventName> = (event: WorkerEvents[K]) => unknown;
