import type { Lane } from "../http/exchange.js";
import type { StallReason } from "../liveness/stall-report.js";

/** Everything that happens in a worker process, by name. Metrics, logs and users' listeners all read from here. */
export interface WorkerEvents {
  /** A loop could not poll, and says so in each iteration while that lasts. */
  pollSkipped: { taskType: string; reason: "full" | "paused" | "outboxFull" };
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
  /** The server has acknowledged the result. `durationMs`: since the first attempt; `attemptMs`: the last one alone. */
  taskUpdated: TaskEvent & {
    durationMs: number;
    attemptMs: number;
    attempts: number;
    status: string;
    resultBytes: number;
  };
  /**
   * One attempt to deliver a result failed. `then`: it is tried again, the server has no use for it (`moot`), or the
   * server refuses it for good. `isLost`: no whole answer came, so the server may have it.
   */
  taskUpdateFailed: TaskEvent & {
    attemptMs: number;
    attempts: number;
    error: Error;
    then: "retry" | "moot" | "refused";
    isLost: boolean;
  };
  /** The server no longer wants the result: the task or its workflow is gone. */
  taskMoot: TaskEvent & { reason: string };
  /**
   * The result (or, undefined, a hand-back) cannot be delivered; this event and the log are all that is left of it.
   * `result` is what would have been sent, read from its JSON.
   */
  taskUndeliverable: TaskEvent & { attempts: number; result: unknown; error: Error };
  /** The task went back to the queue unfinished. */
  taskHandedBack: TaskEvent & { reason: "surplus" | "paused" | "stopping" | "notOurs" | "lost" };
  /** A task was found that had been handed out to us without our knowledge; it is ended now. */
  taskReclaimed: TaskEvent & { reason: "lostAnswer" | "predecessor" };
  /** The server keeps a task's input outside of the task. */
  externalPayloadUsed: TaskEvent & { operation: "READ"; payloadType: "TASK_INPUT" };
  /** The response timeout of a running task was pushed out. */
  leaseExtended: TaskEvent;
  /** A function goes on after its task was ended; its slot is free. */
  taskAbandoned: TaskEvent;
  /** Connections were replaced by new ones. */
  connectionsRecycled: { reason: "age" | "suspicion" };
  /** A request has ended. `status`: 0 when no whole answer came. */
  requestEnded: { lane: Lane; method: string; pathTemplate: string; status: number; durationMs: number };
  /** The deadline of a request passed. */
  deadlineExceeded: { lane: Lane };
  /** A loop is stuck, and the process will end. Seen only where the event loop still turns. */
  stalled: { taskType: string; reason: StallReason; stalledMs: number };
  /** Something threw that nobody caught; under `run()` the process ends after it. */
  uncaughtError: { kind: "uncaughtException" | "unhandledRejection"; error: unknown };
}

/** What every event about a task carries. */
export interface TaskEvent {
  taskType: string;
  taskId: string;
  workflowInstanceId: string;
}

/** The name of an event: what `on` and `off` of a `TaskHandler` take. */
export type WorkerEventName = keyof WorkerEvents;
/** Is called with each event of its name. It is not waited for, and what it throws is logged and harms nobody. */
export type WorkerEventListener<K extends WorkerEventName> = (event: WorkerEvents[K]) => unknown;
