import type { Clock } from "../../base/clock.js";
import type { Reply } from "../../conductor/reply.js";
import { backoffMs, type FailureClass } from "./backoff.js";
import { failureVerdict, type Verdict } from "./verdict.js";

/** No request takes that long, whatever its deadline is set to, without somebody else finding out sooner, in ms. */
const FORGOTTEN_PROBE_MS = 60_000;

/** After a probe that was no poll and did not get through, polls may go this much before everybody else, in ms. */
const POLLS_FIRST_MS = 250;

/** What cannot wait for the next probe may be one itself, for everybody, this often at most, in ms. */
const URGENT_EVERY_MS = 500;

/** So many successes since the last failure say that the next one is one replica's, or one moment's. */
const FORGIVEN_AFTER = 8;

/** Leave to send one request. Settled exactly once, by `report`. */
export interface Permit {
  readonly startedAt: number;
  /** The one request that finds out whether the server is back: it should be short. */
  readonly isProbe: boolean;
  report(verdict: Verdict, retryAfterMs?: number): void;
}

/**
 * One backoff for the whole process: while the server is away, all runners and deliveries together send one request per
 * wait, and the first one that succeeds lets everybody through.
 *
 * Open, everybody passes; closed, nobody until the wait is over, and then one probe, whose verdict opens the gate or
 * begins the next wait. Everything that asks the server something for a task calls {@link admit} first and reports what
 * became of it on the {@link Permit}; what a reply says of the server is decided in `verdict.ts`, how long to wait in
 * `backoff.ts`.
 */
export class ServerGate {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #listeners = new Set<() => void>();
  /** Until when nobody passes; undefined while the gate is open. */
  #closedUntil: number | undefined;
  #closedAt = 0;
  #failures = 0;
  #successes = 0;
  #failureClass: FailureClass | undefined;
  /** When the probe under way began. */
  #probingSince: number | undefined;
  /**
   * The last probe was no poll: a result that is refused for what it is, or too large to get through, must not keep the
   * gate shut, by turns with others or alone.
   */
  #pollsFirst = false;
  #lastOkAt: number | undefined;
  #lastUrgentAt = -Infinity;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** True while requests pass freely. */
  get isOpen(): boolean {
    return this.#closedUntil === undefined;
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

  /** Leave to send a request now, or how long to wait before asking again (a change is announced as well). */
  admit(kind?: "poll"): Permit | { readonly waitMs: number } {
    const now = this.#clock.now();
    if (this.#closedUntil === undefined) return this.#permit(now, false);
    const opensAt = this.#closedUntil + (this.#pollsFirst && kind !== "poll" ? POLLS_FIRST_MS : 0);
    if (now < opensAt) return { waitMs: opensAt - now };
    // Should the probe's owner forget it, the gate must not stay closed for ever.
    if (this.#probingSince !== undefined && now - this.#probingSince < FORGOTTEN_PROBE_MS) return { waitMs: 1_000 };
    this.#probingSince = now;
    return this.#permit(now, true, kind);
  }

  /**
   * For what {@link admit} would let go too late: one more probe, beside the backoff and without a say in it, for its
   * success lets everybody through and its failure is no news.
   */
  admitUrgent(): Permit | { readonly waitMs: number } {
    const now = this.#clock.now();
    const waitMs = this.#lastUrgentAt + URGENT_EVERY_MS - now;
    if (waitMs > 0) return { waitMs };
    this.#lastUrgentAt = now;
    const permit = this.#permit(now, false);
    return {
      startedAt: now,
      isProbe: true,
      report: (verdict, retryAfterMs) => {
        permit.report(verdict === "ok" || retryAfterMs !== undefined ? verdict : "neutral", retryAfterMs);
      },
    };
  }

  #permit(startedAt: number, isProbe: boolean, kind?: "poll"): Permit {
    let reported = false;
    return {
      startedAt,
      isProbe,
      report: (verdict, retryAfterMs) => {
        if (reported) return;
        reported = true;
        if (isProbe) this.#pollsFirst = kind !== "poll";
        if (isProbe && this.#probingSince === startedAt) this.#probingSince = undefined;
        if (verdict === "ok") this.#succeeded(startedAt);
        else if (verdict !== "neutral") this.#failed(startedAt, verdict, retryAfterMs);
        else if (isProbe) this.#waitAgain();
      },
    };
  }

  #succeeded(startedAt: number): void {
    this.#lastOkAt = this.#clock.now();
    this.#successes += 1;
    if (this.#closedUntil !== undefined && startedAt < this.#closedAt && !isAboutConnections(this.#failureClass)) {
      // A poll that was held since before: the server that answers it refuses what is new.
      return;
    }
    this.#failures = 0;
    if (this.#closedUntil === undefined) return;
    this.#closedUntil = undefined;
    this.#failureClass = undefined;
    this.#pollsFirst = false;
    this.#announce();
  }

  #failed(startedAt: number, failureClass: FailureClass, retryAfterMs: number | undefined): void {
    const now = this.#clock.now();
    const isForgiven = failureClass === "overloaded" && this.#successes >= FORGIVEN_AFTER;
    this.#successes = 0;
    // Whose request it was waits; the others go on.
    if (isForgiven && retryAfterMs === undefined && this.#closedUntil === undefined) return;
    // Requests that were under way together fail together: that is one failure, not many.
    const isNews = this.#closedUntil === undefined || startedAt >= this.#closedAt;
    if (!isNews && retryAfterMs === undefined) return;
    if (isNews) {
      this.#failures = failureClass === this.#failureClass ? this.#failures + 1 : 1;
      this.#failureClass = failureClass;
      this.#closedAt = now;
    }
    const until = now + backoffMs(failureClass, Math.max(this.#failures, 1), this.#random, retryAfterMs);
    this.#closedUntil = isNews ? until : Math.max(until, this.#closedUntil ?? 0);
    this.#announce();
  }

  /** The probe told nothing: as long again as last time. */
  #waitAgain(): void {
    if (this.#closedUntil === undefined || this.#failureClass === undefined) return;
    this.#closedUntil =
      this.#clock.now() + backoffMs(this.#failureClass, Math.max(this.#failures, 1), this.#random, undefined);
    this.#announce();
  }

  #announce(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** One connection may die while the server is well; then any success says so. */
function isAboutConnections(failureClass: FailureClass | undefined): boolean {
  return failureClass === "unreachable" || failureClass === "silent";
}

/** Tells the gate what became of the request that `permit` was for. */
export function reportReply(permit: Permit, reply: Reply<unknown>): void {
  if (reply.kind === "answered") permit.report("ok");
  else permit.report(failureVerdict(reply), reply.error.retryAfterMs);
}
