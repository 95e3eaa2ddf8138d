import type { Dispatcher } from "undici";

import type { Clock, Timer } from "../base/clock.js";
import type { Linked } from "../base/linked-list.js";
import { decoded } from "./content-coding.js";
import type { Exchange, HttpRequest } from "./exchange.js";
import { codeOf, isMalformed, maybeApplied, messageOf, notSent } from "./fault.js";
import type { Generation } from "./generation.js";
import { parseRetryAfter } from "./retry-after.js";

/** How often a request may meet a connection that was dead before anything was written, and go to the next one. */
const MAX_DEAD_CONNECTIONS = 3;
/** A timer that comes this much too late shows that the event loop was blocked, or the process stopped, in ms. */
const LATE_MS = 100;
/** What an answer that came meanwhile gets to be read in, in ms. */
const LATE_GRACE_MS = 250;

/** An answer that is still coming puts the deadline off for this long, in ms, and must bring this much each time. */
const FLOW_MS = 2_000;
const FLOW_BYTES = 64 * 1024;

/** What a pending exchange needs of the lane it travels in. */
export interface ExchangeOwner {
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  /** How long a request may take in all while its answer keeps coming, in ms. */
  readonly maxFlowingMs: number;
  /** It waits in the lane's own queue and must leave it: its deadline has come. */
  leaveQueue(exchange: PendingExchange): void;
  /** Its connection was dead before anything was written: it goes to the head of the queue. */
  requeue(exchange: PendingExchange): void;
  /** An exchange has left `generation`: its place is free. */
  release(generation: Generation): void;
  /** A whole answer came on this generation. */
  onAnswered(generation: Generation): void;
  /** undici refused the request that was handed to this generation, and has lost a client by it. */
  onRefused(generation: Generation): void;
  /** A deadline passed. */
  onDeadlineExceeded(): void;
  /** Something happened on this generation that a silently dead path would explain. */
  onSuspicion(generation: Generation): void;
}

/**
 * - `queued`: in the lane's own queue.
 * - `connecting`: handed to undici, nothing written.
 * - `sent`: written, or about to be; from here on nobody knows what the server has done.
 * - `receiving`: headers have come.
 * - `settled`: it has its value; whatever comes is too late.
 */
type Phase = "queued" | "connecting" | "sent" | "receiving" | "settled";

/**
 * One request from the call to its value, which is exactly one and always comes: the deadline sees to that. It knows at
 * each moment whether a byte may have reached the server, for that decides whether it ends as `notSent` or `maybeApplied`.
 *
 * Its lane makes it, and hands it to a generation's pool with {@link dispatchTo} when there is room, or ends it with
 * {@link refuse}; undici calls the `on…` methods; its own timer calls the deadline. The phases follow each other in their
 * order, with one way back: a connection that was dead before anything was written puts it at the head of the queue.
 * While it is with a generation it counts there, and what shows that a path may be dead is told to the lane.
 *
 * It is a handler in the style that undici's own API uses inside: the newer one is a wrapper around it that parses all
 * headers into an object, and we need four.
 */
export class PendingExchange implements Dispatcher.DispatchHandler, Linked<PendingExchange> {
  readonly request: HttpRequest;
  /** Neighbours in the lane's queue. */
  previous: PendingExchange | undefined = undefined;
  next: PendingExchange | undefined = undefined;

  readonly #owner: ExchangeOwner;
  readonly #resolve: (exchange: Exchange) => void;
  readonly #maxBodyBytes: number;
  #timer: Timer;
  /** When the deadline comes, by the clock; Infinity once a late timer has put it off. */
  #dueAt: number;
  /** The deadline of an answer that keeps coming is not put off beyond this, by the clock. */
  readonly #lastDueAt: number;
  #phase: Phase = "queued";
  #generation: Generation | undefined = undefined;
  #abort: ((error: Error) => void) | undefined = undefined;
  #deadConnections = 0;
  #status = 0;
  #contentType = "";
  #contentCoding = "";
  #location: string | undefined = undefined;
  #retryAfterMs: number | undefined = undefined;
  #firstChunk: Buffer | undefined = undefined;
  #chunks: Buffer[] | undefined = undefined;
  #bytes = 0;
  /** How many bytes of the body had come when the deadline was last put off. */
  #bytesBefore = 0;

