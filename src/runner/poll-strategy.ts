/** What to ask the server for. */
export interface PollPlan {
  readonly kind: "scout" | "sweep";
  readonly count: number;
  /** How long the server may hold it, in ms. */
  readonly timeoutMs: number;
}

/** What the strategy remembers of a task type's queue. */
export interface PollState {
  /** More tasks wait than we could take: take all that fit, and chain. */
  readonly backlog: boolean;
  /** The last scout brought something: look once what else is there. */
  readonly sweepNext: boolean;
  /** Polls in a row that ended long before their hold and brought nothing to do: the client must pace itself. */
  readonly hollow: number;
}

export const INITIAL_POLL_STATE: PollState = { backlog: false, sweepNext: false, hollow: 0 };

/** An empty held poll that ends this much before its hold was not held. */
const EARLY_SHARE = 0.5;
const FIRST_PACE_MS = 100;
/** With a hold of 0 there is nothing to tell a held answer from an early one, and nothing to wait for. */
const MIN_PACE_CAP_MS = 1_000;

/**
 * The next poll, or how long to wait first. Idle, one **scout** (`count=1`) is held by the server: it answers at the
 * first task on every kind of queue. What it found is followed by **sweeps** (`count` = free slots, not held) until one
 * comes back short. One poll at a time is under way.
 */
export function nextPoll(
  state: PollState,
  now: { readonly freeSlots: number; readonly longPollMs: number; readonly isProbe: boolean },
): PollPlan {
  if (now.isProbe || state.backlog || state.sweepNext) {
    return { kind: "sweep", count: Math.max(1, now.freeSlots), timeoutMs: 0 };
  }
  return { kind: "scout", count: 1, timeoutMs: now.longPollMs };
}

/** The state after a poll was answered. `useful`: how many of the tasks it brought could be begun or handed back. */
export function afterPoll(
  state: PollState,
  plan: PollPlan,
  answer: { readonly received: number; readonly useful: number; readonly durationMs: number },
): PollState {
  if (answer.useful > 0) {
    return plan.kind === "scout"
      ? { backlog: state.backlog, sweepNext: true, hollow: 0 }
      : { backlog: answer.received >= plan.count, sweepNext: false, hollow: 0 };
  }
  const early = plan.kind === "scout" && answer.durationMs < plan.timeoutMs * EARLY_SHARE;
  const unpaced = plan.kind === "scout" && plan.timeoutMs === 0;
  const hollow = early || unpaced || answer.received > 0 ? state.hollow + 1 : plan.kind === "scout" ? 0 : state.hollow;
  return { backlog: false, sweepNext: false, hollow };
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
