import { randomUUID } from "node:crypto";
import type { JsonObject, StartWorkflowRequest, Task, Workflow } from "../../conductor/types.js";
import { decide, endWorkflow, setWorkflowAlarm } from "./decide.js";
import { checkIsEmbeddable, workflowDefErrors } from "./definition-checks.js";
import { type CompleteWorkflowDef, completeWorkflowDef } from "./definitions.js";
import { isWorkflowEnded, type TaskRecord, type WorkflowRecord } from "./model.js";
import { badRequest, conflict, fault, invalid, notFound } from "./refusal.js";
import { schedule } from "./scheduling.js";
import { type EngineState, setOf } from "./state.js";

/** What a start request may be before it is checked. */
export type UncheckedStart = Partial<Omit<StartWorkflowRequest, "input">> & { input?: JsonObject | null };

/** Starts a workflow; its first tasks can be polled when this returns. Gives its id. */
export function startWorkflow(state: EngineState, request: UncheckedStart, now: number): string {
  const { name, priority = 0 } = request;
  if (typeof name !== "string") {
    const path = "startWorkflow.arg0.name";
    throw invalid([{ path, message: "Workflow name cannot be null or empty" }]);
  }
  if (priority < 0 || priority > 99) {
    const message = `priority: ${priority} should be ${priority < 0 ? "minimum 0" : "maximum 99"}`;
    throw invalid([{ path: "startWorkflow.arg0.priority", message, invalidValue: String(priority) }]);
  }
  const definition = definitionFor(state, request, name, now);
  if (request.input === null) {
    throw badRequest("NULL input passed when starting workflow");
  }
  const record = createWorkflow(state, definition, request, now);
  const { workflowId } = record.workflow;
  state.workflows.set(workflowId, record);
  setOf(state.runningWorkflows, definition.name).add(record);
  schedule(state, record, record.runnable.first, now);
  decide(state, record, now);
  return workflowId;
}

function definitionFor(state: EngineState, request: UncheckedStart, name: string, now: number): CompleteWorkflowDef {
  if (request.workflowDef) {
    const definition = completeWorkflowDef(request.workflowDef, now);
    const errors = workflowDefErrors(definition, "startWorkflow.arg0.workflowDef");
    if (errors.length > 0) throw invalid(errors);
    checkIsEmbeddable(definition);
    return definition;
  }
  const definition = state.metadata.findWorkflowDef(name, request.version);
  if (definition === undefined) {
    throw notFound(`No such workflow defined. name=${name}, version=${request.version ?? "null"}`);
  }
  return definition;
}

function createWorkflow(
  state: EngineState,
  definition: CompleteWorkflowDef,
  { input, correlationId, priority = 0, taskToDomain }: UncheckedStart,
  now: number,
): WorkflowRecord {
  const runnable = state.metadata.prepare(definition, now);
  const workflow: Workflow = {
    workflowId: randomUUID(),
    status: "RUNNING",
    workflowName: definition.name,
    workflowVersion: definition.version,
    workflowDefinition: runnable.definition,
    input: { ...definition.inputTemplate, ...input },
    output: {},
    tasks: [],
    createTime: now,
    startTime: now,
    updateTime: now,
    endTime: 0,
    priority,
    variables: {},
    taskToDomain: taskToDomain ?? {},
    failedReferenceTaskNames: [],
    failedTaskNames: [],
    lastRetriedTime: 0,
    ownerApp: "",
    history: [],
    rateLimited: false,
    ...(correlationId !== undefined && { correlationId }),
  };
  return {
    workflow,
    runnable,
    tasks: [],
    byReference: new Map(),
    pending: new Set(),
    taskToDomain: taskToDomain ?? {},
    alarm: undefined,
  };
}

export function workflowById(state: EngineState, workflowId: string): WorkflowRecord {
  const record = state.workflows.get(workflowId);
  if (record === undefined) throw notFound(`No such workflow found by id: ${workflowId}`);
  return record;
}

export function taskById(state: EngineState, taskId: string): TaskRecord {
  const record = state.tasks.get(taskId);
  if (record === undefined) throw notFound(`No such task found by id: ${taskId}`);
  return record;
}

/** A copy as the API shows it. */
export function workflowOf({ workflow, tasks }: WorkflowRecord, includeTasks: boolean): Workflow {
  return { ...workflow, tasks: includeTasks ? tasks.map(({ task }): Task => ({ ...task })) : [] };
}

export function terminateWorkflow(state: EngineState, record: WorkflowRecord, reason: string, now: number): void {
  if (record.workflow.status === "COMPLETED") throw conflict("Cannot terminate a COMPLETED workflow.");
  // One that failed or timed out becomes TERMINATED, too.
  if (record.workflow.status === "TERMINATED") return;
  endWorkflow(state, record, { status: "TERMINATED", reason }, now);
}

export function pauseWorkflow(state: EngineState, record: WorkflowRecord, now: number): void {
  const { workflow } = record;
  if (isWorkflowEnded(record)) {
    const name = `${workflow.workflowName}.${workflow.workflowVersion}/${workflow.workflowId}`;
    throw conflict(`Workflow ${name} has ended, status cannot be updated.`);
  }
  workflow.status = "PAUSED";
  workflow.updateTime = now;
  setWorkflowAlarm(state, record);
}

export function resumeWorkflow(state: EngineState, record: WorkflowRecord, now: number): void {
  const { workflow } = record;
  if (workflow.status !== "PAUSED") {
    throw fault(
      `The workflow ${workflow.workflowId} is not PAUSED so cannot resume. Current status is ${workflow.status}`,
    );
  }
  workflow.status = "RUNNING";
  workflow.updateTime = now;
  decide(state, record, now);
}
