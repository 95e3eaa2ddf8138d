import type { Clock } from "../base/clock.js";
import type { Exchange, HttpRequest, Transport } from "./exchange.js";
import { notSent } from "./fault.js";
import { redactor, TokenSource, type Credentials, type TokenAnswer, type TokenEvent } from "./token.js";

export interface AuthenticationOptions {
  readonly credentials: Credentials;
  readonly clock: Clock;
  /** What the network and the server may take for one request, in ms; a request for a token gets as much. */
  readonly requestTimeoutMs: number;
  /** A token came, was not needed, or did not come. */
  readonly onTokenEvent?: (event: TokenEvent) => void;
}

/**
 * A transport whose requests carry a token. A request that is refused for its token is sent once more with a new one,
 * all inside its one deadline. A request that gets no token is not sent.
 */
export function authenticated(transport: Transport, options: AuthenticationOptions): Transport {
  const { credentials, clock, requestTimeoutMs, onTokenEvent = () => {} } = options;
  const source = new TokenSource({
    transport,
    credentials,
    clock,
    deadlineMs: requestTimeoutMs,
    onEvent: onTokenEvent,
  });

  /** Waits for the token, and not longer than the request can. */
  const within = (asking: Promise<TokenAnswer>, waitMs: number): Promise<TokenAnswer> =>
    new Promise((resolve) => {
      const timer = clock.setTimer(() => {
        resolve({ kind: "failed", exchange: notSent("DEADLINE_EXCEEDED", `no token within ${Math.round(waitMs)} ms`) });
      }, waitMs);
      void asking.then((answer) => {
        clock.clearTimer(timer);
        resolve(answer);
      });
    });

  const send = async (request: HttpRequest, token: string | undefined, deadlineMs: number): Promise<Exchange> => {
    if (token === undefined) return transport.request({ ...request, deadlineMs });
    return withoutToken(await transport.request({ ...request, deadlineMs, token }), token);
  };

  return {
    async request(request) {
      const startedAt = clock.now();
      const spentMs = () => clock.now() - startedAt;
      const leftMs = () => Math.max(Math.floor(request.deadlineMs - spentMs()), 1);
      const maxWaitMs = maxTokenWaitMs(request, requestTimeoutMs);

      const known = source.known();
      const first = known ?? (await within(source.replace(undefined, false), maxWaitMs));
      if (first.kind === "failed") return first.exchange;
      const used = first.kind === "token" ? first.token : undefined;
      const exchange = await send(request, used, known === undefined ? leftMs() : request.deadlineMs);

      const refusal = tokenRefusal(exchange, used);
      const waitMs = maxWaitMs - spentMs();
      if (refusal === undefined || waitMs <= 0) return exchange;
      if (refusal === "rights" && !source.mayAskOnRefusal) return exchange;
      const next = await within(source.replace(used, refusal === "dead"), waitMs);
      // The server's refusal says more than our failure to do something about it.
      if (next.kind !== "token" || (request.isOnce === true && refusal !== "dead")) return exchange;
      const second = await send(request, next.token, leftMs());
      return refusal === "dead" ? second : { ...second, isRepeated: true };
    },
    close: () => transport.close(),
  };
}

/**
 * How long a request may wait for a token, in ms. A poll must not be sent too late: its deadline would cut the time for
 * which the server holds it, and an aborted poll loses the tasks it is given. Half of what the network may take is left.
 */
function maxTokenWaitMs({ lane, deadlineMs }: HttpRequest, requestTimeoutMs: number): number {
  return lane === "poll" ? Math.min(requestTimeoutMs, deadlineMs) / 2 : deadlineMs;
}

/** The words with which the server names the token as the reason. */
const DEAD_TOKEN = /"(?:EXPIRED_TOKEN|INVALID_TOKEN)"/;

/**
 * Whether an answer asks for another token: `dead` says so in Conductor's words; `doubtful` is a 401 of somebody else,
 * a gateway that checks tokens, or one that has lost its way. A 403 without those words is about `rights`; who has no token
 * may have none for want of one.
 */
function tokenRefusal(exchange: Exchange, used: string | undefined): "dead" | "doubtful" | "rights" | undefined {
  if (exchange.kind !== "answered" || (exchange.status !== 401 && exchange.status !== 403)) return undefined;
  if (used !== undefined && DEAD_TOKEN.test(exchange.body)) return "dead";
  if (exchange.status === 401) return "doubtful";
  return used === undefined ? "rights" : undefined;
}

/** A refusal may quote the token, and ends up in errors and logs. */
function withoutToken(exchange: Exchange, token: string): Exchange {
  if (exchange.kind !== "answered" || exchange.status < 300) return exchange;
  return { ...exchange, body: redactor(token)(exchange.body) };
}
