/**
 * Runs a script of workers in processes of its own, and replaces what dies.
 *
 * @module ostinato/supervisor
 */

export type { SuperviseOptions } from "./primary/options.js";
export { superviseWorkers, type SupervisorHandle } from "./primary/supervise.js";
export type { ExitKind } from "./primary/exit-kind.js";
export type { ExitRecord, PlaceState, PlaceStatus } from "./primary/process-place.js";
export type { SupervisorEnd, SupervisorState, SupervisorStatus } from "./primary/supervisor.js";
