import type { TaskHandler } from "ostinato";
import { TASK_TYPES } from "./workflow.js";

/** What was seen of one task type. */
export interface TypeAccount {
  readonly taskType: string;
  completed: number;
  /** Attempts that failed; the server schedules another one for each. */
  retries: number;
  /** From the queue to a worker, by the server's clock, one number for each attempt. */
  readonly pickupMs: number[];
  /** From the call of the function to its end, one number for each attempt. */
  readonly executionMs: number[];
}

/** Our own books, kept from events. On a server that has no `audit()` they are all there is. */
export interface Accounts {
  readonly types: readonly TypeAccount[];
  readonly tasksCompleted: number;
  readonly leasesExtended: number;
  readonly handedBack: number;
  /** Tasks that were started and neither acknowledged nor given back, or whose result could not be delivered. */
  readonly lost: number;
  /** Tasks that came again after their result had been acknowledged. */
  readonly executedTwice: number;
}

/** Opens the books; from now on they keep themselves. */
export function keepAccounts(handler: TaskHandler): Accounts {
  const types = new Map<string, TypeAccount>(
    TASK_TYPES.map((taskType) => [taskType, { taskType, completed: 0, retries: 0, pickupMs: [], executionMs: [] }]),
  );
  const open = new Set<string>();
  const reported = new Set<string>();
  const undeliverable = new Set<string>();
  let leasesExtended = 0;
  let handedBack = 0;
  let executedTwice = 0;

  handler.on("taskStarted", ({ taskType, taskId, queueWaitMs }) => {
    if (reported.has(taskId)) executedTwice += 1;
    open.add(taskId);
    types.get(taskType)?.pickupMs.push(queueWaitMs);
  });
  handler.on("taskExecuted", ({ taskType, durationMs }) => types.get(taskType)?.executionMs.push(durationMs));
  handler.on("taskFailed", ({ taskType, durationMs, terminal }) => {
    const account = types.get(taskType);
    if (account === undefined) return;
    account.executionMs.push(durationMs);
    if (!terminal) account.retries += 1;
  });
  handler.on("taskUpdated", ({ taskType, taskId, status }) => {
    open.delete(taskId);
    reported.add(taskId);
    const account = types.get(taskType);
    if (account !== undefined && status === "COMPLETED") account.completed += 1;
  });
  handler.on("taskHandedBack", ({ taskId }) => {
    open.delete(taskId);
    handedBack += 1;
  });
  handler.on("taskMoot", ({ taskId }) => open.delete(taskId));
  handler.on("taskUndeliverable", ({ taskId }) => {
    open.delete(taskId);
    undeliverable.add(taskId);
  });
  handler.on("leaseExtended", () => {
    leasesExtended += 1;
  });

  return {
    types: [...types.values()],
    get tasksCompleted() {
      return [...types.values()].reduce((sum, { completed }) => sum + completed, 0);
    },
    get leasesExtended() {
      return leasesExtended;
    },
    get handedBack() {
      return handedBack;
    },
    get lost() {
      return open.size + undeliverable.size;
    },
    get executedTwice() {
      return executedTwice;
    },
  };
}
