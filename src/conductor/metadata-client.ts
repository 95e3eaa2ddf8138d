import type { HttpRequest, Transport } from "../http/exchange.js";
import { ConductorError } from "./errors.js";
import { isObject, parseJson, toReply, valueOf } from "./reply.js";
import type { TaskDef, WorkflowDef } from "./types.js";

/** Definitions of tasks and workflows. Every method throws `ConductorError` when the request fails. */
export class MetadataClient {
  readonly #transport: Transport;
  readonly #requestTimeoutMs: number;

  constructor(transport: Transport, requestTimeoutMs: number) {
    this.#transport = transport;
    this.#requestTimeoutMs = requestTimeoutMs;
  }

  /** Creates task definitions, or overwrites those that exist. */
  async registerTaskDefs(definitions: readonly TaskDef[]): Promise<void> {
    await this.#write("POST", "/metadata/taskdefs", definitions);
  }

  /** Creates workflow definitions, or overwrites those of the same name and version. */
  async registerWorkflowDefs(definitions: readonly WorkflowDef[]): Promise<void> {
    await this.#write("PUT", "/metadata/workflow", definitions);
  }

  async #write(method: "POST" | "PUT", path: string, body: unknown): Promise<void> {
    const request: HttpRequest = {
      lane: "main",
      method,
      path,
      pathTemplate: path,
      body: JSON.stringify(body),
      deadlineMs: this.#requestTimeoutMs,
    };
    const exchange = await this.#transport.request(request);
    const answer = valueOf(
      toReply(request, exchange, ({ body }) => {
        const json = body === "" ? {} : parseJson(body);
        return isObject(json) ? json : undefined;
      }),
    );
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
