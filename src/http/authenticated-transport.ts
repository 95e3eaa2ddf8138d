import type { Clock } from "../clock.js";
import type { Exchange, HttpRequest, Transport } from "./exchange.js";
import { TokenSource, type Credentials, type TokenAnswer } from "./token.js";

/** The words with which the server asks for another token. */
const STALE = /"(?:EXPIRED_TOKEN|INVALID_TOKEN)"/;

/**
 * A transport whose requests carry a token. A request that is refused for its token is sent once more with a new one,
 * all inside its one deadline.
 */
export function authenticated(
  transport: Transport,
  options: { readonly credentials: Credentials; readonly clock: Clock; readonly tokenDeadlineMs: number },
): Transport {
  const { credentials, clock, tokenDeadlineMs } = options;
  const source = new TokenSource(transport, credentials, clock, tokenDeadlineMs);

  /** Waits for the token, and not longer than the request may take. */
  const within = (asking: Promise<TokenAnswer>, leftMs: number): Promise<TokenAnswer> =>
    new Promise((resolve) => {
      const timer = clock.setTimer(() => {
        const fault = { code: "DEADLINE_EXCEEDED", message: `no token within ${Math.round(leftMs)} ms` } as const;
        resolve({ kind: "failed", exchange: { kind: "notSent", fault } });
      }, leftMs);
      void asking.then((answer) => {
        clock.clearTimer(timer);
        resolve(answer);
      });
    });

  const send = (request: HttpRequest, answer: TokenAnswer, deadlineMs: number): Promise<Exchange> => {
    if (answer.kind === "failed") return Promise.resolve(answer.exchange);
    if (answer.kind === "anonymous") return transport.request({ ...request, deadlineMs });
    return transport.request({ ...request, deadlineMs, token: answer.token });
  };

  return {
    async request(request) {
      const startedAt = clock.now();
      const leftMs = () => request.deadlineMs - (clock.now() - startedAt);
      const known = source.current;
      const answer = known ?? (await within(source.ask(undefined), request.deadlineMs));
      const exchange = await send(request, answer, known === undefined ? Math.max(leftMs(), 1) : request.deadlineMs);
      if (answer.kind === "failed" || !isAboutToken(exchange, answer) || leftMs() <= 0) return exchange;
      const used = answer.kind === "token" ? answer.token : undefined;
      const next = await within(source.ask(used), leftMs());
      // The refusal says more than the failure to do something about it.
      if (next.kind !== "token" || leftMs() <= 0) return exchange;
      return send(request, next, leftMs());
    },
    close: () => transport.close(),
  };
}

function isAboutToken(exchange: Exchange, sent: TokenAnswer): boolean {
  if (exchange.kind !== "answered" || (exchange.status !== 401 && exchange.status !== 403)) return false;
  return sent.kind === "anonymous" ? exchange.status === 401 : STALE.test(exchange.body);
}
