import type { Clock } from "../base/clock.js";
import type { TaskApi } from "../conductor/task-api.js";
import type { WorkerTopics } from "../events/emitter.js";
import type { Logger } from "../log/logger.js";
import type { ServerGate } from "./gate/server-gate.js";
import type { InFlightTable } from "./in-flight.js";

/** What all runners of a process have in common. */
export interface Shared {
  readonly clock: Clock;
  /** 0 up to 1, as `Math.random`. */
  readonly random: () => number;
  readonly api: TaskApi;
  readonly gate: ServerGate;
  readonly table: InFlightTable;
  readonly events: WorkerTopics;
  readonly log: Logger;
}
