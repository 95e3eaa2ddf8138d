import { buildConnector } from "undici";

import { systemClock, type Clock } from "../base/clock.js";
import { ConfigurationError } from "../base/errors.js";
import type { Exchange, HttpRequest, Lane, Transport } from "./exchange.js";
import { notSent } from "./fault.js";
import { Generation } from "./generation.js";
import { RequestLane } from "./lane.js";
import { afterSuccess, afterSuspicion, UNSUSPECTING } from "./recycling.js";
import { problemOf } from "./request-head.js";

export interface TransportOptions {
  /** Where the server is: `http://host:8080/api`. Its path is put before the path of each request. */
  baseUrl: string;
  /** Where time comes from. Default: the process's own clock. */
  clock?: Clock;
  /** Connections per lane at most; what is beyond waits in order, inside its deadline. Default 128. */
  maxConnectionsPerLane?: number;
  /**
   * Headers for every request, asked for when one is about to be sent. If it throws, or gives what HTTP does not allow,
   * the request is `notSent` with `INVALID_REQUEST`.
   */
  headers?: () => Readonly<Record<string, string>>;
  /** Connections were replaced: those of one lane by age, those of both by suspicion. */
  onRecycled?: (event: { reason: "age" | "suspicion"; lane?: Lane }) => void;
  /** The deadline of a request passed. */
  onDeadlineExceeded?: (lane: Lane) => void;
  /** How long making a connection may take, in ms; a request's own deadline counts as well. Default 5000. */
  connectTimeoutMs?: number;
  /** After how many ms a lane gets new connections. Default 300000 (5 minutes). */
  maxConnectionAgeMs?: number;
  /** The longest body that is accepted as an answer, in bytes. Default 268435456 (256 MiB). */
  maxBodyBytes?: number;
  /**
   * How long a request may take in all, beyond its deadline, while its answer keeps coming, in ms. Default 0: the
   * deadline holds whatever comes.
   */
  maxFlowingMs?: number;
}

/** TCP asks after a silent peer this soon; it gives up about ten seconds later. */
const TCP_KEEP_ALIVE_DELAY_MS = 2_000;

/**
 * A transport to one server over HTTP/1.1: two lanes with connections of their own, a total deadline on every request.
 * It opens no connection before the first request.
 *
 * @throws {ConfigurationError} `baseUrl` is no http or https URL
 */
export function createTransport(options: TransportOptions): Transport {
  const {
    clock = systemClock,
    maxConnectionsPerLane = 128,
    connectTimeoutMs = 5_000,
    maxConnectionAgeMs = 300_000,
    maxBodyBytes = 256 * 1024 * 1024,
    maxFlowingMs = 0,
    headers,
    onRecycled = () => {},
    onDeadlineExceeded = () => {},
  } = options;
  const { origin, pathPrefix } = parseBaseUrl(options.baseUrl);
  const connector = buildConnector({
    allowH2: false,
    timeout: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEP_ALIVE_DELAY_MS,
  });

  let suspicion = UNSUSPECTING;
  let closed: Promise<void> | undefined;

  const onSuspicion = (lane: RequestLane, generation: Generation): void => {
    // A fault on an older generation says nothing about the present one.
    if (closed !== undefined || !lane.isCurrent(generation)) return;
    const next = afterSuspicion(suspicion, clock.now());
    if (next === undefined) return;
    suspicion = next;
    // Both: the other lane's connections crossed the same middlebox.
    lanes.poll.recycle();
    lanes.main.recycle();
    tell(onRecycled, { reason: "suspicion" });
  };

  const createLane = (name: Lane): RequestLane =>
    new RequestLane({
      name,
      clock,
      pathPrefix,
      maxConnections: maxConnectionsPerLane,
      maxConnectionAgeMs,
      maxBodyBytes,
      maxFlowingMs,
      headers,
      createGeneration: () =>
        new Generation({ origin, connector, maxConnections: maxConnectionsPerLane, bornAtMs: clock.now() }),
      onRecycledByAge: (lane) => {
        tell(onRecycled, { reason: "age", lane });
      },
      onDeadlineExceeded: (lane) => {
        tell(onDeadlineExceeded, lane);
      },
      onAnswered: (lane, generation) => {
        if (lane.isCurrent(generation)) suspicion = afterSuccess(suspicion);
      },
      onSuspicion,
    });
  const lanes = { poll: createLane("poll"), main: createLane("main") };

  return {
    request(request: HttpRequest): Promise<Exchange> {
      if (closed !== undefined) return Promise.resolve(notSent("CLOSED", "the transport was closed"));
      const problem = problemOf(request);
      if (problem !== undefined) return Promise.resolve(notSent("INVALID_REQUEST", problem));
      return new Promise((resolve) => {
        lanes[request.lane].request(request, resolve);
      });
    },
    close(): Promise<void> {
      closed ??= Promise.all([lanes.poll.close(), lanes.main.close()]).then(() => {});
      return closed;
    },
  };
}

/** A listener can neither fail nor stop a request. */
function tell<T>(listener: (event: T) => void, event: T): void {
  try {
    listener(event);
  } catch {
    // Nobody to tell: the events of this room are counters.
  }
}

function parseBaseUrl(baseUrl: string): { origin: string; pathPrefix: string } {
  let url: URL;
  try {
    url = new URL(baseUrl);
  } catch {
    throw new ConfigurationError([`baseUrl is not a URL; it should look like http://localhost:8080/api`]);
  }
  const problems: string[] = [];
  if (url.protocol !== "http:" && url.protocol !== "https:")
    problems.push(`baseUrl must begin with http:// or https://`);
  if (url.username !== "" || url.password !== "") problems.push("baseUrl must not contain a user name or password");
  if (url.search !== "" || url.hash !== "") problems.push("baseUrl must not contain a query or a fragment");
  if (problems.length > 0) throw new ConfigurationError(problems);
  return { origin: url.origin, pathPrefix: url.pathname.replace(/\/+$/, "") };
}
