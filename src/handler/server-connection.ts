import { systemClock } from "../base/clock.js";
import type { HandlerConfig } from "../config/types.js";
import type { WorkerTopics } from "../events/emitter.js";
import { authenticated } from "../http/authenticated-transport.js";
import type { Transport } from "../http/exchange.js";
import { observed, type ObservedTransport } from "../http/observed-transport.js";
import type { TokenEvent } from "../http/token.js";
import { createTransport } from "../http/transport.js";
import { METER_TICK_MS } from "../liveness/event-loop-meter.js";
import type { Logger } from "../log/logger.js";
import { createRepeatLog } from "../log/repeat-log.js";

/** A request whose answer is still coming at its deadline, on this link or from this server, gets so much at most, in ms. */
const MAX_REQUEST_MS = 90_000;

export interface ServerConnectionOptions {
  readonly config: Pick<HandlerConfig, "serverUrl" | "auth" | "requestTimeoutMs">;
  readonly log: Logger;
  readonly events: WorkerTopics;
  /** What a request may take in all while its answer keeps coming, in ms: see {@link maxRequestMsOf}. */
  readonly maxRequestMs: number;
  /** The longest answer that is taken, in bytes. */
  readonly maxAnswerBytes: number;
  /** Wraps the transport, below everything that watches it; for tests. */
  readonly wrapTransport?: ((transport: Transport) => Transport) | undefined;
}

/**
 * The connection of one handler to its server: sends, with a token where the server wants one, and emits what becomes of
 * connections and requests. It is watched twice where there is a token: with and without the wait for it.
 */
export function connectToServer(options: ServerConnectionOptions): ObservedTransport {
  const { config, log, events, maxRequestMs, maxAnswerBytes, wrapTransport = (transport) => transport } = options;
  const { serverUrl, auth: credentials, requestTimeoutMs } = config;
  const transport = createTransport({
    baseUrl: serverUrl,
    maxFlowingMs: maxRequestMs,
    maxBodyBytes: maxAnswerBytes,
    onRecycled: ({ reason }) => {
      log.debug({ reason }, "connections replaced");
      if (events.connectionsRecycled.isHeard) events.connectionsRecycled.emit({ reason });
    },
    onDeadlineExceeded: (lane) => {
      if (events.deadlineExceeded.isHeard) events.deadlineExceeded.emit({ lane });
    },
  });
  const told = observed(
    wrapTransport(transport),
    systemClock,
    ({ lane, method, pathTemplate }, exchange, durationMs) => {
      if (!events.requestEnded.isHeard) return;
      const status = exchange.kind === "answered" ? exchange.status : 0;
      events.requestEnded.emit({ lane, method, pathTemplate, status, durationMs });
    },
  );
  if (credentials === undefined) return told;
  const onTokenEvent = tokenLog(log);
  const withToken = authenticated(told, { credentials, clock: systemClock, requestTimeoutMs, onTokenEvent });
  return observed(withToken, systemClock);
}

/**
 * What a request may take in all, in ms. It waits for its token as long as it may take itself; all of that must be over
 * before it looks stuck.
 */
export function maxRequestMsOf(
  { workers, requestTimeoutMs }: Pick<HandlerConfig, "workers" | "requestTimeoutMs">,
  stallMs: number,
): number {
  const longestDeadlineMs = Math.max(...workers.map(({ longPollMs }) => longPollMs)) + requestTimeoutMs;
  return Math.min(MAX_REQUEST_MS, stallMs - longestDeadlineMs - METER_TICK_MS);
}

/** Says once what became of asking for a token, and again when that changes. */
function tokenLog(log: Logger): (event: TokenEvent) => void {
  const repeatLog = createRepeatLog({ clock: systemClock, logger: log });
  return (event) => {
    if (event.kind === "failed") {
      repeatLog.failed("asking for a token", {}, event.message);
      return;
    }
    repeatLog.succeeded("asking for a token");
    if (event.kind === "anonymous") log.info({}, "the server has no token endpoint; requests go without a token");
    else log.debug({}, "a new token");
  };
}
