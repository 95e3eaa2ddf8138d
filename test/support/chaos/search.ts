import type { Accounts } from "../faults/audit.js";
import { describeItem } from "./plan.js";
import type { Played } from "./play.js";
import { planFor, type Players } from "./players.js";
import { shrink } from "./shrink.js";

/** Which seeds are played, and how. */
export interface SearchOptions {
  readonly from: number;
  readonly seeds: number;
  /** See `planOf`. */
  readonly without: readonly string[];
  /** Only these items, of every seed. Default: all. */
  readonly places?: readonly number[] | undefined;
  /** After so many seeds with problems no other is begun. */
  readonly maxFailures: number;
  /** How long a plan is shrunk, in ms. 0: not at all. */
  readonly shrinkMs: number;
  /** Called for each seed that was played. */
  readonly onPlayed?: (played: Played) => void;
}

/** What all plays together were. */
export interface Found {
  readonly played: number;
  /** A text for people for each seed with problems. */
  readonly failures: readonly string[];
  readonly accounts: Accounts;
  /** The slowest, from the end of its chaos until all was done, in ms. */
  readonly slowestMs: number;
  readonly slowestSeed: number;
  readonly hits: number;
  readonly runs: number;
}

/** How often the same plan is tried: sockets do not repeat themselves exactly. */
const REPETITIONS = 2;
const MAX_TRIES = 120;
/** What is shrunk is not waited for as long as it might take: it comes to rest within seconds, or never. */
const SHORT_REST_MS = 12_000;

/** Plays seeds, and shrinks the plans of those that show a problem. */
export async function search(players: Players, options: SearchOptions): Promise<Found> {
  const { from, seeds, without, places, maxFailures, shrinkMs, onPlayed } = options;
  const failed: Played[] = [];
  const executedAgain: Record<string, number> = {};
  const sums = { played: 0, slowestMs: 0, slowestSeed: from, hits: 0, runs: 0, handOuts: 0, lost: 0 };
  const add = (played: Played): void => {
    const { accounts, problems } = played;
    sums.played += 1;
    if (played.restMs > sums.slowestMs) [sums.slowestMs, sums.slowestSeed] = [played.restMs, played.seed];
    sums.hits += played.hits;
    sums.runs += played.runs;
    sums.handOuts += accounts.handOuts;
    sums.lost += accounts.lost;
    for (const [why, count] of Object.entries(accounts.executedAgain)) {
      executedAgain[why] = (executedAgain[why] ?? 0) + count;
    }
    if (problems.length > 0) failed.push(played);
    onPlayed?.(played);
  };
  let next = from;
  const one = async (): Promise<void> => {
    while (next < from + seeds && failed.length < maxFailures)
      add(await players.play({ seed: next++, without, places }));
  };
  await Promise.all(Array.from({ length: players.parallel }, one));
  const failures: string[] = [];
  // Some were under way when the last of those that matter failed.
  for (const [n, played] of failed.entries()) {
    failures.push(await told(players, played, options, n < maxFailures ? shrinkMs : 0));
  }
  const { handOuts, lost, ...more } = sums;
  return { ...more, failures, accounts: { handOuts, lost, executedAgain, problems: [] } };
}

/** The smallest plan that still shows the same kind of problem, and what happened in it. */
async function told(
  players: Players,
  first: Played,
  { without, places }: SearchOptions,
  shrinkMs: number,
): Promise<string> {
  const { seed } = first;
  const kinds = new Set(first.problems.map(({ kind }) => kind));
  const plan = planFor({ seed, without, places });
  const all = plan.items.flatMap((item, place) => (item === undefined ? [] : [place]));
  const endAt = performance.now() + shrinkMs;
  let smallest = first;
  let seenAgain = 0;
  const firstFailing = async (candidates: readonly (readonly number[])[]) => {
    const results = await Promise.all(
      candidates.map((kept) =>
        Promise.all(
          Array.from({ length: REPETITIONS }, () =>
            players.play({ seed, without, places: kept, boundMs: SHORT_REST_MS }),
          ),
        ),
      ),
    );
    for (const [n, repetitions] of results.entries()) {
      const failing = repetitions.find(({ problems }) => problems.some(({ kind }) => kinds.has(kind)));
      if (failing === undefined) continue;
      smallest = failing;
      seenAgain += 1;
      return candidates[n];
    }
    return undefined;
  };
  const atOnce = Math.max(Math.floor(players.parallel / REPETITIONS), 1);
  const isOver = () => performance.now() >= endAt;
  const kept = await shrink(all, { firstFailing, maxTries: MAX_TRIES, atOnce, isOver });
  const again = shrinkMs === 0 ? "" : seenAgain === 0 ? "; a smaller plan did not show it" : `, of ${all.length}`;
  return [
    `seed ${seed}:`,
    ...smallest.problems.slice(0, 8).map(({ kind, text }) => `  ${kind}: ${text}`),
    `  the plan (${plan.queue} queue${plan.hasJournal ? ", a journal" : ""}${plan.hasOwnProcess ? ", a process of its own" : ""}${plan.tokenless === undefined ? "" : `, ${plan.tokenless} without a token`}), ${kept.length} items${again}:`,
    ...kept.map((place) => `    [${place}] ${describeItem(plan.items[place]!)}`),
    `  once more: npm run test:chaos -- --from ${seed} --seeds 1${without.length === 0 ? "" : ` --without ${without.join(",")}`} --items ${kept.join(",")}`,
    ...smallest.story.map((line) => `    ${line}`),
  ].join("\n");
}
