import { systemClock } from "../base/clock.js";
import type { Workflow } from "../conductor/types.js";
import { auditOf, type TaskFacts } from "./audit.js";
import { isWorkerTask, isWorkflowEnded, type WorkflowRecord } from "./engine/model.js";
import { createState, type EngineState } from "./engine/state.js";
import { Timeline } from "./engine/timeline.js";
import { startWorkflow, taskById, terminateWorkflow, workflowById, workflowOf } from "./engine/workflows.js";
import { listen } from "./http-listener.js";
import { startInOwnProcess } from "./own-process.js";
import type { EmbeddedConductor, EmbeddedConductorOptions } from "./types.js";

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
