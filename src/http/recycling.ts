/** Two swaps by suspicion are at least this far apart. */
export const MIN_SWAP_SPACING_MS = 1_000;

/** The spacing stops doubling here: a server that stays slow is met with new handshakes twice a minute at most. */
export const MAX_SWAP_SPACING_MS = 30_000;

/** What the limit on swaps by suspicion remembers. */
export interface SuspicionState {
  /** When the pools were last swapped by suspicion, on the monotonic clock; `undefined` before the first time. */
  readonly lastSwapAtMs: number | undefined;
  /** How long after that the next swap may come. */
  readonly spacingMs: number;
}

/** Before the first suspicion: it is acted on at once. */
export const UNSUSPECTING: SuspicionState = { lastSwapAtMs: undefined, spacingMs: MIN_SWAP_SPACING_MS };

/**
 * Whether a suspicion swaps the pools. The first one does; the next are spaced, twice as far each time, because a swap
 * that brought no success shows that the connections were not what was wrong.
 *
 * @returns the state to go on with, or `undefined` when the suspicion is too early to act on
 */
export function afterSuspicion(state: SuspicionState, nowMs: number): SuspicionState | undefined {
  if (state.lastSwapAtMs === undefined) return { lastSwapAtMs: nowMs, spacingMs: MIN_SWAP_SPACING_MS };
  if (nowMs - state.lastSwapAtMs < state.spacingMs) return undefined;
  return { lastSwapAtMs: nowMs, spacingMs: Math.min(state.spacingMs * 2, MAX_SWAP_SPACING_MS) };
}

/** A request on the present connections was answered: the spacing shrinks to its least, but does not vanish. */
export function afterSuccess(state: SuspicionState): SuspicionState {
  return state.spacingMs === MIN_SWAP_SPACING_MS ? state : { ...state, spacingMs: MIN_SWAP_SPACING_MS };
}

/** Whether connections opened for a pool made at `bornAtMs` have served long enough. */
export function isOverAge(bornAtMs: number, nowMs: number, maxConnectionAgeMs: number): boolean {
  return nowMs - bornAtMs >= maxConnectionAgeMs;
}
