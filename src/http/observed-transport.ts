import type { Clock } from "../base/clock.js";
import { LinkedList, type Linked } from "../base/linked-list.js";
import type { Exchange, HttpRequest, Transport } from "./exchange.js";

export interface ObservedTransport extends Transport {
  /** The request under way that began first, the same object each time; undefined when none is under way. */
  oldest(): UnderWay | undefined;
}

/** A request that has not ended. */
export interface UnderWay extends Linked<UnderWay> {
  readonly request: HttpRequest;
  /** When it began, by the clock, in ms. */
  readonly startedAt: number;
}

/**
 * Watches requests from outside: how each ended and how long it took, and which have not. It trusts nothing of what is
 * inside: a request that outlives its own deadline there is still seen here.
 */
export function observed(
  transport: Transport,
  clock: Pick<Clock, "now">,
  onEnded: (request: HttpRequest, exchange: Exchange, durationMs: number) => void = () => {},
): ObservedTransport {
  // In the order in which they began.
  const underWay = new LinkedList<UnderWay>();
  return {
    request(request) {
      const entry: UnderWay = { request, startedAt: clock.now(), previous: undefined, next: undefined };
      underWay.append(entry);
      return transport.request(request).then(
        (exchange) => {
          underWay.remove(entry);
          onEnded(request, exchange, clock.now() - entry.startedAt);
          return exchange;
        },
        (error: unknown) => {
          // A transport does not reject; if it does, that is an end as well.
          underWay.remove(entry);
          throw error;
        },
      );
    },
    close: () => transport.close(),
    oldest: () => underWay.first,
  };
}
