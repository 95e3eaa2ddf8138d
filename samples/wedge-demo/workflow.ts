import type { TaskDef, WorkflowDef } from "ostinato";

export const TASK_TYPE = "check_address";

export const taskDef: TaskDef = {
  name: TASK_TYPE,
  ownerEmail: "samples@example.com",
  retryCount: 3,
  retryDelaySeconds: 0,
  // The usual hour: a task whose process dies would wait so long if nobody looked after it.
  responseTimeoutSeconds: 3600,
};

export const workflowDef: WorkflowDef = {
  name: "check_addresses",
  version: 1,
  schemaVersion: 2,
  ownerEmail: "samples@example.com",
  tasks: [
    {
      name: TASK_TYPE,
      taskReferenceName: "check",
      type: "SIMPLE",
      inputParameters: { text: "${workflow.input.text}" },
    },
  ],
};

/** No address; the hasty check tries all ways to divide it, twice as many for each letter. */
export const POISON = `${"a".repeat(40)}!`;

/** The address that is checked as the `number`th. */
export const addressOf = (number: number): string => `customer.${number}@example.com`;
