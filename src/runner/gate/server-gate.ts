import type { Clock } from "../../base/clock.js";
import type { Reply } from "../../conductor/reply.js";
import { meaningOf, type FailureClass, type Meaning } from "../answers/meaning.js";
import { Closure } from "./closure.js";

/**
 * What a request is for. Who is refused alone waits alone, each errand for itself:
 * - `poll <queue>`: tasks of one queue.
 * - `report`: what is told of tasks, by `POST /tasks` and `update-v2`.
 * - `aside <what>`: everything else, of one kind: tasks, sizes, a listing. It speaks for nobody but itself.
 */
export type Errand = `poll ${string}` | "report" | `aside ${"task" | "sizes" | "listing"}`;

/** So many errands that fail one after the other, with nothing that succeeds in between, are the server's matter. */
const ERRANDS_FOR_ALL = 2;
/** So many requests about different tasks that are refused with none answered in between are the endpoint's matter. */
const REFUSALS_FOR_ALL = 3;
/** Who failed last time lets the others go this much first, in ms: it may be refused for what it is. */
const OTHERS_FIRST_MS = 250;
/** What cannot wait for the next probe may be one itself, for everybody, this often at most, in ms. */
const URGENT_EVERY_MS = 500;

/** Leave to send one request. Settled exactly once, by `report`. */
export interface Permit {
  readonly startedAt: number;
  /** Everybody waits for this request, which finds out whether the way is free again: it should be short. */
  readonly isProbe: boolean;
  /** Tells what became of the request. */
  report(meaning: Meaning): void;
  /** The request says nothing: it was not made, or is about itself alone. */
  forget(): void;
}

/** One errand that has failed. */
interface ErrandTrouble {
  readonly closure: Closure;
  /** Failures in a row of different requests; reports that failed before do not count again. */
  failures: number;
}

/**
 * The backoff of the whole process. While the server is away, all runners and deliveries together send one request per
 * wait, and the first one that succeeds lets everybody through; who is refused alone ({@link Errand}) waits alone.
 *
 * It is one {@link Closure} for all and one for each errand that fails. One errand's failure shuts that errand. The whole
 * gate is shut when nothing could be sent at all, or when a second errand fails with no success in between. Everything that
 * asks the server something for a task calls {@link admit} first and reports what became of it on the {@link Permit}; what
 * a reply says of the server is decided in `meaning.ts`, how long to wait in `backoff.ts`.
 */
