import { systemClock, type Clock } from "../base/clock.js";
import type { ClientSink } from "../conductor/client-sink.js";
import { isObject, parseJson, type Check } from "../conductor/reply.js";
import type {
  SearchResult,
  StartWorkflowRequest,
  Workflow,
  WorkflowState,
  WorkflowSummary,
} from "../conductor/types.js";
import type { Transport } from "../http/exchange.js";
import { createSend, hasTexts, objectWith, pathPart, queryOf, type Send } from "./requests.js";
import { checkWaitOptions, waitForWorkflow, type WaitForWorkflowOptions } from "./wait-for-workflow.js";

/** What {@link WorkflowClient.search} looks for. */
export interface SearchWorkflowsOptions {
  /** Conditions joined by AND: `workflowType='hello' AND status='FAILED'`, `status IN (FAILED,TIMED_OUT)`. Default: all. */
  query?: string;
  /** Words to find anywhere. Default `*`. Servers without a full-text index take it for nothing. */
  freeText?: string;
  /** How many to skip. Default 0. */
  start?: number;
  /** How many at most, up to 5000, the server's limit. Default 100. */
  size?: number;
  /** `startTime:DESC`; several are joined by `|`. Default: the server's order. */
  sort?: string;
}

/**
 * Workflows; `createConductorClient` makes it. Every method throws `ConductorError` when the request fails; a start is
 * never retried.
 */
export class WorkflowClient {
  readonly #send: Send;
  readonly #requestTimeoutMs: number;
  readonly #clock: Clock;
  readonly #sink: Pick<ClientSink, "workflowStarting" | "workflowStartFailed"> | undefined;

  /** @hidden It takes internal parts: `createConductorClient` makes one. */
  constructor(
    transport: Transport,
    requestTimeoutMs: number,
    clock: Clock = systemClock,
    sink?: Pick<ClientSink, "workflowStarting" | "workflowStartFailed">,
  ) {
    this.#send = createSend(transport, requestTimeoutMs);
    this.#requestTimeoutMs = requestTimeoutMs;
    this.#clock = clock;
    this.#sink = sink;
  }

  /**
   * Starts a workflow and returns its id. Its first tasks can be polled when this resolves. After a failure that leaves
   * open whether it was started (`DEADLINE_EXCEEDED`, `CONNECTION_LOST`), starting again may make two: look first, by
   * {@link search} with a `correlationId` of your own.
   */
  async start(request: StartWorkflowRequest): Promise<string> {
    if (this.#sink !== undefined) this.#sink.workflowStarting(request.name, request.version, sizeOf(request.input));
    try {
      return await this.#start(request);
    } catch (error) {
      this.#sink?.workflowStartFailed(request.name, error);
      throw error;
    }
  }

  #start(request: StartWorkflowRequest): Promise<string> {
    return this.#send({ method: "POST", path: "/workflow", body: { input: {}, ...request } }, (answer) => {
      const id = answer.body.replace(/^"|"$/g, "");
      return id !== "" && !/[\s<>{}]/.test(id) ? id : undefined;
    });
  }

  /** A workflow, with its tasks unless `includeTasks` is false; 404 when there is none. */
  async get(workflowId: string, options: { includeTasks?: boolean } = {}): Promise<Workflow> {
    return this.#get(workflowId, options.includeTasks !== false, this.#requestTimeoutMs);
  }

  /** Where a workflow stands: cheaper than {@link get}. Its output and variables come along if asked for. */
  async getStatus(
    workflowId: string,
    options: { includeOutput?: boolean; includeVariables?: boolean } = {},
  ): Promise<WorkflowState> {
    return this.#getStatus(workflowId, options, this.#requestTimeoutMs);
  }

  /** One page of the workflows that match. The server's index follows a little behind what happens. */
  async search(options: SearchWorkflowsOptions = {}): Promise<SearchResult<WorkflowSummary>> {
    const { query, freeText, start, size, sort } = options;
    const path = `/workflow/search${queryOf({ start, size, sort, freeText, query })}`;
    return this.#send({ method: "GET", path, pathTemplate: "/workflow/search" }, searchResult);
  }

  /** Terminates a running workflow. A completed one is refused (409), a terminated one stays as it is. */
  async terminate(workflowId: string, reason?: string): Promise<void> {
    const pathTemplate = "/workflow/{workflowId}";
    const id = pathPart(workflowId, "the workflow id", "DELETE", pathTemplate);
    await this.#send({ method: "DELETE", path: `/workflow/${id}${queryOf({ reason })}`, pathTemplate }, () => true);
  }

  /**
   * Waits until a workflow has ended, however it ended, and returns it with its tasks. A network fault or a 5xx on the way
   * is met by looking again; any other refusal (404, 401) is thrown.
   *
   * Throws `ConductorError` with the code `DEADLINE_EXCEEDED` when it has not ended within `timeoutMs`, and the reason of
   * `signal` when that aborts. The workflow goes on in both cases.
   */
  async waitFor(workflowId: string, options: WaitForWorkflowOptions): Promise<Workflow> {
    checkWaitOptions(options);
    const deadlineMs = (leftMs: number) => Math.max(1, Math.min(this.#requestTimeoutMs, Math.ceil(leftMs)));
    return waitForWorkflow(workflowId, options, {
      clock: this.#clock,
      getStatus: (leftMs) => this.#getStatus(workflowId, {}, deadlineMs(leftMs)),
      get: (leftMs) => this.#get(workflowId, true, deadlineMs(leftMs)),
    });
  }

  #get(workflowId: string, includeTasks: boolean, deadlineMs: number): Promise<Workflow> {
    const pathTemplate = "/workflow/{workflowId}";
    const id = pathPart(workflowId, "the workflow id", "GET", pathTemplate);
    const path = `/workflow/${id}${includeTasks ? "" : "?includeTasks=false"}`;
    return this.#send({ method: "GET", path, pathTemplate, deadlineMs }, objectWith<Workflow>("workflowId"));
  }

  #getStatus(
    workflowId: string,
    { includeOutput, includeVariables }: { includeOutput?: boolean; includeVariables?: boolean },
    deadlineMs: number,
  ): Promise<WorkflowState> {
    const pathTemplate = "/workflow/{workflowId}/status";
    const id = pathPart(workflowId, "the workflow id", "GET", pathTemplate);
    const path = `/workflow/${id}/status${queryOf({ includeOutput, includeVariables })}`;
    return this.#send(
      { method: "GET", path, pathTemplate, deadlineMs },
      objectWith<WorkflowState>("workflowId", "status"),
    );
  }
}

/** In bytes as JSON; 0 for what cannot be serialised, for that is not sent either. */
function sizeOf(input: unknown): number {
  try {
    return Buffer.byteLength(JSON.stringify(input ?? {}));
  } catch {
    return 0;
  }
}

const searchResult: Check<SearchResult<WorkflowSummary>> = ({ body }) => {
  const json = parseJson(body);
  if (!isObject(json) || typeof json.totalHits !== "number") return undefined;
  const { results } = json;
  if (!Array.isArray(results) || !results.every((entry) => hasTexts(entry, ["workflowId", "status"]))) return undefined;
  return json as unknown as SearchResult<WorkflowSummary>;
};
