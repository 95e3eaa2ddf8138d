import type { WorkflowTask } from "../../conductor/types.js";
import { allWorkflowTasks, type CompleteTaskDef, type CompleteWorkflowDef } from "./definitions.js";
import { referencesIn, unsupportedPaths } from "./expressions.js";
import { badRequest, type ValidationError } from "./refusal.js";

/** The types of workflow task this server has. */
const TASK_TYPES = ["SIMPLE", "FORK_JOIN", "JOIN"];

/** The server's constraints of a task definition; `path` is where it stands in the request. */
export function taskDefErrors(definition: CompleteTaskDef, path: string): ValidationError[] {
  const errors: ValidationError[] = [];
  const { name, responseTimeoutSeconds, timeoutSeconds, totalTimeoutSeconds } = definition;
  const atLeast = (field: string, minimum: number, message: string): void => {
    const value = definition[field];
    if (typeof value === "number" && value < minimum) {
      errors.push({ path: `${path}.${field}`, message, invalidValue: String(value) });
    }
  };
  if (name === "") {
    errors.push({ path: `${path}.name`, message: "TaskDef name cannot be null or empty", invalidValue: "" });
  }
  atLeast("retryCount", 0, "TaskDef retryCount: 0 must be >= 0");
  atLeast(
    "responseTimeoutSeconds",
    1,
    `TaskDef responseTimeoutSeconds: ${responseTimeoutSeconds} should be minimum 1 second`,
  );
  atLeast("pollTimeoutSeconds", 0, "TaskDef pollTimeoutSeconds: 0 must be >= 0");
  atLeast("backoffScaleFactor", 1, "Backoff scale factor. Applicable for LINEAR_BACKOFF");
  atLeast("maxRetryDelaySeconds", 0, "TaskDef maxRetryDelaySeconds: 0 must be >= 0");
  atLeast("backoffJitterMs", 0, "TaskDef backoffJitterMs: 0 must be >= 0");
  atLeast("totalTimeoutSeconds", 0, "TaskDef totalTimeoutSeconds: 0 must be >= 0");
  if (timeoutSeconds > 0 && responseTimeoutSeconds > timeoutSeconds) {
    const message = `TaskDef: ${name} responseTimeoutSeconds: ${responseTimeoutSeconds} must be less than timeoutSeconds: ${timeoutSeconds}`;
    errors.push({ path, message });
  }
  if (timeoutSeconds > 0 && totalTimeoutSeconds > 0 && timeoutSeconds > totalTimeoutSeconds) {
    const message = `TaskDef: ${name} timeoutSeconds: ${timeoutSeconds} must be less than or equal to totalTimeoutSeconds: ${totalTimeoutSeconds}`;
    errors.push({ path, message });
  }
  return errors;
}

/** The server's constraints of a workflow definition. */
export function workflowDefErrors(definition: CompleteWorkflowDef, path: string): ValidationError[] {
  const { name, tasks, schemaVersion } = definition;
  const errors: ValidationError[] = [];
  if (name === "") {
    errors.push({ path: `${path}.name`, message: "WorkflowDef name cannot be null or empty", invalidValue: "" });
  }
  if (tasks.length === 0) errors.push({ path: `${path}.tasks`, message: "WorkflowTask list cannot be empty" });
  if (schemaVersion !== 2) {
    const message = "workflowDef schemaVersion: 2 is only supported";
    errors.push({ path: `${path}.schemaVersion`, message, invalidValue: String(schemaVersion) });
  }
  tasks.forEach((task, index) => {
    const at = `${path}.tasks[${index}]`;
    if (task.name === "") {
      errors.push({ path: `${at}.name`, message: "WorkflowTask name cannot be empty or null", invalidValue: "" });
    }
    if (task.taskReferenceName === "") {
      const message = "WorkflowTask taskReferenceName name cannot be empty or null";
      errors.push({ path: `${at}.taskReferenceName`, message, invalidValue: "" });
    }
  });
  errors.push(...referenceErrors(definition, path));
  return errors;
}

/** Reference names are unique, and what the inputs refer to exists. (The server checks inputs outside of forks only.) */
function referenceErrors({ name, tasks }: CompleteWorkflowDef, path: string): ValidationError[] {
  const errors: ValidationError[] = [];
  const references = new Set<string>();
  for (const { taskReferenceName } of allWorkflowTasks(tasks)) {
    if (references.has(taskReferenceName)) {
      const message = `taskReferenceName: ${taskReferenceName} should be unique across tasks for a given workflowDefinition: ${name}`;
      errors.push({ path, message });
    }
    references.add(taskReferenceName);
  }
  for (const task of tasks) {
    for (const [parameter, value] of Object.entries(task.inputParameters ?? {})) {
      for (const { reference, expression } of referencesIn(value)) {
        if (reference === "workflow" || references.has(reference)) continue;
        const message = `taskReferenceName: ${reference} for given task: ${task.name} input value: ${parameter} of input parameter: ${expression} is not defined in workflow definition.`;
        errors.push({ path, message });
      }
    }
  }
  return errors;
}

/** What the real server has and this one has not, said by name rather than left to fail later. Throws a refusal. */
export function checkIsEmbeddable(definition: CompleteWorkflowDef): void {
  const refuse = (what: string): never => {
    throw badRequest(`The embedded Conductor ${what}. Use a real server for workflow ${definition.name}.`);
  };
  for (const task of allWorkflowTasks(definition.tasks)) {
    const type = task.type ?? "SIMPLE";
    if (!TASK_TYPES.includes(type)) {
      const what = `does not have tasks of type ${type} (task ${task.taskReferenceName})`;
      refuse(`${what}; it has ${TASK_TYPES.join(", ")}`);
    }
    for (const path of unsupportedPaths(task.inputParameters)) {
      refuse(`cannot evaluate the expression \${${path}} (task ${task.taskReferenceName})`);
    }
  }
  for (const path of unsupportedPaths(definition.outputParameters)) {
    refuse(`cannot evaluate the expression \${${path}} (outputParameters)`);
  }
  if (typeof definition.failureWorkflow === "string" && definition.failureWorkflow !== "") {
    refuse(`does not start failure workflows (failureWorkflow ${definition.failureWorkflow})`);
  }
  checkForks(definition.tasks, refuse);
}

function checkForks(sequence: readonly WorkflowTask[], refuse: (what: string) => never): void {
  sequence.forEach((task, index) => {
    if (task.type !== "FORK_JOIN") return;
    if (sequence[index + 1]?.type !== "JOIN") {
      refuse(`wants a JOIN directly after the FORK_JOIN ${task.taskReferenceName}`);
    }
    for (const branch of task.forkTasks ?? []) checkForks(branch, refuse);
  });
}
