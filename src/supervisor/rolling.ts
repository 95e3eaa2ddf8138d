/** One process, as the roll sees it. */
export interface RollCandidate {
  /** Counts the processes that were started in this place. */
  readonly generation: number;
  readonly isReady: boolean;
}

export type RollStep =
  /** Ask this one to end; it is replaced. */
  { readonly kind: "replace"; readonly index: number } | { readonly kind: "wait" } | { readonly kind: "done" };

/**
 * The next step of a roll. One by one, and the next only when all are ready, so that never more than one is missing.
 *
 * @param old the generations that are to go, one for each place.
 */
export function nextRollStep(now: readonly RollCandidate[], old: readonly number[]): RollStep {
  if (!now.every(({ isReady }) => isReady)) return { kind: "wait" };
  const index = now.findIndex(({ generation }, place) => generation === old[place]);
  return index === -1 ? { kind: "done" } : { kind: "replace", index };
}
