import type { Clock } from "../clock.js";
import type { TaskApi } from "../conductor/task-api.js";
import type { WorkerEventName, WorkerEvents } from "../telemetry/events.js";
import type { Logger } from "../telemetry/logger.js";
import type { InFlightTable } from "./in-flight.js";
import type { ServerGate } from "./server-gate.js";

/** Where events go. `has` is asked first, so that an event nobody hears costs nothing. */
export interface EventSink {
  has(name: WorkerEventName): boolean;
  emit<K extends WorkerEventName>(name: K, event: WorkerEvents[K]): void;
}

/** What all runners of a process have in common. */
export interface Shared {
  readonly clock: Clock;
  /** 0 up to 1, as `Math.random`. */
  readonly random: () => number;
  readonly api: TaskApi;
  readonly gate: ServerGate;
  readonly table: InFlightTable;
  readonly events: EventSink;
  readonly log: Logger;
}
