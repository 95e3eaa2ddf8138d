import { ConductorError } from "../conductor/errors.js";
import { isObject, parseJson, type Check } from "../conductor/reply.js";
import type { TaskDef, WorkflowDef } from "../conductor/types.js";
import type { Transport } from "../http/exchange.js";
import {
  arrayWith,
  createSend,
  invalidRequest,
  nothing,
  objectWith,
  pathPart,
  queryOf,
  type Send,
} from "./requests.js";

const TASK_DEFS = "/metadata/taskdefs";
const WORKFLOW_DEFS = "/metadata/workflow";

/**
 * Definitions of tasks and workflows, one request each; `createConductorClient` makes it. Every method throws `ConductorError` when the request fails;
 * nothing is retried.
 */
export class MetadataClient {
  readonly #send: Send;

  /** @hidden It takes internal parts: `createConductorClient` makes one. */
  constructor(transport: Transport, requestTimeoutMs: number) {
    this.#send = createSend(transport, requestTimeoutMs);
  }

  /**
   * Creates task definitions, or overwrites those that exist: a field that is left out gets Conductor's default, not
   * what it was. One that is not valid makes the server refuse all of them.
   */
  async registerTaskDefs(definitions: readonly TaskDef[]): Promise<void> {
    await this.#write("POST", TASK_DEFS, definitions);
  }

  /** Overwrites one task definition that exists; 404 when it does not. As a whole: see {@link registerTaskDefs}. */
  async updateTaskDef(definition: TaskDef): Promise<void> {
    await this.#write("PUT", TASK_DEFS, definition);
  }

  /** A task definition; 404 when there is none of that name. */
  async getTaskDef(name: string): Promise<TaskDef> {
    const pathTemplate = `${TASK_DEFS}/{name}`;
    const path = `${TASK_DEFS}/${pathPart(name, "the name", "GET", pathTemplate)}`;
    return this.#send({ method: "GET", path, pathTemplate }, objectWith<TaskDef>("name"));
  }

  /** All task definitions. */
  async listTaskDefs(): Promise<TaskDef[]> {
    return this.#send({ method: "GET", path: TASK_DEFS }, arrayWith<TaskDef>("name"));
  }

  /** Deletes a task definition. For one that does not exist, Conductor OSS answers 500. */
  async deleteTaskDef(name: string): Promise<void> {
    const pathTemplate = `${TASK_DEFS}/{name}`;
    const path = `${TASK_DEFS}/${pathPart(name, "the name", "DELETE", pathTemplate)}`;
    await this.#send({ method: "DELETE", path, pathTemplate }, nothing);
  }

  /**
   * Creates a workflow definition. One of the same name and version is refused (409), or replaced with `overwrite`
   * (default false). Workflows that run keep the definition they were started with.
   */
  async registerWorkflowDef(definition: WorkflowDef, options: { overwrite?: boolean } = {}): Promise<void> {
    const path = `${WORKFLOW_DEFS}${queryOf({ overwrite: options.overwrite })}`;
    await this.#send({ method: "POST", path, pathTemplate: WORKFLOW_DEFS, body: definition }, nothing);
  }

  /**
   * Creates workflow definitions, or overwrites those of the same name and version. One that is not valid makes the
   * server refuse all of them; what it refuses of them singly is an error that names it, and the others are written.
   */
  async registerWorkflowDefs(definitions: readonly WorkflowDef[]): Promise<void> {
    await this.#write("PUT", WORKFLOW_DEFS, definitions);
  }

  /** A workflow definition, the latest version unless one is named; 404 when there is none. */
  async getWorkflowDef(name: string, version?: number): Promise<WorkflowDef> {
    const pathTemplate = `${WORKFLOW_DEFS}/{name}`;
    const path = `${WORKFLOW_DEFS}/${pathPart(name, "the name", "GET", pathTemplate)}${queryOf({ version })}`;
    return this.#send({ method: "GET", path, pathTemplate }, objectWith<WorkflowDef>("name"));
  }

  /** All workflow definitions, in all versions. */
  async listWorkflowDefs(): Promise<WorkflowDef[]> {
    return this.#send({ method: "GET", path: WORKFLOW_DEFS }, arrayWith<WorkflowDef>("name"));
  }

  /** Deletes one version of a workflow definition. For one that does not exist, Conductor OSS answers 500. */
  async deleteWorkflowDef(name: string, version: number): Promise<void> {
    const pathTemplate = `${WORKFLOW_DEFS}/{name}/{version}`;
    if (!Number.isInteger(version)) {
      throw invalidRequest("DELETE", pathTemplate, `the version must be a whole number, got ${String(version)}`);
    }
    const path = `${WORKFLOW_DEFS}/${pathPart(name, "the name", "DELETE", pathTemplate)}/${version}`;
    await this.#send({ method: "DELETE", path, pathTemplate }, nothing);
  }

  async #write(method: "POST" | "PUT", path: string, body: unknown): Promise<void> {
    const answer = await this.#send({ method, path, body }, objectOrNothing);
    // A bulk request answers 200 even when some of it was refused.
    const refused = answer.bulkErrorResults;
    if (!isObject(refused) || Object.keys(refused).length === 0) return;
    const said = Object.entries(refused).map(([name, why]) => `${name}: ${String(why)}`);
    throw new ConductorError({
      code: "SERVER_REFUSED",
      message: said.join("; "),
      serverMessage: said.join("; "),
      method,
      pathTemplate: path,
      status: 200,
      retryable: false,
    });
  }
}

const objectOrNothing: Check<Record<string, unknown>> = ({ body }) => {
  const json = body === "" ? {} : parseJson(body);
  return isObject(json) ? json : undefined;
};
