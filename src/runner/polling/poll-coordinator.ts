import type { Clock, Timer } from "../../base/clock.js";
import type { TaskApi } from "../../conductor/task-api.js";
import type { Logger } from "../../log/logger.js";
import type { Meaning } from "../answers/meaning.js";
import { reportReply, type ServerGate } from "../gate/server-gate.js";

/** What the coordinator needs of a runner. */
export interface PollMember {
  /** The queue's name: the task type, in a domain `domain:type`. */
  readonly queueName: string;
  /** When it last got a task, by the clock. */
  readonly lastWorkAt: number;
  /** It would poll now if it were allowed to. */
  readonly isWaitingForHold: boolean;
  /** Its turn has come to hold a poll. */
  wake(): void;
  /** Something may wait in its queue: it should sweep once. */
  sweep(): void;
}

/** The sizes of watched queues are asked for this often, in ms. */
const WATCH_INTERVAL_MS = 1_000;
/** A queue that stays at the same size may hold delayed tasks that become due: it is swept this often, in ms. */
const STALE_SIZE_MS = 5_000;
/** An empty held poll that ends this much later than its hold and the way there take says that the server is short of threads. */
const OVERRUN_MS = 250;
/** Round trips of a request on a new connection: that of TCP, those of TLS, its own, and one that is lost. */
const ROUND_TRIPS = 5;
/** No way is longer than that, in ms: more of it is the server's. */
const MAX_ROUND_TRIP_MS = 400;
/** Between two cuts, in ms: what is under way still counts for the last one. */
const CUT_PAUSE_MS = 3_000;
/** A queue whose size is told as nothing, or stays as it is, is swept this often all the same, in ms: a cache may be telling it. */
const UNTOLD_SIZE_MS = 60_000;
/** Failures in a row that say that the sizes are not told: one 500 is a server that has a bad moment. */
const MAX_FAILURES = 3;
/** Then they are asked for again after this long, in ms; doubled each time, up to the second: what refused them may be a stranger. */
const FIRST_RECHECK_MS = 30_000;
const MAX_RECHECK_MS = 600_000;
/** After this long without an overrun one more poll may be held, in ms; doubled with each cut. */
const RAISE_AFTER_MS = 60_000;
const MAX_RAISE_AFTER_MS = 900_000;

/**
 * Rations held polls: each occupies one of the server's 200 threads. Those that had work lately hold; the rest are
 * watched by one request a second for the sizes of all their queues, or take turns where that is refused.
 *
 * A member holds, waits for a hold, or wants none (full, paused, draining). Before each held poll a runner asks
 * {@link mayHold}; it tells {@link holdEnded} after it, {@link full} or {@link release} when it cannot poll. Who waits is
 * woken when its turn has come, and asked to sweep when its queue has something. Answers that come late lower the number
 * of holds; quiet time raises it again, up to what the user allows.
 */
export class PollCoordinator {
  readonly #clock: Clock;
  readonly #api: TaskApi;
  readonly #gate: ServerGate;
  readonly #log: Logger;
  readonly #maxHeldPolls: number;
  readonly #members: PollMember[] = [];
  readonly #holders = new Set<PollMember>();
  readonly #sizes = new Map<PollMember, { size: number; sweptAt: number }>();
  #allowed: number;
  /** The least that answers took beyond what the server was asked to wait, since the last cut: the way there and back. */
  #roundTripMs = MAX_ROUND_TRIP_MS;
  #cutAt = -Infinity;
  #raiseAfterMs = RAISE_AFTER_MS;
  #raiseAt = Infinity;
  #watchTimer: Timer;
  #watchesFrom = -Infinity;
  #failures = 0;
  #recheckMs = FIRST_RECHECK_MS;
  #stopped = false;

  constructor(options: { clock: Clock; api: TaskApi; gate: ServerGate; log: Logger; maxHeldPolls: number }) {
    this.#clock = options.clock;
    this.#api = options.api;
    this.#gate = options.gate;
    this.#log = options.log;
    this.#maxHeldPolls = options.maxHeldPolls;
    this.#allowed = options.maxHeldPolls;
  }

