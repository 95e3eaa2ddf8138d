import type { FailureClass } from "../answers/meaning.js";
import { backoffMs } from "./backoff.js";

/** No request takes that long, whatever its deadline is set to, without somebody else finding out sooner, in ms. */
const FORGOTTEN_PROBE_MS = 60_000;
/** While a probe is under way, whoever else asks comes again after this long, in ms. */
const PROBE_PAUSE_MS = 1_000;

/**
 * A way to the server that is shut after a failure: nobody passes until the wait is over, and then one probe, whose outcome
 * opens it or begins the next, longer wait. Open at first; {@link fail} shuts it, {@link open} opens it.
 */
export class Closure {
  readonly #random: () => number;
  /** Until when nobody passes; undefined while it is open. */
  #until: number | undefined;
  /** When it was shut, or a probe failed, by the clock. */
  #shutAt = -Infinity;
  #failures = 0;
  #failureClass: FailureClass | undefined;
  /** When the probe under way began. */
  #probingSince: number | undefined;

  constructor(random: () => number) {
    this.#random = random;
  }

  get isOpen(): boolean {
    return this.#until === undefined;
  }

  get failureClass(): FailureClass | undefined {
    return this.#failureClass;
  }

  /** Nobody would pass at this moment, the probe included. Once the wait is over it is not known whether one would fail. */
  isShut(now: number): boolean {
    return this.waitMs(now) > 0;
  }

  /** How long whoever asks now has to wait, in ms; 0: it may pass, as the probe where it is shut. `moreMs`: it lets others go first. */
  waitMs(now: number, moreMs = 0): number {
    if (this.#until === undefined) return 0;
    if (now < this.#until + moreMs) return this.#until + moreMs - now;
    // Should the probe's owner forget it, the way must not stay shut for ever.
    return this.#probingSince !== undefined && now - this.#probingSince < FORGOTTEN_PROBE_MS ? PROBE_PAUSE_MS : 0;
  }

  beginProbe(now: number): void {
    this.#probingSince = now;
  }

  endProbe(startedAt: number): void {
    if (this.#probingSince === startedAt) this.#probingSince = undefined;
  }

  /** A request that began at `startedAt` failed. Those that were under way together fail together: that is one failure. */
  fail(now: number, startedAt: number, failureClass: FailureClass, retryAfterMs: number | undefined): void {
    const isNews = this.#until === undefined || startedAt >= this.#shutAt;
    if (!isNews && retryAfterMs === undefined) return;
    if (isNews) {
      this.#failures = failureClass === this.#failureClass ? this.#failures + 1 : 1;
      this.#failureClass = failureClass;
      this.#shutAt = now;
    }
    const until = now + backoffMs(failureClass, Math.max(this.#failures, 1), this.#random, retryAfterMs);
    this.#until = isNews ? until : Math.max(until, this.#until ?? 0);
  }

  /** The probe told nothing: as long again as last time. */
  waitAgain(now: number): void {
    if (this.#until === undefined || this.#failureClass === undefined) return;
    this.#until = now + backoffMs(this.#failureClass, Math.max(this.#failures, 1), this.#random, undefined);
  }

  /**
   * Whether a success of a request that began at `startedAt` opens it. One that the server has held since before does not
   * speak for what is new, unless connections were the trouble.
   */
  isOpenedBy(startedAt: number): boolean {
    const isAboutConnections = this.#failureClass === "unreachable" || this.#failureClass === "silent";
    return startedAt >= this.#shutAt || isAboutConnections;
  }

  open(): void {
    this.#until = undefined;
    this.#failures = 0;
    this.#failureClass = undefined;
  }
}
