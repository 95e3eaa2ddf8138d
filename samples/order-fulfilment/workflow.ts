import type { TaskDef, WorkflowDef, WorkflowTask } from "ostinato";

export const WORKFLOW_NAME = "order_fulfilment";

/** In the order in which an order passes them. */
export const TASK_TYPES = ["order_reserve", "order_charge", "order_pack", "order_ship", "order_notify"] as const;
export type TaskType = (typeof TASK_TYPES)[number];

/** When its result is acknowledged, the order is through. */
export const LAST_TASK: TaskType = "order_notify";

/** Packing may take longer than this, and the lease is extended meanwhile; but a worker that dies is noticed soon. */
export const PACK_RESPONSE_TIMEOUT_SECONDS = 2;

/** Definitions are overwritten where they exist. */
export const taskDefs: readonly TaskDef[] = TASK_TYPES.map((name) => ({
  name,
  ownerEmail: "samples@example.com",
  // At once, so that the waiting time in the report is the queue's and not ours.
  retryCount: 3,
  retryDelaySeconds: 0,
  responseTimeoutSeconds: name === "order_pack" ? PACK_RESPONSE_TIMEOUT_SECONDS : 30,
}));

/**
 * Reserve; then charge and pack side by side; then ship; then tell the customer. What may fail stands outside of the
 * fork: a real server's JOIN can see a branch between its failure and its retry, and gives up the workflow.
 */
export const workflowDef: WorkflowDef = {
  name: WORKFLOW_NAME,
  version: 1,
  schemaVersion: 2,
  ownerEmail: "samples@example.com",
  tasks: [
    step("order_reserve", "reserve"),
    {
      name: "charge_and_pack",
      taskReferenceName: "charge_and_pack",
      type: "FORK_JOIN",
      forkTasks: [[step("order_charge", "charge")], [step("order_pack", "pack")]],
    },
    { name: "both_done", taskReferenceName: "both_done", type: "JOIN", joinOn: ["charge", "pack"] },
    step("order_ship", "ship", { parcels: "${pack.output.parcels}" }),
    step("order_notify", "notify", { trackingNumber: "${ship.output.trackingNumber}" }),
  ],
  outputParameters: { trackingNumber: "${ship.output.trackingNumber}", message: "${notify.output.message}" },
};

function step(name: TaskType, taskReferenceName: string, more: Record<string, string> = {}): WorkflowTask {
  return {
    name,
    taskReferenceName,
    type: "SIMPLE",
    inputParameters: { orderNumber: "${workflow.input.orderNumber}", ...more },
  };
}
