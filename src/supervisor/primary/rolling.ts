/** One process, as the roll sees it. */
export interface RollCandidate {
  /** Counts the processes that were started in this place. */
  readonly generation: number;
  /** Its handlers have started. */
  readonly isReady: boolean;
  readonly server: ServerAnswers;
}

/** Whether the server answers a process; `unknown`: none of its polls was answered yet, and none has failed. */
export type ServerAnswers = "yes" | "no" | "unknown";

export type RollStep =
  /** Ask this one to end; it is replaced. */
  | { readonly kind: "replace"; readonly index: number }
  /** Wait until all are ready, or until the server answers the process `unanswered`. */
  | { readonly kind: "wait"; readonly unanswered?: number }
  | { readonly kind: "done" };

/**
 * The next step of a roll. One by one, and the next only when all are ready, so that never more than one is missing. Unless
 * the server is away for the old ones, too, it has to answer the new ones first: a version with a wrong address must not
 * replace all that work.
 *
 * @param old the generations that are to go, one for each place.
 */
export function nextRollStep(now: readonly RollCandidate[], old: readonly number[]): RollStep {
  if (!now.every(({ isReady }) => isReady)) return { kind: "wait" };
  const isOld = ({ generation }: RollCandidate, place: number) => generation === old[place];
  const isAway = !now.some((each, place) => isOld(each, place) && each.server !== "no");
  const unanswered = now.findIndex((each, place) => !isOld(each, place) && each.server !== "yes");
  if (!isAway && unanswered !== -1) return { kind: "wait", unanswered };
  const index = now.findIndex(isOld);
  return index === -1 ? { kind: "done" } : { kind: "replace", index };
}