  register(member: PollMember): void {
    this.#members.push(member);
  }

  /** Whether `member` may have a poll held now. If not, it will be woken, or asked to sweep. */
  mayHold(member: PollMember): boolean {
    this.#raise();
    if (this.#holders.has(member) && this.#holders.size <= this.#allowed) return true;
    if (this.#holders.size < this.#allowed) {
      this.#holders.add(member);
      return true;
    }
    this.#holders.delete(member);
    this.#watch();
    return false;
  }

  /** A held poll has ended. `overrunMs`: by how much an empty answer came later than the hold; 0 for any other end. */
  holdEnded(member: PollMember, holdMs: number, overrunMs: number): void {
    if (this.#isLate(overrunMs)) this.#cut(holdMs / (holdMs + overrunMs));
    if (this.#members.length <= this.#allowed) return;
    const next = this.#nextFor(member);
    if (next === undefined && this.#holders.size <= this.#allowed) return;
    this.#holders.delete(member);
    if (next === undefined || this.#holders.size >= this.#allowed) return;
    this.#holders.add(next);
    next.wake();
  }

  /**
   * The member has no free slot. Who is watched need not wait for its hold, and it may need it again in a moment; where
   * task types take turns its turn is over.
   */
  full(member: PollMember): void {
    if (!this.#mayWatch) this.release(member);
  }

  /** The member does not poll (paused, draining): its hold is somebody else's. */
  release(member: PollMember): void {
    if (!this.#holders.delete(member) || this.#stopped || this.#holders.size >= this.#allowed) return;
    const waiting = this.#members.filter((other) => other.isWaitingForHold && !this.#holders.has(other));
    const index = this.#members.indexOf(member);
    const next = waiting.sort((a, b) => b.lastWorkAt - a.lastWorkAt || this.#turn(a, index) - this.#turn(b, index))[0];
    if (next === undefined) return;
    this.#holders.add(next);
    next.wake();
  }

  get #mayWatch(): boolean {
    return this.#clock.now() >= this.#watchesFrom;
  }

  stop(): void {
    this.#stopped = true;
    this.#clock.clearTimer(this.#watchTimer);
  }

  /** Who should hold instead of `member`: who had work since; without the watch, simply the next in turn. */
  #nextFor(member: PollMember): PollMember | undefined {
    const waiting = this.#members.filter((other) => other.isWaitingForHold && !this.#holders.has(other));
    if (!this.#mayWatch) {
      const index = this.#members.indexOf(member);
      return [...waiting].sort((a, b) => this.#turn(a, index) - this.#turn(b, index))[0];
    }
    let best: PollMember | undefined;
    for (const other of waiting) {
      if (other.lastWorkAt > (best ?? member).lastWorkAt) best = other;
    }
    return best;
  }

  #turn(member: PollMember, after: number): number {
    const count = this.#members.length;
    return (this.#members.indexOf(member) - after + count) % count;
  }

  /** `ms`: what an answer took beyond what the server was asked to wait; 0 or less: unknown. */
  #isLate(ms: number): boolean {
    if (ms > 0) this.#roundTripMs = Math.min(this.#roundTripMs, ms);
    return ms > OVERRUN_MS + this.#roundTripMs * (ROUND_TRIPS - 1);
  }

  /**
   * Halves what is held, and more the longer the server let a poll wait for a thread. `served`: the share of the wait
   * that was the hold itself, which is about the share of all held polls that the server has threads for.
   */
  #cut(served: number): void {
    const now = this.#clock.now();
    if (now - this.#cutAt < CUT_PAUSE_MS || this.#allowed <= 1) return;
    // What is held counts, not what might be: twenty may be allowed and ten held.
    this.#allowed = Math.max(1, Math.floor((Math.min(this.#allowed, this.#holders.size) / 2) * served));
    this.#cutAt = now;
    // The way may be another one by now.
    this.#roundTripMs = MAX_ROUND_TRIP_MS;
    this.#raiseAt = now + this.#raiseAfterMs;
    this.#raiseAfterMs = Math.min(this.#raiseAfterMs * 2, MAX_RAISE_AFTER_MS);
    this.#log.debug({ maxHeldPolls: this.#allowed }, "held polls are answered late: holding fewer");
  }

  #raise(): void {
    if (this.#allowed >= this.#maxHeldPolls) return;
    const now = this.#clock.now();
    if (now < this.#raiseAt) return;
    this.#allowed += 1;
    this.#raiseAt = now + this.#raiseAfterMs;
  }

  #watch(): void {
    if (this.#watchTimer !== undefined || !this.#mayWatch || this.#stopped) return;
    this.#watchTimer = this.#clock.setTimer(() => {
      void this.#fetchSizes().finally(() => {
        this.#watchTimer = undefined;
        if (this.#members.some((member) => member.isWaitingForHold)) this.#watch();
      });
    }, WATCH_INTERVAL_MS);
  }

  async #fetchSizes(): Promise<void> {
    const watched = this.#members.filter((member) => member.isWaitingForHold);
    if (watched.length === 0 || this.#stopped) return;
    const permit = this.#gate.admit("aside sizes");
    if ("waitMs" in permit) {
      this.#sweepUntold(watched);
      return;
    }
    const askedAt = this.#clock.now();
    const reply = await this.#api.queueSizes(watched.map((member) => member.queueName));
    // It takes milliseconds, and waits for a thread like anybody's request: held polls in step may never feel that.
    const waitedMs = this.#clock.now() - askedAt;
    if (reply.kind === "answered" && this.#isLate(waitedMs)) this.#cut(1);
    const meaning = reportReply(permit, reply);
    if (reply.kind !== "answered") {
      this.#sweepUntold(watched);
      this.#failures += 1;
      // A server that is away is waited for.
      if (this.#gate.isOpen && (this.#failures >= MAX_FAILURES || isOwnRefusal(meaning)))
        this.#giveUpWatching(reply.error);
      return;
    }
    this.#failures = 0;
    this.#recheckMs = FIRST_RECHECK_MS;
    const now = this.#clock.now();
    for (const member of watched) {
      const size = reply.value[member.queueName] ?? 0;
      const known = this.#sizes.get(member);
      this.#sizes.set(member, { size, sweptAt: known?.sweptAt ?? now });
      if (known === undefined ? size > 0 : size !== known.size && size > 0) this.#sweep(member);
      else this.#sweepIfDue(member, size > 0 ? STALE_SIZE_MS : UNTOLD_SIZE_MS);
    }
  }

  /** What is not told may wait all the same: nobody is to starve for it. */
  #sweepUntold(watched: readonly PollMember[]): void {
    for (const member of watched) this.#sweepIfDue(member, STALE_SIZE_MS);
  }

  #sweepIfDue(member: PollMember, afterMs: number): void {
    const now = this.#clock.now();
    const known = this.#sizes.get(member);
    if (known === undefined) this.#sizes.set(member, { size: 0, sweptAt: now });
    else if (now - known.sweptAt >= afterMs) this.#sweep(member);
  }

  #sweep(member: PollMember): void {
    this.#sizes.set(member, { size: this.#sizes.get(member)?.size ?? 0, sweptAt: this.#clock.now() });
    member.sweep();
  }

  #giveUpWatching(error: Error): void {
    this.#failures = 0;
    const forMs = this.#recheckMs;
    this.#recheckMs = Math.min(forMs * 4, MAX_RECHECK_MS);
    this.#watchesFrom = this.#clock.now() + forMs;
    // Once: later it is no news.
    if (forMs === FIRST_RECHECK_MS)
      this.#log.warn(
        { err: error },
        "the server does not tell the sizes of its queues; task types take turns at the held polls, and it is asked again now and then",
      );
    for (const member of this.#members) if (member.isWaitingForHold) member.wake();
  }
}

/** Conductor itself refuses it. That it failed over it, or has no right to tell, may pass. */
function isOwnRefusal({ speaker, server }: Meaning): boolean {
  return speaker === "conductor" && server === "there";
}
