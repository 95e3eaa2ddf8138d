import { systemClock } from "../clock.js";
import { resolveAuth } from "../config/resolve-auth.js";
import { DEFAULT_SERVER_URL, parseServerUrl } from "../config/server-url.js";
import type { AuthOptions } from "../config/types.js";
import { ConfigurationError } from "../errors.js";
import { authenticated } from "../http/authenticated-transport.js";
import type { Transport } from "../http/exchange.js";
import { observed } from "../http/observed-transport.js";
import { createTransport } from "../http/transport.js";
import type { ClientSink } from "./client-sink.js";
import { MetadataClient } from "./metadata-client.js";
import { createTaskApi } from "./task-api.js";
import { TaskClient } from "./task-client.js";
import { WorkflowClient } from "./workflow-client.js";

export interface ConductorClientOptions {
  /**
   * Where Conductor's API is: `http://localhost:8080/api`; without a path, `/api` is added. The environment's
   * `CONDUCTOR_SERVER_URL` wins.
   */
  serverUrl?: string;
  /**
   * The access key that tokens are asked for with. Default: none, and requests go without a token. The environment's
   * `CONDUCTOR_AUTH_KEY` and `CONDUCTOR_AUTH_SECRET` win, both together.
   */
  auth?: AuthOptions;
  /** Total time for one request, in ms, waiting for a connection and for a token included. Default 10000. */
  requestTimeoutMs?: number;
}

/** Conductor's API, as far as a worker and its tests need it. */
export interface ConductorClient extends AsyncDisposable {
  readonly tasks: TaskClient;
  readonly metadata: MetadataClient;
  readonly workflows: WorkflowClient;
  /** Lets requests under way finish and closes the connections. */
  close(): Promise<void>;
}

const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;

/**
 * Makes a client with connections of its own. Throws `ConfigurationError` when an option is wrong.
 *
 * @param sink who is told of each request and each start; nobody by default.
 */
export function createConductorClient(options: ConductorClientOptions = {}, sink?: ClientSink): ConductorClient {
  const fromEnv = process.env.CONDUCTOR_SERVER_URL?.trim();
  const given = fromEnv !== undefined && fromEnv !== "" ? fromEnv : (options.serverUrl ?? DEFAULT_SERVER_URL);
  const { requestTimeoutMs = DEFAULT_REQUEST_TIMEOUT_MS } = options;
  const problems = new Set<string>();
  const parsed = parseServerUrl(given);
  if ("problem" in parsed) problems.add(`serverUrl ${parsed.problem}`);
  if (!(Number.isFinite(requestTimeoutMs) && requestTimeoutMs > 0)) {
    problems.add(`requestTimeoutMs must be a number of milliseconds above 0, got ${String(requestTimeoutMs)}`);
  }
  const { value: credentials } = resolveAuth(options.auth, process.env, problems);
  if (!("url" in parsed) || problems.size > 0) throw new ConfigurationError([...problems]);

  const plain = told(createTransport({ baseUrl: parsed.url }), sink);
  const transport =
    credentials === undefined ? plain : authenticated(plain, { credentials, clock: systemClock, requestTimeoutMs });
  const close = () => transport.close();
  return {
    tasks: new TaskClient(createTaskApi(transport, requestTimeoutMs)),
    metadata: new MetadataClient(transport, requestTimeoutMs),
    workflows: new WorkflowClient(transport, requestTimeoutMs, systemClock, sink),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function told(transport: Transport, sink: ClientSink | undefined): Transport {
  if (sink === undefined) return transport;
  return observed(transport, systemClock, ({ method, pathTemplate }, exchange, durationMs) => {
    sink.requestEnded(method, pathTemplate, exchange.kind === "answered" ? exchange.status : 0, durationMs);
  });
}
