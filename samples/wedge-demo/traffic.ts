import type { EmbeddedConductor, HandOut, LedgerEntry } from "ostinato/testing";

/** What the server's ledger says, put in order. */
export interface Traffic {
  /** Each result that was taken, in order. */
  readonly completed: readonly Completed[];
  readonly failed: readonly Failed[];
  /** The first hand-out of each task. */
  readonly handOuts: ReadonlyMap<string, HandOut>;
}

export interface Completed {
  /** Since 1970, in ms. */
  readonly atMs: number;
  /** Of the process that reported it. */
  readonly pid: number;
}

export interface Failed {
  readonly atMs: number;
  readonly taskId: string;
}

export async function lookAtTraffic(conductor: EmbeddedConductor): Promise<Traffic> {
  return trafficOf(await conductor.ledger());
}

export function trafficOf(ledger: readonly LedgerEntry[]): Traffic {
  const completed: Completed[] = [];
  const failed: Failed[] = [];
  const handOuts = new Map<string, HandOut>();
  for (const entry of ledger) {
    if (entry.kind === "handOut" && !handOuts.has(entry.taskId)) handOuts.set(entry.taskId, entry);
    if (entry.kind !== "update" || !entry.applied) continue;
    const { at: atMs, taskId } = entry;
    if (entry.status === "COMPLETED") completed.push({ atMs, pid: pidOf(entry.workerId) });
    if (entry.status === "FAILED") failed.push({ atMs, taskId });
  }
  return { completed, failed, handOuts };
}

/** A `workerId` is `host:pid:random` unless somebody chooses another. */
export const pidOf = (workerId: string | undefined): number => Number(workerId?.split(":").at(-2) ?? 0);

/** How many tasks were completed in the second that begins at `fromMs`, by the place of their process. */
export function countSecond(
  completed: readonly Completed[],
  fromMs: number,
  placeOf: ReadonlyMap<number, number>,
): [number, number] {
  const counts: [number, number] = [0, 0];
  for (const { atMs, pid } of completed) {
    if (atMs < fromMs || atMs >= fromMs + 1000) continue;
    counts[placeOf.get(pid) === 1 ? 1 : 0] += 1;
  }
  return counts;
}

/** Whether a rate is back: within a fifth of what it was. */
export const hasRecovered = (rate: number, before: number): boolean => rate >= 0.8 * before;

export const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
