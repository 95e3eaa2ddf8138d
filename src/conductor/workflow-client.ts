import type { HttpRequest, Transport } from "../http/exchange.js";
import { isObject, parseJson, toReply, valueOf, type Check } from "./reply.js";
import type { StartWorkflowRequest, Workflow } from "./types.js";

/** Workflows. Every method throws `ConductorError` when the request fails; a start is never retried. */
export class WorkflowClient {
  readonly #transport: Transport;
  readonly #requestTimeoutMs: number;

  constructor(transport: Transport, requestTimeoutMs: number) {
    this.#transport = transport;
    this.#requestTimeoutMs = requestTimeoutMs;
  }

  /** Starts a workflow and returns its id. Its first tasks can be polled when this resolves. */
  async start(request: StartWorkflowRequest): Promise<string> {
    return this.#call("POST", "/workflow", "/workflow", JSON.stringify({ input: {}, ...request }), (answer) => {
      const id = answer.body.replace(/^"|"$/g, "");
      return id !== "" && !/[\s<>{}]/.test(id) ? id : undefined;
    });
  }

  /** A workflow, with its tasks unless `includeTasks` is false. */
  async get(workflowId: string, options: { includeTasks?: boolean } = {}): Promise<Workflow> {
    const query = options.includeTasks === false ? "?includeTasks=false" : "";
    const path = `/workflow/${encodeURIComponent(workflowId)}${query}`;
    return this.#call("GET", path, "/workflow/{workflowId}", undefined, (answer) => {
      const body = parseJson(answer.body);
      return isObject(body) && typeof body.workflowId === "string" ? (body as unknown as Workflow) : undefined;
    });
  }

  /** Terminates a running workflow. A completed one is refused (409), a terminated one stays as it is. */
  async terminate(workflowId: string, reason?: string): Promise<void> {
    const query = reason === undefined ? "" : `?reason=${encodeURIComponent(reason)}`;
    const path = `/workflow/${encodeURIComponent(workflowId)}${query}`;
    await this.#call("DELETE", path, "/workflow/{workflowId}", undefined, () => true);
  }

  async #call<T>(
    method: HttpRequest["method"],
    path: string,
    pathTemplate: string,
    body: string | undefined,
    check: Check<T>,
  ): Promise<T> {
    const request: HttpRequest = {
      lane: "main",
      method,
      path,
      pathTemplate,
      deadlineMs: this.#requestTimeoutMs,
      ...(body === undefined ? {} : { body }),
    };
    return valueOf(toReply(request, await this.#transport.request(request), check));
  }
}