export class ServerGate {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #listeners = new Set<() => void>();
  readonly #all: Closure;
  readonly #troubles = new Map<Errand, ErrandTrouble>();
  /** Errands that began to fail since the last success of anybody. */
  readonly #fresh = new Set<Errand>();
  /** The last probe of all was of this errand and failed: by turns with others or alone it must not keep the gate shut. */
  #lastProbe: Errand | undefined;
  #lastOkAt: number | undefined;
  #lastUrgentAt = -Infinity;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
    this.#all = new Closure(random);
  }

  /** True unless everybody waits for the server. */
  get isOpen(): boolean {
    return this.#all.isOpen;
  }

  /** True while the last that was heard of the server is good: it is open, and nothing began to fail since the last success. */
  get isReachable(): boolean {
    return this.#all.isOpen && this.#fresh.size === 0;
  }

  /**
   * True while this errand waits because it is refused, and the others do not. Where nobody asks again once the wait is
   * over, nothing more is known of it.
   */
  isRefusedAlone(errand: Errand): boolean {
    return this.#all.isOpen && this.#troubles.get(errand)?.closure.isShut(this.#clock.now()) === true;
  }

  /** When the last request succeeded, by the clock; undefined before the first. */
  get lastOkAt(): number | undefined {
    return this.#lastOkAt;
  }

  /** Calls back whenever somebody who was refused may try again. Returns the way out. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Leave to send a request now, or how long to wait before asking again (a change is announced as well).
   *
   * @param hasFailed the very same failed last time: that it fails again is no news, and says nothing of its errand.
   */
  admit(errand: Errand, hasFailed = false): Permit | { readonly waitMs: number } {
    const now = this.#clock.now();
    const own = this.#troubles.get(errand)?.closure;
    const isBehind = own !== undefined || isAside(errand) || errand === this.#lastProbe;
    const behindMs = (Number(isBehind) + Number(hasFailed)) * OTHERS_FIRST_MS;
    const ownWaitMs = own?.waitMs(now, hasFailed ? OTHERS_FIRST_MS : 0) ?? 0;
    const waitMs = Math.max(this.#all.waitMs(now, behindMs), ownWaitMs);
    if (waitMs > 0) return { waitMs };
    const isProbeOfAll = !this.#all.isOpen;
    if (isProbeOfAll) this.#all.beginProbe(now);
    const isOwnProbe = own?.isOpen === false;
    if (isOwnProbe) own.beginProbe(now);
    const asked = { errand, startedAt: now, hasFailed, isProbeOfAll, isOwnProbe, isUrgent: false };
    return new GatePermit(asked, this.#settle);
  }

  /**
   * Leave for something small that goes the way of what was just refused: it tells whether that was refused alone, also
   * while its errand is shut. Undefined while everybody waits.
   */
  admitBeside(errand: Errand): Permit | undefined {
    if (!this.#all.isOpen) return undefined;
    const startedAt = this.#clock.now();
    const asked = { errand, startedAt, hasFailed: true, isProbeOfAll: false, isOwnProbe: false, isUrgent: false };
    return new GatePermit(asked, this.#settle);
  }

  /**
   * For what {@link admit} would let go too late: one more probe, beside the backoff and without a say in it, for its
   * success lets everybody through and its failure is no news.
   */
  admitUrgent(errand: Errand): Permit | { readonly waitMs: number } {
    const now = this.#clock.now();
    const waitMs = this.#lastUrgentAt + URGENT_EVERY_MS - now;
    if (waitMs > 0) return { waitMs };
    this.#lastUrgentAt = now;
    const asked = { errand, startedAt: now, hasFailed: true, isProbeOfAll: false, isOwnProbe: false, isUrgent: true };
    return new GatePermit(asked, this.#settle);
  }

  /** Called by the permit, once. `meaning` undefined: the request says nothing. */
  readonly #settle = (asked: Asked, meaning: Meaning | undefined): void => {
    const { errand, startedAt, isProbeOfAll, isOwnProbe } = asked;
    if (isProbeOfAll) {
      this.#all.endProbe(startedAt);
      this.#lastProbe = errand;
    }
    if (isOwnProbe) this.#troubles.get(errand)?.closure.endProbe(startedAt);
    if (meaning === undefined || meaning.server === "unknown") this.#saidNothing(asked);
    else if (meaning.server === "there") this.#succeeded(asked);
    else this.#failed(asked, meaning, meaning.server);
  };

  #saidNothing({ errand, isProbeOfAll, isOwnProbe }: Asked): void {
    const now = this.#clock.now();
    if (isOwnProbe) this.#troubles.get(errand)?.closure.waitAgain(now);
    if (isProbeOfAll) this.#all.waitAgain(now);
    if (isOwnProbe || isProbeOfAll) this.#announce();
  }

  #succeeded({ errand, startedAt }: Asked): void {
    this.#lastOkAt = this.#clock.now();
    const own = this.#troubles.get(errand);
    const isHealed = own !== undefined && (own.closure.isOpen || own.closure.isOpenedBy(startedAt));
    if (isHealed) this.#troubles.delete(errand);
    const isOpened = !this.#all.isOpen && this.#all.isOpenedBy(startedAt);
    if (isOpened) this.#openFor(errand);
    // Clearing an empty set costs a new store, and here everything succeeds.
    if (this.#all.isOpen && this.#fresh.size > 0) this.#fresh.clear();
    if (isOpened || isHealed) this.#announce();
  }

  /** The server is back: what failed because it was away may be tried again. Who has been refused alone goes on waiting. */
  #openFor(errand: Errand): void {
    const { failureClass } = this.#all;
    this.#all.open();
    this.#lastProbe = undefined;
    // That a task may be fetched says nothing of polls and reports, if they were refused.
    if (isAside(errand) && (failureClass === "overloaded" || failureClass === "unauthorized")) return;
    for (const fresh of this.#fresh) this.#troubles.delete(fresh);
  }

  #failed(asked: Asked, { subject, retryAfterMs }: Meaning, failureClass: FailureClass): void {
    const { errand, startedAt, hasFailed, isOwnProbe, isProbeOfAll, isUrgent } = asked;
    if (isUrgent && retryAfterMs === undefined) return;
    const now = this.#clock.now();
    const isServers = subject === "server";
    const isForAll = isServers || (!this.#all.isOpen && !isAside(errand));
    if (isOwnProbe || (!isForAll && !hasFailed)) {
      const trouble = this.#troubleOf(errand);
      trouble.failures += 1;
      if (trouble.failures === 1 && !isAside(errand)) this.#fresh.add(errand);
      // What takes too long to get through does not stand for the others.
      const isOfAll = trouble.failures >= REFUSALS_FOR_ALL && isRefusal(failureClass);
      if (isPoll(errand) || isOfAll) trouble.closure.fail(now, startedAt, failureClass, retryAfterMs);
    }
    if (isProbeOfAll && isAside(errand) && !isServers) this.#all.waitAgain(now);
    const isSecond = this.#fresh.size >= ERRANDS_FOR_ALL && this.#fresh.has(errand) && !hasFailed;
    if (isForAll || isSecond) this.#all.fail(now, startedAt, failureClass, retryAfterMs);
    this.#announce();
  }

  #troubleOf(errand: Errand): ErrandTrouble {
    let trouble = this.#troubles.get(errand);
    if (trouble === undefined) {
      trouble = { closure: new Closure(this.#random), failures: 0 };
      this.#troubles.set(errand, trouble);
    }
    return trouble;
  }

  #announce(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** A request that was let through, and why. */
interface Asked {
  readonly errand: Errand;
  readonly startedAt: number;
  readonly hasFailed: boolean;
  readonly isProbeOfAll: boolean;
  readonly isOwnProbe: boolean;
  readonly isUrgent: boolean;
}

class GatePermit implements Permit {
  readonly #asked: Asked;
  readonly #settle: (asked: Asked, meaning: Meaning | undefined) => void;
  #isSettled = false;

  constructor(asked: Asked, settle: (asked: Asked, meaning: Meaning | undefined) => void) {
    this.#asked = asked;
    this.#settle = settle;
  }

  get startedAt(): number {
    return this.#asked.startedAt;
  }

  get isProbe(): boolean {
    const { isProbeOfAll, isOwnProbe, isUrgent } = this.#asked;
    return isProbeOfAll || isOwnProbe || isUrgent;
  }

  report(meaning: Meaning): void {
    this.#end(meaning);
  }

  forget(): void {
    this.#end(undefined);
  }

  #end(meaning: Meaning | undefined): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#settle(this.#asked, meaning);
  }
}

function isPoll(errand: Errand): boolean {
  return errand.startsWith("poll ");
}

function isAside(errand: Errand): boolean {
  return errand.startsWith("aside ");
}

function isRefusal(failureClass: FailureClass): boolean {
  return failureClass === "overloaded" || failureClass === "unauthorized";
}

/** Tells the gate what became of the request that `permit` was for; gives what the reply means. */
export function reportReply(permit: Permit, reply: Reply<unknown>): Meaning {
  const meaning = meaningOf(reply);
  permit.report(meaning);
  return meaning;
}
