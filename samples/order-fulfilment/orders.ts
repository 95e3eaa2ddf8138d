import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ConductorError, type TaskHandler, type Workflow, type WorkflowClient, type WorkflowStatus } from "ostinato";
import { LAST_TASK, WORKFLOW_NAME } from "./workflow.js";

/** How many orders are under way at once: enough to keep the workers busy, and no flood. */
const MAX_OPEN_ORDERS = 60;
/** Between two looks at an order that has not told us of its end, in ms. */
const LOOK_EVERY_MS = 2_000;
/** After a server that could not be reached, in ms. */
const RECONNECT_MS = 500;

/** Orders of this run, among those of others on the same server. */
const RUN = randomUUID();

/** How far the orders have come. */
export interface OrderCounts {
  readonly total: number;
  started: number;
  completed: number;
  /** Ended otherwise: by status. */
  readonly endedBadly: Map<WorkflowStatus, number>;
}

export interface OrderRun {
  readonly handler: TaskHandler;
  readonly workflows: WorkflowClient;
  readonly counts: OrderCounts;
  /** Starts no more orders and waits for none, once aborted. */
  readonly signal: AbortSignal;
  /** Called whenever an order has ended. */
  readonly onEnded: () => void;
  /** Told which order has not been completed, and why. */
  readonly note: (line: string) => void;
}

/** Places the orders, a bounded number at a time, and resolves when each of them has ended (or the signal aborts). */
export async function runOrders(run: OrderRun): Promise<void> {
  const { handler, workflows, counts, signal, onEnded, note } = run;
  const arrivals = watchArrivals(handler);
  let next = 1;

  const placeOrders = async (): Promise<void> => {
    while (next <= counts.total && !signal.aborted) {
      const workflowId = await start(workflows, next++, signal);
      if (workflowId === undefined) return;
      counts.started += 1;
      const order = await ended(workflows, workflowId, arrivals, signal);
      if (order === undefined) return;
      const { status, reasonForIncompletion = "no reason given" } = order;
      if (status === "COMPLETED") counts.completed += 1;
      else {
        counts.endedBadly.set(status, (counts.endedBadly.get(status) ?? 0) + 1);
        note(`order ${status}: ${reasonForIncompletion} (${workflowId})`);
      }
      onEnded();
    }
  };

  try {
    await Promise.all(Array.from({ length: Math.min(MAX_OPEN_ORDERS, counts.total) }, placeOrders));
  } finally {
    arrivals.close();
  }
}

/** The id of the new workflow; `undefined` when the signal came first. */
async function start(workflows: WorkflowClient, orderNumber: number, signal: AbortSignal): Promise<string | undefined> {
  const correlationId = `${RUN}-${orderNumber}`;
  let mayBePlaced = false;
  while (!signal.aborted) {
    try {
      // An order must not be placed twice: where it is open whether it was, look first.
      const placed = mayBePlaced ? await find(workflows, correlationId) : undefined;
      return (
        placed ?? (await workflows.start({ name: WORKFLOW_NAME, version: 1, correlationId, input: { orderNumber } }))
      );
    } catch (error) {
      if (!(error instanceof ConductorError && (error.retryable || error.status === undefined))) throw error;
      mayBePlaced ||= error.code !== "CONNECT_FAILED";
      await pause(RECONNECT_MS, signal);
    }
  }
  return undefined;
}

async function find(workflows: WorkflowClient, correlationId: string): Promise<string | undefined> {
  const { results } = await workflows.search({ query: `correlationId='${correlationId}'`, size: 1 });
  return results[0]?.workflowId;
}

/** A workflow that has ended; `undefined` when the signal came first. The server has the last word. */
async function ended(
  workflows: WorkflowClient,
  workflowId: string,
  arrivals: Arrivals,
  signal: AbortSignal,
): Promise<Workflow | undefined> {
  while (!signal.aborted) {
    await arrivals.wait(workflowId, LOOK_EVERY_MS, signal);
    try {
      const order = await workflows.get(workflowId, { includeTasks: false });
      if (order.status !== "RUNNING" && order.status !== "PAUSED") return order;
    } catch (error) {
      if (!(error instanceof ConductorError)) throw error;
      await pause(RECONNECT_MS, signal);
    }
  }
  return undefined;
}

interface Arrivals {
  /** Resolves when the workflow's last task was acknowledged, after `timeoutMs`, or when the signal aborts. */
  wait(workflowId: string, timeoutMs: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

/** Knows from our own workers when a workflow is through, so that nobody has to ask the server all the time. */
function watchArrivals(handler: TaskHandler): Arrivals {
  const arrived = new Set<string>();
  const waiting = new Map<string, () => void>();
  const close = handler.on("taskUpdated", ({ taskType, workflowInstanceId, status }) => {
    if (taskType !== LAST_TASK || status !== "COMPLETED") return;
    arrived.add(workflowInstanceId);
    waiting.get(workflowInstanceId)?.();
  });
  return {
    async wait(workflowId, timeoutMs, signal) {
      // Once only: if the server then says that it still runs, look again after a while.
      if (arrived.delete(workflowId)) return;
      const over = new AbortController();
      waiting.set(workflowId, () => {
        arrived.delete(workflowId);
        over.abort();
      });
      await pause(timeoutMs, AbortSignal.any([signal, over.signal]));
      waiting.delete(workflowId);
    },
    close,
  };
}

/** Waits, or returns early when the signal aborts. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
