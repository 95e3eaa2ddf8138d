import { CLIENTS, type Client } from "./clients.js";
import { NOBODY, type QueueResults, type Rows } from "./results.js";

/** One thing that was asked of Ostinato. */
export interface Verdict {
  readonly what: string;
  readonly value: number;
  readonly bound: number;
  readonly isAtLeast: boolean;
  readonly isMet: boolean;
}

/** All that can be judged by the parts and clients that were run. */
export function accept(results: QueueResults): Verdict[] {
  return [...acceptDrain(results), ...acceptTrickle(results), ...acceptIdle(results), ...acceptCrowd(results)];
}

/** One line of the list. */
export function verdictLine({ what, value, bound, isAtLeast, isMet }: Verdict): string {
  const relation = isAtLeast ? "at least" : "at most";
  return `${isMet ? "met   " : "MISSED"}  ${what.padEnd(46)} ${value.toFixed(2).padStart(6)}  ${relation} ${bound}`;
}

const atMost = (what: string, value: number, bound: number): Verdict => ({
  what,
  value,
  bound,
  isAtLeast: false,
  isMet: value <= bound,
});

const atLeast = (what: string, value: number, bound: number): Verdict => ({
  what,
  value,
  bound,
  isAtLeast: true,
  isMet: value >= bound,
});

function rowsOf<T>(rows: Rows<T> | undefined, ...kinds: Client["kind"][]): T[] {
  return CLIENTS.filter(({ kind }) => kinds.includes(kind)).flatMap(({ name }) => rows?.get(name) ?? []);
}

function acceptDrain({ queue, drained }: QueueResults): Verdict[] {
  const [ours] = rowsOf(drained, "ostinato");
  const tuned = rowsOf(drained, "tuned");
  if (ours === undefined || tuned.length === 0) return [];
  const best = Math.max(...tuned.map(({ tasksPerSecond }) => tasksPerSecond));
  return [atLeast(`(a) ${queue}: tasks/s ÷ best tuned`, ours.tasksPerSecond / best, 1)];
}

function acceptTrickle({ queue, trickled }: QueueResults): Verdict[] {
  const [ours] = rowsOf(trickled, "ostinato");
  const [byDefault] = rowsOf(trickled, "default");
  const tuned = rowsOf(trickled, "tuned");
  if (ours === undefined) return [];
  const verdicts: Verdict[] = [];
  if (byDefault !== undefined && queue === "sqlite") {
    verdicts.push(atMost(`(b) ${queue}: p50 ÷ official default`, ours.p50 / byDefault.p50, 0.25));
  }
  if (tuned.length === 0) return verdicts;
  // The best of each, though no one setting may have both.
  const p50 = Math.min(...tuned.map((row) => row.p50));
  const p99 = Math.min(...tuned.map((row) => row.p99));
  verdicts.push(
    atMost(`(b) ${queue}: p50 ÷ best tuned`, ours.p50 / p50, queue === "sqlite" ? 0.35 : 1),
    atMost(`(b) ${queue}: p99 ÷ best tuned`, ours.p99 / p99, queue === "sqlite" ? 0.5 : 1),
  );
  if (queue === "sqlite") {
    const cpu = Math.min(...rowsOf(trickled, "default", "tuned").map(({ serverMsPerTask }) => serverMsPerTask));
    verdicts.push(atMost(`(b) ${queue}: server CPU a task ÷ the least`, ours.serverMsPerTask / cpu, 1));
  }
  return verdicts;
}

function acceptIdle({ queue, idled }: QueueResults): Verdict[] {
  const [ours] = rowsOf(idled, "ostinato");
  const [byDefault] = rowsOf(idled, "default");
  const own = idled?.get(NOBODY)?.serverCpu;
  if (ours === undefined || byDefault === undefined || own === undefined) return [];
  const added = Math.max(0, ours.serverCpu - own) / (byDefault.serverCpu - own);
  return [
    atMost(`(c) ${queue}: server CPU added ÷ official`, added, queue === "sqlite" ? 0.6 : 0.2),
    atMost(`(c) ${queue}: requests/s ÷ official`, ours.requestsPerSecond / byDefault.requestsPerSecond, 0.2),
  ];
}

function acceptCrowd({ queue, crowded }: QueueResults): Verdict[] {
  const [ours] = rowsOf(crowded, "ostinato");
  return ours === undefined ? [] : [atMost(`(d) ${queue}: p90 of GET /workflow/{id}, ms`, ours.p90, 50)];
}
