import type { TaskDef, WorkflowDef } from "ostinato";

export const WORKFLOW_NAME = "metrics_demo";
/** One task whose function goes on long after its deadline. Input: `goOnForSeconds`. */
export const STUBBORN_WORKFLOW_NAME = "metrics_demo_stubborn";

const OWNER = "samples@example.com";
const TASK_TYPES = ["demo_quick", "demo_flaky", "demo_slow", "demo_stubborn"] as const;
type TaskType = (typeof TASK_TYPES)[number];

/** Definitions are overwritten where they exist. */
export const taskDefs: readonly TaskDef[] = TASK_TYPES.map((name) => ({
  name,
  ownerEmail: OWNER,
  retryCount: name === "demo_stubborn" ? 0 : 3,
  retryDelaySeconds: 0,
  // The slow ones run longer than that: their lease is extended.
  responseTimeoutSeconds: name === "demo_slow" ? 2 : 30,
}));

export const workflowDefs: readonly WorkflowDef[] = [
  workflow(WORKFLOW_NAME, ["demo_quick", "demo_flaky", "demo_slow"], { number: "${workflow.input.number}" }),
  workflow(STUBBORN_WORKFLOW_NAME, ["demo_stubborn"], { goOnForSeconds: "${workflow.input.goOnForSeconds}" }),
];

function workflow(name: string, steps: readonly TaskType[], inputParameters: Record<string, string>): WorkflowDef {
  return {
    name,
    version: 1,
    schemaVersion: 2,
    ownerEmail: OWNER,
    tasks: steps.map((step) => ({ name: step, taskReferenceName: step, type: "SIMPLE", inputParameters })),
  };
}
