import type { RealQueue } from "../../test/support/servers/real-conductor/real-conductor.js";
import type { Crowded, Drained, Idled, Trickled } from "./loads.js";

/** The name of the row in which no client runs. */
export const NOBODY = "(nobody)";

/** By client. */
export type Rows<T> = ReadonlyMap<string, T>;

/** What was measured on one queue; only of the parts that were run. */
export interface QueueResults {
  readonly queue: RealQueue;
  drained?: Rows<Drained>;
  trickled?: Rows<Trickled>;
  idled?: Rows<Idled>;
  crowded?: Rows<Crowded>;
}
