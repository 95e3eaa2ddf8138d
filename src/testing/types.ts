import type { Clock } from "../base/clock.js";
import type { TaskDef, WorkflowDef, StartWorkflowRequest, Workflow, Task } from "../conductor/types.js";
import type { Audit } from "./audit.js";
import type { QueueKind } from "./engine/held-polls.js";
import type { LedgerEntry } from "./ledger.js";

/** A running embedded Conductor. Every method rejects when the server refuses, with the server's message. */
export interface EmbeddedConductor extends AsyncDisposable {
  /** What a worker is given as its server URL; ends in `/api`. */
  readonly serverUrl: string;
  readonly port: number;
  readonly queue: QueueKind;
  /** The process the server runs in. */
  readonly pid: number;
  /**
   * Turns the server's clock on by `ms`: timeouts, callbacks, retry delays and held polls that fall due on the way
   * happen, in their order, before this resolves. Beside that, the clock runs on as usual.
   */
  advance(ms: number): Promise<void>;
  /** Every hand-out and every update so far, in order. A copy. */
  ledger(): Promise<LedgerEntry[]>;
  /** The accounts so far: counts, and tasks that something is wrong with. */
  audit(): Promise<Audit>;
  /** Registers task definitions, or replaces them. */
  registerTaskDefs(definitions: readonly TaskDef[]): Promise<void>;
  /** Registers a workflow definition, or replaces it. */
  registerWorkflowDef(definition: WorkflowDef): Promise<void>;
  /** Starts a workflow. Gives its id; its first tasks can be polled by then. */
  startWorkflow(request: StartWorkflowRequest): Promise<string>;
  /** The workflow with its tasks. */
  workflow(workflowId: string): Promise<Workflow>;
  /** All workflows, with their tasks. */
  workflows(): Promise<Workflow[]>;
  /** A task as the server knows it. Rejects when there is none. */
  task(taskId: string): Promise<Task>;
  /** Ends a workflow; its open tasks are CANCELED. Rejects when it is COMPLETED. */
  terminateWorkflow(workflowId: string, reason?: string): Promise<void>;
  /**
   * The workflow once it has ended. Rejects when it has not ended within `timeoutMs` (default 10,000; of real time,
   * whatever the clock), and says how far it has come.
   */
  waitForWorkflow(workflowId: string, options?: { timeoutMs?: number }): Promise<Workflow>;
  /** Ends held polls, connections and the server. May be called twice. */
  close(): Promise<void>;
}

/** Options of {@link startEmbeddedConductor}. */
export interface EmbeddedConductorOptions {
  /** Port to listen on. Default 0: any that is free. */
  port?: number;
  /** Address to listen on. Default `127.0.0.1`. */
  host?: string;
  /**
   * How polls are answered, which differs between the queues of real servers. Default `patient`.
   * - `patient` (SQLite, Postgres): a held poll answers when it has `count` tasks or at its timeout, in steps of 100 ms.
   * - `eager` (Redis, Orkes): a held poll answers at the first task.
   * - `instant` (MySQL): a poll is never held.
   */
  queue?: QueueKind;
  /** Where the server's time comes from. Default: the system's. Not with `ownProcess`. */
  clock?: Clock;
  /** How long a task that exceeds `concurrentExecLimit` is hidden, in seconds. Default 60, as on the server. */
  taskExecutionPostponeSeconds?: number;
  /** Gives 0 ≤ x < 1, for the jitter of retries. Default `Math.random`. Not with `ownProcess`. */
  random?: () => number;
  /**
   * Runs the server in a process of its own, so that what a test does to this process (or to its event loop) does not
   * touch the server. It is ended by `close()`, or when this process goes. Default false.
   */
  ownProcess?: boolean;
}