  constructor(request: HttpRequest, owner: ExchangeOwner, resolve: (exchange: Exchange) => void) {
    this.request = request;
    this.#owner = owner;
    this.#resolve = resolve;
    const { maxBodyBytes } = owner;
    this.#maxBodyBytes = Math.min(request.maxBodyBytes ?? maxBodyBytes, maxBodyBytes);
    const now = owner.clock.now();
    this.#dueAt = now + request.deadlineMs;
    this.#lastDueAt = now + owner.maxFlowingMs;
    this.#timer = owner.clock.setTimer(this.#onDeadline, request.deadlineMs);
  }

  /** It left the lane's queue for a connection of `generation`. */
  dispatchTo(generation: Generation, options: Dispatcher.DispatchOptions): void {
    this.#phase = "connecting";
    this.#generation = generation;
    generation.unsettled += 1;
    generation.unstarted += 1;
    try {
      generation.dispatch(options, this);
    } catch (error) {
      this.onError(error);
    }
  }

  /** Ends it while nothing has been written. */
  refuse(exchange: Exchange): void {
    if (this.#phase === "queued") this.#settle(exchange);
  }

  // --- called by undici ---

  onConnect(abort: (error: Error) => void): void {
    if (this.#phase === "connecting") {
      this.#phase = "sent";
      this.#abort = abort;
      if (this.#generation !== undefined) this.#generation.unstarted -= 1;
      return;
    }
    // Either it has ended meanwhile, and not a byte may be written any more; or undici is about to write it a second
    // time, which is not ours to allow: the server may be at work on the first.
    if (this.#phase !== "settled") this.#settle(maybeApplied("CONNECTION_LOST", "the connection was lost"));
    abort(new Error("the request has ended"));
  }

  onHeaders(status: number, headers: readonly Buffer[]): boolean {
    if (status < 200 || this.#phase !== "sent") return true;
    this.#phase = "receiving";
    this.#status = status;
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = headers[i];
      const value = headers[i + 1];
      if (name === undefined || value === undefined) continue;
      if (name.length === 12 && isNamed(name, "content-type")) this.#contentType = mediaType(value.toString("latin1"));
      else if (name.length === 11 && isNamed(name, "retry-after"))
        this.#retryAfterMs = parseRetryAfter(value.toString("latin1"), this.#owner.clock.wallNow());
      else if (name.length === 16 && isNamed(name, "content-encoding")) this.#contentCoding = value.toString("latin1");
      else if (name.length === 8 && isNamed(name, "location")) this.#location = value.toString("latin1");
    }
    return true;
  }

  onData(chunk: Buffer): boolean {
    if (this.#phase !== "receiving") return true;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBodyBytes) {
      this.#end(this.#tooLarge());
      return true;
    }
    if (this.#firstChunk === undefined) this.#firstChunk = chunk;
    else if (this.#chunks === undefined) this.#chunks = [this.#firstChunk, chunk];
    else this.#chunks.push(chunk);
    return true;
  }

  onComplete(): void {
    if (this.#phase !== "receiving") return;
    const generation = this.#generation;
    const status = this.#status;
    const contentType = this.#contentType;
    const retryAfterMs = this.#retryAfterMs;
    const location = this.#location;
    let body: string;
    try {
      body = this.#body();
    } catch (error) {
      const isTooLarge = codeOf(error) === "ERR_BUFFER_TOO_LARGE";
      this.#settle(isTooLarge ? this.#tooLarge() : maybeApplied("MALFORMED_RESPONSE", messageOf(error), error));
      return;
    }
    const answer = { kind: "answered", status, body, contentType } as const;
    this.#settle(
      retryAfterMs === undefined && location === undefined
        ? answer
        : {
            ...answer,
            ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
            ...(location === undefined ? {} : { location }),
          },
    );
    if (generation !== undefined) this.#owner.onAnswered(generation);
  }

  onError(error: unknown): void {
    const generation = this.#generation;
    if (this.#phase === "settled" || generation === undefined) return;
    if (this.#phase !== "connecting") {
      const malformed = isMalformed(error);
      this.#settle(maybeApplied(malformed ? "MALFORMED_RESPONSE" : "CONNECTION_LOST", messageOf(error), error));
      if (!malformed) this.#owner.onSuspicion(generation);
      return;
    }
    const code = codeOf(error);
    if (code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED") {
      this.#settle(notSent("INVALID_REQUEST", messageOf(error), error));
      this.#owner.onRefused(generation);
    } else if (error instanceof Error && generation.isConnectError(error)) {
      this.#settle(notSent("CONNECT_FAILED", messageOf(error), error));
    } else if (this.#deadConnections < MAX_DEAD_CONNECTIONS) {
      this.#deadConnections += 1;
      this.#leaveGeneration();
      this.#phase = "queued";
      this.#owner.requeue(this);
    } else {
      this.#settle(notSent("CONNECTION_LOST", messageOf(error), error));
    }
  }

  // --- inside ---

  readonly #onDeadline = (): void => {
    const phase = this.#phase;
    const generation = this.#generation;
    if (phase === "settled") return;
    const isSent = phase === "sent" || phase === "receiving";
    // The answer may lie in the socket, and with it the tasks of a poll: they would be lost. Put off once.
    if (isSent && this.#owner.clock.now() - this.#dueAt >= LATE_MS) {
      this.#dueAt = Infinity;
      this.#timer = this.#owner.clock.setTimer(this.#onDeadline, LATE_GRACE_MS);
      return;
    }
    if (phase === "receiving" && this.#putOff()) return;
    if (phase === "queued") this.#owner.leaveQueue(this);
    const message = `no answer within ${this.request.deadlineMs} ms: ${STUCK_AT[phase]}`;
    if (isSent) this.#end(maybeApplied("DEADLINE_EXCEEDED", message));
    else this.#settle(notSent("DEADLINE_EXCEEDED", message));
    this.#owner.onDeadlineExceeded();
    if (phase !== "queued" && generation !== undefined) this.#owner.onSuspicion(generation);
  };

  /**
   * A large answer over a slow link: to give it up would lose the tasks in it, and the next one would be as large. A
   * drip does not count.
   */
  #putOff(): boolean {
    const now = this.#owner.clock.now();
    const waitMs = Math.min(FLOW_MS, this.#lastDueAt - now);
    if (waitMs <= 0 || this.#bytes - this.#bytesBefore < FLOW_BYTES) return false;
    this.#bytesBefore = this.#bytes;
    this.#dueAt = now + waitMs;
    this.#timer = this.#owner.clock.setTimer(this.#onDeadline, waitMs);
    return true;
  }

  /** Ends it and gives up its connection, on which the rest of an answer may still come. */
  #end(exchange: Exchange): void {
    const abort = this.#abort;
    this.#settle(exchange);
    try {
      abort?.(new Error("the request has ended"));
    } catch {
      // The value is out; what undici thinks of the abort changes nothing.
    }
  }

  #settle(exchange: Exchange): void {
    const generation = this.#generation;
    this.#owner.clock.clearTimer(this.#timer);
    if (generation !== undefined) this.#leaveGeneration();
    this.#phase = "settled";
    this.#abort = undefined;
    this.#firstChunk = undefined;
    this.#chunks = undefined;
    this.#resolve(exchange);
  }

  #leaveGeneration(): void {
    const generation = this.#generation;
    if (generation === undefined) return;
    this.#generation = undefined;
    if (this.#phase === "connecting") generation.unstarted -= 1;
    this.#owner.release(generation);
  }

  #tooLarge(): Exchange {
    return maybeApplied("RESPONSE_TOO_LARGE", `the answer is longer than ${this.#maxBodyBytes} bytes`);
  }

  #body(): string {
    const chunk = this.#chunks === undefined ? this.#firstChunk : Buffer.concat(this.#chunks, this.#bytes);
    if (chunk === undefined) return "";
    const text = decoded(chunk, this.#contentCoding, this.#maxBodyBytes).toString("utf8");
    // A byte order mark is not part of the text; JSON.parse does not take one.
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  }
}

const STUCK_AT = {
  queued: "it waited for a connection of its lane",
  connecting: "it waited to be connected",
  sent: "it was sent, and no headers came",
  receiving: "the body did not end",
} as const satisfies Record<Exclude<Phase, "settled">, string>;

function isNamed(name: Buffer, lowerCase: string): boolean {
  return name.toString("latin1").toLowerCase() === lowerCase;
}

function mediaType(value: string): string {
  if (value === "application/json") return value;
  const end = value.indexOf(";");
  return (end < 0 ? value : value.slice(0, end)).trim().toLowerCase();
}
