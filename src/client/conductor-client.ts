import { systemClock } from "../base/clock.js";
import { ConfigurationError } from "../base/errors.js";
import type { ClientSink } from "../conductor/client-sink.js";
import { createTaskApi } from "../conductor/task-api.js";
import { didYouMean } from "../config/nearest.js";
import { decimal, find, quote } from "../config/parse.js";
import { resolveAuth } from "../config/resolve-auth.js";
import { resolveServerUrl } from "../config/server-url.js";
import type { AuthOptions } from "../config/types.js";
import { authenticated } from "../http/authenticated-transport.js";
import type { Transport } from "../http/exchange.js";
import { observed } from "../http/observed-transport.js";
import { createTransport } from "../http/transport.js";
import { createClientMetrics } from "../metrics/client-metrics.js";
import { isMetricsRegistry, type MetricsRegistry } from "../metrics/registry.js";
import { MetadataClient } from "./metadata-client.js";
import { TaskClient } from "./task-client.js";
import { WorkflowClient } from "./workflow-client.js";

/** The options of {@link createConductorClient}. */
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
  /**
   * Total time for one request, in ms, waiting for a connection and for a token included. Default 10000. (Here
   * `CONDUCTOR_REQUEST_TIMEOUT_MS` is not read: it is for workers.)
   */
  requestTimeoutMs?: number;
  /**
   * The prom-client registry that the client's requests and its starts of workflows are counted in; it may be the one of
   * a `TaskHandler`. Default: nothing is counted.
   */
  registry?: MetricsRegistry;
}

/** Conductor's API, as far as a worker and its tests need it. */
export interface ConductorClient extends AsyncDisposable {
  readonly tasks: TaskClient;
  readonly metadata: MetadataClient;
  readonly workflows: WorkflowClient;
  /** Lets requests under way finish and closes the connections. */
  close(): Promise<void>;
}

/** The one list of the options; the compiler holds it to the interface. */
const OPTIONS = { serverUrl: true, auth: true, requestTimeoutMs: true, registry: true } satisfies Record<
  keyof ConductorClientOptions,
  true
>;

/** Node's timers cannot be longer. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const requestTimeoutKind = decimal(
  (value) => value > 0 && value <= MAX_TIMER_MS,
  `a number of milliseconds above 0 and up to ${MAX_TIMER_MS}`,
);

/** Makes a client with connections of its own. Throws `ConfigurationError` when an option is wrong. */
export function createConductorClient(options: ConductorClientOptions = {}): ConductorClient {
  const given: unknown = options;
  if (typeof given !== "object" || given === null) {
    const hint = typeof given === "string" ? `; write { serverUrl: ${quote(given)} }` : "";
    throw new ConfigurationError([`the client must be given its options as an object, got ${quote(given)}${hint}`]);
  }
  const problems = new Set<string>();
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(OPTIONS, name))
      problems.add(`option ${name} does not exist${didYouMean(name, Object.keys(OPTIONS))}`);
  }
  const { value: baseUrl } = resolveServerUrl(options.serverUrl, process.env, problems);
  const { value: requestTimeoutMs } = find(
    requestTimeoutKind,
    { env: {}, variables: [], option: "option requestTimeoutMs", code: options.requestTimeoutMs, fallback: 10_000 },
    problems,
  );
  const { value: credentials } = resolveAuth(options.auth, process.env, problems);
  const { registry } = options;
  if (registry !== undefined && !isMetricsRegistry(registry))
    problems.add("option registry must be a prom-client Registry");
  if (problems.size > 0) throw new ConfigurationError([...problems]);

  const sink = registry === undefined ? undefined : createClientMetrics(registry);
  const plain = told(createTransport({ baseUrl }), sink);
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
