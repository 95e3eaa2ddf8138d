import type { Clock } from "../base/clock.js";
import { LinkedList } from "../base/linked-list.js";
import type { Exchange, HttpRequest, Lane } from "./exchange.js";
import { messageOf, notSent } from "./fault.js";
import type { Generation } from "./generation.js";
import { PendingExchange, type ExchangeOwner } from "./pending-exchange.js";
import { isOverAge } from "./recycling.js";
import { headersOf } from "./request-head.js";

export interface LaneOptions {
  readonly name: Lane;
  readonly clock: Clock;
  /** Put before each path: `/api`, or `""`. */
  readonly pathPrefix: string;
  readonly maxConnections: number;
  readonly maxConnectionAgeMs: number;
  readonly maxBodyBytes: number;
  readonly maxFlowingMs: number;
  readonly headers: (() => Readonly<Record<string, string>>) | undefined;
  readonly createGeneration: () => Generation;
  readonly onRecycledByAge: (lane: Lane) => void;
  readonly onDeadlineExceeded: (lane: Lane) => void;
  readonly onAnswered: (lane: RequestLane, generation: Generation) => void;
  readonly onSuspicion: (lane: RequestLane, generation: Generation) => void;
}

/**
 * One lane: a first-in-first-out queue in front of the pool of the present generation. The queue is ours because undici
 * would not tell us whether a request still waits or was written, and nothing it queues can be taken back.
 */
export class RequestLane implements ExchangeOwner {
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  readonly maxFlowingMs: number;
  readonly #options: LaneOptions;
  readonly #retired = new Set<Generation>();
  #generation: Generation;
  /** Requests handed to a generation, the present or an older one, that have not ended. */
  #outstanding = 0;
  readonly #queue = new LinkedList<PendingExchange>();
  #pumpScheduled = false;
  #closed = false;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.maxBodyBytes = options.maxBodyBytes;
    this.maxFlowingMs = options.maxFlowingMs;
    this.#generation = options.createGeneration();
  }

  /** Whether a request that ran on `generation` ran on the present connections. */
  isCurrent(generation: Generation): boolean {
    return generation === this.#generation;
  }

  request(request: HttpRequest, resolve: (exchange: Exchange) => void): void {
    const exchange = new PendingExchange(request, this, resolve);
    if (this.#queue.first === undefined && this.#hasRoom()) this.#dispatch(exchange);
    else this.#queue.append(exchange);
  }

  /** New work gets new connections; what runs on the old ones finishes there. */
  recycle(): void {
    const old = this.#generation;
    this.#generation = this.#options.createGeneration();
    this.#retire(old);
    this.#schedulePump();
  }

  /** Refuses what waits; resolves when everything else has ended and no socket is left. */
  async close(): Promise<void> {
    this.#closed = true;
    for (let exchange = this.#queue.first; exchange !== undefined; exchange = this.#queue.first) {
      this.#queue.remove(exchange);
      exchange.refuse(notSent("CLOSED", "the transport was closed"));
    }
    this.#retire(this.#generation);
    await Promise.all(Array.from(this.#retired, (generation) => generation.retire()));
  }

  // --- called by the exchanges ---

  leaveQueue(exchange: PendingExchange): void {
    this.#queue.remove(exchange);
  }

  requeue(exchange: PendingExchange): void {
    if (this.#closed) {
      exchange.refuse(notSent("CLOSED", "the transport was closed"));
      return;
    }
    this.#queue.prepend(exchange);
    this.#schedulePump();
  }

  release(generation: Generation): void {
    this.#outstanding -= 1;
    generation.release();
    this.#schedulePump();
  }

  onAnswered(generation: Generation): void {
    this.#options.onAnswered(this, generation);
  }

  onRefused(generation: Generation): void {
    // What we check ourselves never comes here; should the checks differ one day, the pool must not silt up.
    if (!this.#closed && this.isCurrent(generation)) this.recycle();
  }

  onDeadlineExceeded(): void {
    this.#options.onDeadlineExceeded(this.#options.name);
  }

  onSuspicion(generation: Generation): void {
    this.#options.onSuspicion(this, generation);
  }

  // --- inside ---

  /** A generation may open as many connections: a request may wait for one to be made there, not for a free one. */
  #hasRoom(): boolean {
    return this.#outstanding < this.#options.maxConnections;
  }

  /** Later, not now: undici's state is in flux while it calls us. */
  readonly #schedulePump = (): void => {
    if (this.#queue.first === undefined || this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    queueMicrotask(this.#pump);
  };

  readonly #pump = (): void => {
    this.#pumpScheduled = false;
    for (let exchange = this.#queue.first; exchange !== undefined && this.#hasRoom(); exchange = this.#queue.first) {
      this.#queue.remove(exchange);
      this.#dispatch(exchange);
    }
  };

  #dispatch(exchange: PendingExchange): void {
    const { name, clock, headers, pathPrefix, maxConnectionAgeMs, onRecycledByAge } = this.#options;
    const { request } = exchange;
    let list: readonly string[];
    try {
      list = headersOf(request, headers);
    } catch (error) {
      exchange.refuse(notSent("INVALID_REQUEST", messageOf(error), error));
      return;
    }
    if (isOverAge(this.#generation.bornAtMs, clock.now(), maxConnectionAgeMs)) {
      this.recycle();
      onRecycledByAge(name);
    }
    this.#outstanding += 1;
    exchange.dispatchTo(this.#generation, {
      path: pathPrefix + request.path,
      method: request.method,
      headers: list as string[],
      body: request.body ?? null,
    });
  }

  #retire(generation: Generation): void {
    this.#retired.add(generation);
    void generation.retire().then(() => this.#retired.delete(generation));
  }
}
