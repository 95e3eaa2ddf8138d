/**
 * What a poll is for:
 * - `scout`: one task, held by the server until there is one. Right on every kind of queue.
 * - `hold`: all free slots, held; only where the server answers at the first task.
 * - `trial`: the same, held briefly, to find out whether it does.
 * - `sweep`: all free slots, not held.
 */
export interface PollPlan {
  readonly kind: "scout" | "hold" | "trial" | "sweep";
  readonly count: number;
  /** How long the server may hold it, in ms. */
  readonly timeoutMs: number;
}

/** What the strategy remembers of a task type's queue. */
export interface PollState {
  /** More tasks wait than we could take: take all that fit, and chain. */
  readonly backlog: boolean;
  /** The last scout brought something: a sweep shows what else is there. */
  readonly sweepNext: boolean;
  /** Polls in a row that ended long before their hold and brought nothing to do: the client must pace itself. */
  readonly hollow: number;
  /**
   * The server answers a held poll for many at the first task (Redis, Orkes), and does not wait for all of them (SQL).
   * Undefined until it was seen.
   */
  readonly isEager: boolean | undefined;
  /** Scouts that brought something since the last trial, while the kind is not known. */
  readonly scoutHits: number;
}

export const INITIAL_POLL_STATE: PollState = {
  backlog: false,
  sweepNext: false,
  hollow: 0,
  isEager: undefined,
  scoutHits: 0,
};

/** After so many scouts that brought something a trial is worth its risk: work comes often enough to learn from. */
const TRIAL_AFTER_HITS = 4;
/** A trial on a patient queue makes one task wait this long, in ms. */
const TRIAL_MS = 300;
/** The same once the queue was taken for patient: a trial may have been unlucky, and on a patient queue each one costs. */
const RETRIAL_AFTER_HITS = 1_000;
/** A patient queue never answers short before its time, so what comes sooner than this before the end is eager, in ms. */
const AT_THE_END_MS = 5;

/** An empty held poll that ends this much before its hold was not held. */
const EARLY_SHARE = 0.5;
/** The wait after the first poll that was not held and brought nothing, in ms; doubled with each further one. */
const FIRST_PACE_MS = 100;
/** With a hold of 0 there is nothing to tell a held answer from an early one, and nothing to wait for. */
const MIN_PACE_CAP_MS = 1_000;

/**
 * The next poll, once {@link paceMs} is over. Idle, one **scout** (`count=1`) is held by the server: it answers at the
 * first task on every kind of queue. What it found is followed by **sweeps** (`count` = free slots, not held) until one
 * comes back short. One poll at a time is under way.
 */
export function nextPoll(
  state: PollState,
  now: {
    /** As many as may be asked for: all that are free, as a rule. */
    readonly freeSlots: number;
    readonly longPollMs: number;
    readonly isProbe: boolean;
  },
): PollPlan {
  const count = Math.max(1, now.freeSlots);
  if (now.isProbe || state.backlog || state.sweepNext) return { kind: "sweep", count, timeoutMs: 0 };
  if (count > 1 && now.longPollMs > TRIAL_MS) {
    if (state.isEager === true) return { kind: "hold", count, timeoutMs: now.longPollMs };
    if (state.scoutHits >= (state.isEager === undefined ? TRIAL_AFTER_HITS : RETRIAL_AFTER_HITS)) {
      return { kind: "trial", count, timeoutMs: TRIAL_MS };
    }
  }
  return { kind: "scout", count: 1, timeoutMs: now.longPollMs };
}

/** The state after a poll was answered. `useful`: how many of the tasks it brought could be begun or handed back. */
export function afterPoll(
  state: PollState,
  plan: PollPlan,
  answer: { readonly received: number; readonly useful: number; readonly durationMs: number },
): PollState {
  const learned = learn(state, plan, answer);
  if (answer.useful > 0) {
    if (plan.kind === "scout") return { ...learned, sweepNext: true, hollow: 0 };
    return { ...learned, backlog: answer.received >= plan.count, sweepNext: false, hollow: 0 };
  }
  const isHeld = plan.kind !== "sweep";
  const early = isHeld && answer.durationMs < plan.timeoutMs * EARLY_SHARE;
  const unpaced = isHeld && plan.timeoutMs === 0;
  const hollow = early || unpaced || answer.received > 0 ? state.hollow + 1 : isHeld ? 0 : state.hollow;
  return { ...learned, backlog: false, sweepNext: false, hollow };
}

/** What an answer tells of the kind of queue. */
function learn(
  state: PollState,
  plan: PollPlan,
  { received, durationMs }: { readonly received: number; readonly durationMs: number },
): PollState {
  if (plan.kind === "scout") return received > 0 ? { ...state, scoutHits: state.scoutHits + 1 } : state;
  const isTold = received > 0 && received < plan.count && plan.timeoutMs > 0;
  if (!isTold) return plan.kind === "trial" ? { ...state, scoutHits: 0 } : state;
  // With fewer than it was asked for it either answered at the first, or waited for more until the end.
  return { ...state, isEager: durationMs < plan.timeoutMs - AT_THE_END_MS, scoutHits: 0 };
}

/** The state after the server was away: it may have come back as another kind. */
export function afterOutage(state: PollState): PollState {
  return state.isEager === undefined ? state : { ...state, isEager: undefined, scoutHits: 0 };
}

/** The state after a chained update: it carried a task, or the queue was empty. */
export function afterChain(state: PollState, carried: boolean): PollState {
  return carried === state.backlog ? state : { ...state, backlog: carried };
}

/** How long to wait before the next poll, in ms. */
export function paceMs(state: PollState, longPollMs: number): number {
  if (state.hollow === 0) return 0;
  return Math.min(FIRST_PACE_MS * 2 ** Math.min(state.hollow - 1, 10), Math.max(longPollMs, MIN_PACE_CAP_MS));
}
