import type { Clock } from "../base/clock.js";
import type { Delivery } from "./delivery/delivery.js";
import type { HandBack } from "./delivery/hand-back.js";
import type { InFlightTable } from "./in-flight.js";
import type { PollerIdentity } from "./poller-identity.js";
import type { Reclaim } from "./recovery/reclaim.js";
import type { TaskRunner } from "./task-runner.js";
import { Wakeup } from "./wakeup.js";

/** What was left when a drain ended; nothing when it ended well. */
export interface DrainReport {
  readonly abandoned: number;
  readonly leftInFlight: number;
  /** Tasks that could be neither reported nor handed back. */
  readonly givenUp: number;
  /** Under these names the server may still have handed out tasks that never reached us: the search had not ended. */
  readonly owed: readonly PollerIdentity[];
}

/** Kept at the end of a drain for giving back what is not finished, in ms and as a share of the drain. */
const RESERVE_MS = 2_000;
const RESERVE_SHARE = 0.2;
/** What a poll's answer may take beyond its hold before a drain stops waiting for it, in ms. */
const POLL_GRACE_MS = 1_000;

/** What a drain asks of the group, and tells it to do. */
interface DrainParts {
  readonly clock: Clock;
  readonly runners: readonly TaskRunner[];
  readonly table: InFlightTable;
  readonly handBack: HandBack;
  readonly delivery: Delivery;
  readonly reclaim: Reclaim;
}

/**
 * The end of a group of runners: no further polls, and time for what runs. One for each group; it has not begun, or its
 * deadline stands and can only be brought forward. Called by the group: {@link finish} at a stop, {@link evacuate} when
 * the process must end. It only waits, on {@link changed}; what is left afterwards the group ends.
 */
export class Drain {
  readonly #clock: Clock;
  readonly #parts: DrainParts;
  readonly #changed: Wakeup;
  /** By the clock; undefined before the drain has begun. */
  #deadline: number | undefined;
  #givenUp = 0;

  constructor(parts: DrainParts) {
    this.#clock = parts.clock;
    this.#parts = parts;
    this.#changed = new Wakeup(parts.clock);
  }

  get hasBegun(): boolean {
    return this.#deadline !== undefined;
  }

  /** Tasks that could be neither reported nor handed back since it began. */
  get givenUp(): number {
    return this.#givenUp;
  }

  /** A task, a slot, a poll, a hand-back or a search has ended. */
  changed(): void {
    if (this.hasBegun) this.#changed.wake();
  }

  /** A task has left by the door `undeliverable`. */
  noteGivenUp(): void {
    if (this.hasBegun) this.#givenUp += 1;
  }

  /**
   * Stops polling, waits for what runs and for polls under way, and at the deadline gives back what is not finished.
   * Called again, it can only shorten the drain. Never rejects.
   */
  async finish(drainTimeoutMs: number): Promise<void> {
    const startedAt = this.#clock.now();
    this.#begin(startedAt + drainTimeoutMs);
    const { runners, table, handBack, reclaim } = this.#parts;
    const reserveMs = () => Math.min(RESERVE_MS, Math.max(0, (this.#deadline ?? 0) - startedAt) * RESERVE_SHARE);
    const isDone = () => table.size === 0 && runners.every((runner) => runner.isIdle) && handBack.underWay === 0;
    const runsEnd = () => (this.#deadline ?? 0) - reserveMs();
    // What is searched for is given back by us as well, while the server is there.
    await this.#until(() => isDone() && !reclaim.isDueBefore(runsEnd()), runsEnd);
    // A poll under way may still bring tasks, and what we give back before it returns might come to it.
    await this.#until(this.#pollsAreBack, this.#pollsAreBackAt);
    for (const runner of runners) runner.interruptAll();
    const lastCall = this.#clock.now() + Math.min(RESERVE_MS, Math.max(drainTimeoutMs, POLL_GRACE_MS));
    await this.#until(isDone, () => Math.max(this.#deadline ?? 0, lastCall));
  }

  /**
   * For a process that must end: no further polls; for up to `boundMs` delivers what is finished, fails (retryable, for
   * `reason`) what was started and hands back what was not, nor what polls under way still bring: the retry of what was
   * failed may come to them. Waits for no loop. Never rejects.
   */
  async evacuate(reason: string, boundMs: number): Promise<void> {
    const deadline = this.#clock.now() + boundMs;
    this.#begin(deadline);
    const { runners, table, handBack, delivery } = this.#parts;
    for (const runner of runners) runner.failAll(reason);
    delivery.sendAgain();
    await this.#until(this.#pollsAreBack, () => Math.min(this.#pollsAreBackAt(), deadline));
    await this.#until(
      () => table.size === 0 && handBack.underWay === 0,
      () => deadline,
    );
  }

  /** Brings the end of a drain under way forward to `drainTimeoutMs` from now. */
  hurry(drainTimeoutMs: number): void {
    if (this.#deadline === undefined) return;
    this.#deadline = Math.min(this.#deadline, this.#clock.now() + drainTimeoutMs);
    this.#changed.wake();
  }

  #begin(deadline: number): void {
    this.#deadline = Math.min(this.#deadline ?? Infinity, deadline);
    for (const runner of this.#parts.runners) runner.drain();
  }

  readonly #pollsAreBack = (): boolean => this.#parts.runners.every((runner) => runner.pollUntil === undefined);

  /** When the last poll under way is back at the latest, by the clock. */
  readonly #pollsAreBackAt = (): number =>
    Math.max(-Infinity, ...this.#parts.runners.map(({ pollUntil }) => (pollUntil ?? -Infinity) + POLL_GRACE_MS));

  async #until(isDone: () => boolean, deadline: () => number): Promise<void> {
    for (;;) {
      const leftMs = deadline() - this.#clock.now();
      if (isDone() || leftMs <= 0) return;
      await this.#changed.wait(leftMs);
    }
  }
}
