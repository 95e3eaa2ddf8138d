import type { TaskDef, WorkflowTask } from "../../conductor/types.js";
import { checkIsEmbeddable, taskDefErrors, workflowDefErrors } from "./definition-checks.js";
import { type CompleteTaskDef, completeTaskDef, type CompleteWorkflowDef, completeWorkflowDef } from "./definitions.js";
import { conflict, fault, invalid, notFound, type ValidationError } from "./refusal.js";

/** A workflow definition made ready to run: what follows what, and the task definitions as they are at the start. */
export interface RunnableWorkflow {
  readonly definition: CompleteWorkflowDef;
  readonly first: RunnableTask;
}

export interface RunnableTask {
  /** With `taskDefinition` filled in, as the server shows it. */
  readonly workflowTask: WorkflowTask;
  readonly definition: CompleteTaskDef;
  readonly next: RunnableTask | undefined;
  /** The first task of each branch of a fork. */
  readonly branches: readonly RunnableTask[];
}

/** The registered definitions. */
export class Metadata {
  private readonly taskDefs = new Map<string, CompleteTaskDef>();
  private readonly workflowDefs = new Map<string, Map<number, CompleteWorkflowDef>>();
  /** Emptied whenever a definition changes: running workflows keep the definitions they were started with. */
  private readonly runnable = new Map<CompleteWorkflowDef, RunnableWorkflow>();

  putTaskDefs(inputs: readonly unknown[], now: number): void {
    if (inputs.length === 0) {
      throw invalid([{ path: "registerTaskDef.arg0", message: "TaskDefList is empty" }]);
    }
    const definitions = inputs.map((input) => completeTaskDef(input, now));
    refuseIfAny(
      definitions.flatMap((definition, index) => taskDefErrors(definition, `registerTaskDef.arg0[${index}]`)),
    );
    for (const definition of definitions) this.taskDefs.set(definition.name, definition);
    this.runnable.clear();
  }

  updateTaskDef(input: unknown, now: number): void {
    const definition = completeTaskDef(input, now);
    refuseIfAny(taskDefErrors(definition, "updateTaskDef.arg0"));
    const existing = this.taskDefs.get(definition.name);
    if (existing === undefined) throw notFound(`No such task by name ${definition.name}`);
    this.taskDefs.set(definition.name, { ...definition, createTime: existing.createTime, updateTime: now });
    this.runnable.clear();
  }

  listTaskDefs(): CompleteTaskDef[] {
    return [...this.taskDefs.values()];
  }

  taskDef(name: string): CompleteTaskDef {
    const definition = this.taskDefs.get(name);
    if (definition === undefined) throw notFound(`No such taskType found by name: ${name}`);
    return definition;
  }

  removeTaskDef(name: string): void {
    if (!this.taskDefs.delete(name)) throw fault("No such task definition");
    this.runnable.clear();
  }

  addWorkflowDef(input: unknown, overwrite: boolean, now: number): void {
    const definition = completeWorkflowDef(input, now);
    refuseIfAny(workflowDefErrors(definition, "registerWorkflowDef.arg0"));
    checkIsEmbeddable(definition);
    const { name, version } = definition;
    if (!overwrite && this.workflowDefs.get(name)?.has(version) === true) {
      throw conflict(`Workflow with ${name}.${version} already exists!`);
    }
    this.store(definition);
  }

  /** All of them or, when one is not valid, none. Gives their names. */
  putWorkflowDefs(inputs: readonly unknown[], now: number): string[] {
    const definitions = inputs.map((input) => completeWorkflowDef(input, now));
    refuseIfAny(
      definitions.flatMap((definition, index) => workflowDefErrors(definition, `updateWorkflowDef.arg0[${index}]`)),
    );
    definitions.forEach(checkIsEmbeddable);
    for (const definition of definitions) this.store(definition);
    return definitions.map(({ name }) => name);
  }

