import { type Clock, systemClock } from "../base/clock.js";
import type { StartWorkflowRequest, Task, TaskDef, Workflow, WorkflowDef } from "../conductor/types.js";
import { type Audit, auditOf, type TaskFacts } from "./audit.js";
import type { QueueKind } from "./engine/held-polls.js";
import { isWorkerTask, isWorkflowEnded, type WorkflowRecord } from "./engine/model.js";
import { createState, type EngineState } from "./engine/state.js";
import { Timeline } from "./engine/timeline.js";
import { startWorkflow, taskById, terminateWorkflow, workflowById, workflowOf } from "./engine/workflows.js";
import { listen } from "./http-listener.js";
import type { LedgerEntry } from "./ledger.js";
import { startInOwnProcess } from "./own-process.js";

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

/**
 * Starts a small Conductor in memory that speaks the real one's HTTP: task and workflow definitions, sequences of
 * SIMPLE tasks, FORK_JOIN and JOIN, retries, timeouts, domains, priorities. What it does not have it refuses by name
 * when the definition is registered. Timeouts are noticed when they are due, where a real server may take a minute.
 *
 * Rejects when the port is taken and, with `ownProcess`, when the child does not come up.
 */
export async function startEmbeddedConductor(options: EmbeddedConductorOptions = {}): Promise<EmbeddedConductor> {
  if (options.ownProcess === true) return startInOwnProcess(options);
  const {
    port = 0,
    host = "127.0.0.1",
    queue = "patient",
    clock = systemClock,
    taskExecutionPostponeSeconds = 60,
    random = Math.random,
  } = options;
  const timeline = new Timeline(clock);
  const state = createState({ timeline, queue, taskExecutionPostponeSeconds, random });
  const listener = await listen(state, host, port);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= listener.close();
    timeline.close();
    return closing;
  };
  return {
    serverUrl: `http://${host.includes(":") ? `[${host}]` : host}:${listener.port}/api`,
    port: listener.port,
    queue,
    pid: process.pid,
    ...directMethods(state),
    close,
    [Symbol.asyncDispose]: close,
  };
}

type DirectMethods = Omit<
  EmbeddedConductor,
  "serverUrl" | "port" | "queue" | "pid" | "close" | typeof Symbol.asyncDispose
>;

function directMethods(state: EngineState): DirectMethods {
  const { timeline, metadata } = state;
  return {
    advance: async (ms) => {
      timeline.advance(ms);
      // Answers that fell due go out before this resolves.
      await new Promise((resolve) => setImmediate(resolve));
    },
    ledger: async () => state.ledger.map((entry) => ({ ...entry })),
    audit: async () => auditOf(state.ledger, taskFactsOf(state), workflowStatusesOf(state)),
    registerTaskDefs: async (definitions) => {
      metadata.putTaskDefs(definitions, timeline.now());
    },
    registerWorkflowDef: async (definition) => {
      metadata.addWorkflowDef(definition, true, timeline.now());
    },
    startWorkflow: async (request) => startWorkflow(state, request, timeline.now()),
    workflow: async (workflowId) => workflowOf(workflowById(state, workflowId), true),
    workflows: async () => [...state.workflows.values()].map((record) => workflowOf(record, true)),
    task: async (taskId) => ({ ...taskById(state, taskId).task }),
    terminateWorkflow: async (workflowId, reason = "") => {
      terminateWorkflow(state, workflowById(state, workflowId), reason, timeline.now());
    },
    waitForWorkflow: async (workflowId, { timeoutMs = 10_000 } = {}) => waitForEnd(state, workflowId, timeoutMs),
  };
}

function taskFactsOf(state: EngineState): Map<string, TaskFacts> {
  const facts = new Map<string, TaskFacts>();
  for (const record of state.tasks.values()) if (isWorkerTask(record)) facts.set(record.task.taskId, record.task);
  return facts;
}

function* workflowStatusesOf(state: EngineState) {
  for (const { workflow } of state.workflows.values()) yield workflow.status;
}

async function waitForEnd(state: EngineState, workflowId: string, timeoutMs: number): Promise<Workflow> {
  const record = workflowById(state, workflowId);
  if (!isWorkflowEnded(record)) {
    await new Promise<void>((resolve, reject) => {
      const listener = (ended: WorkflowRecord): void => {
        if (ended !== record) return;
        clearTimeout(timer);
        state.endListeners.delete(listener);
        resolve();
      };
      const timer = setTimeout(() => {
        state.endListeners.delete(listener);
        const open = [...record.pending].map(({ task }) => `${task.referenceTaskName} ${task.status}`).join(", ");
        reject(
          new Error(
            `Workflow ${workflowId} is ${record.workflow.status} after ${timeoutMs} ms; open: ${open || "none"}`,
          ),
        );
      }, timeoutMs);
      state.endListeners.add(listener);
    });
  }
  return workflowOf(record, true);
}
