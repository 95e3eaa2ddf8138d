import type { EndedHandOut } from "../ended-hand-outs.js";
import type { InFlightTask } from "../in-flight.js";
import type { Parcel } from "../parcel.js";
import type { PollerIdentity } from "../poller-identity.js";

/** What the delivery needs of a journal: the results that it holds are also somewhere that outlives the process. */
export interface ResultKeeper {
  /** Writes a terminal result down, before its first delivery attempt. Never throws. */
  keep(entry: InFlightTask, parcel: Parcel): KeptResult;
}

/** One result in a journal. */
export interface KeptResult {
  /** A successor would find it now. False: the disk is full, say, and it is in memory only. */
  readonly isOnDisk: boolean;
  /** Settles when the disk itself has it; undefined where that is not asked for. Never rejects, and is bounded. */
  readonly synced: Promise<void> | undefined;
  /** The result has left: nobody has to deliver it any more. Never throws. */
  settle(): void;
  /**
   * There where another server's results may be: this one's server has never heard of the task, and somebody who talks
   * to the other one shall have it. Never throws.
   */
  readonly leave?: (() => void) | undefined;
}

/** A finished result that a dead process left. */
export interface InheritedResult {
  /** The task as far as a report on it needs it, under the dead process's `workerId`. Not in the table of tasks. */
  readonly entry: InFlightTask;
  readonly parcel: Parcel;
  readonly kept: KeptResult;
}

/** Takes results over from a dead process. */
export interface InheritedSink {
  readonly hasRoomForInherited: boolean;
  deliverInherited(result: InheritedResult): void;
}

/** One hand-out of a task, as a key: the same task handed out again is another one. */
export const handOutKey = (taskId: string, pollCount: number): string => `${taskId} ${pollCount}`;

/** A dead process whose journal was taken over. */
export interface DeadOwner {
  readonly workerIds: readonly string[];
  readonly pid: number;
  readonly host: string;
  /** It is dead for sure; otherwise it may only have been silent for long. */
  readonly isCertain: boolean;
  /** It ended in order, and owed these searches; undefined: it did not, or said nothing. */
  readonly owed: readonly PollerIdentity[] | undefined;
  /** The last hand-outs that it had results of, as far as its journal was looked through by then. */
  readonly ended: readonly EndedHandOut[];
}