  validateWorkflowDef(input: unknown, now: number): void {
    const definition = completeWorkflowDef(input, now);
    refuseIfAny(workflowDefErrors(definition, "validateWorkflowDef.arg0"));
    checkIsEmbeddable(definition);
  }

  listWorkflowDefs(): CompleteWorkflowDef[] {
    return [...this.workflowDefs.values()].flatMap((versions) => [...versions.values()]);
  }

  /** Without a version: the latest. */
  findWorkflowDef(name: string, version: number | undefined): CompleteWorkflowDef | undefined {
    const versions = this.workflowDefs.get(name);
    return versions?.get(version ?? Math.max(...versions.keys()));
  }

  workflowDef(name: string, version: number | undefined): CompleteWorkflowDef {
    const definition = this.findWorkflowDef(name, version);
    if (definition === undefined) {
      throw notFound(`No such workflow found by name: ${name}, version: ${version ?? "null"}`);
    }
    return definition;
  }

  removeWorkflowDef(name: string, version: number): void {
    const versions = this.workflowDefs.get(name);
    const definition = versions?.get(version);
    if (versions === undefined || definition === undefined) {
      throw fault(`No such workflow definition: ${name} version: ${version}`);
    }
    versions.delete(version);
    if (versions.size === 0) this.workflowDefs.delete(name);
    this.runnable.delete(definition);
  }

  /** Made once for each state of the definitions, so that starting a workflow costs no copying. */
  prepare(definition: CompleteWorkflowDef, now: number): RunnableWorkflow {
    let prepared = this.runnable.get(definition);
    if (prepared === undefined) {
      prepared = this.makeRunnable(definition, now);
      // Definitions that came with a start request are used once.
      if (this.workflowDefs.get(definition.name)?.get(definition.version) === definition) {
        this.runnable.set(definition, prepared);
      }
    }
    return prepared;
  }

  private makeRunnable(definition: CompleteWorkflowDef, now: number): RunnableWorkflow {
    const tasks = definition.tasks.map((task) => this.withTaskDefinition(task, now));
    const first = linked(tasks);
    if (first === undefined) throw conflict(`Workflow ${definition.name} has no tasks`);
    return { definition: { ...definition, tasks }, first };
  }

  private withTaskDefinition(task: WorkflowTask, now: number): WorkflowTask {
    if (task.type === "FORK_JOIN") {
      const branches = (task.forkTasks ?? []).map((branch) => branch.map((one) => this.withTaskDefinition(one, now)));
      return { ...task, forkTasks: branches };
    }
    if (task.type === "JOIN") return task;
    return { ...task, taskDefinition: this.taskDefinitionFor(task, now) };
  }

  /** Inline, registered, or the default that a task without a definition gets. */
  private taskDefinitionFor(task: WorkflowTask, now: number): TaskDef {
    if (task.taskDefinition) return completeTaskDef({ ...task.taskDefinition, name: task.name }, now);
    return this.taskDefs.get(task.name) ?? completeTaskDef({ name: task.name }, now);
  }

  private store(definition: CompleteWorkflowDef): void {
    const versions = this.workflowDefs.get(definition.name) ?? new Map<number, CompleteWorkflowDef>();
    versions.set(definition.version, definition);
    this.workflowDefs.set(definition.name, versions);
    this.runnable.clear();
  }
}

function refuseIfAny(errors: readonly ValidationError[]): void {
  if (errors.length > 0) throw invalid(errors);
}

function linked(sequence: readonly WorkflowTask[]): RunnableTask | undefined {
  let next: RunnableTask | undefined;
  for (const workflowTask of [...sequence].reverse()) {
    const branches = (workflowTask.forkTasks ?? []).map(linked).filter((branch) => branch !== undefined);
    const definition = (workflowTask.taskDefinition ?? SYSTEM_TASK) as CompleteTaskDef;
    next = { workflowTask, definition, next, branches };
  }
  return next;
}

/** Forks and joins have no definition; nothing reads theirs. */
const SYSTEM_TASK = completeTaskDef({ name: "SYSTEM" }, 0);
