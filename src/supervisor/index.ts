export { superviseWorkers, type SuperviseOptions, type SupervisorHandle } from "./supervise.js";
export type { ExitKind } from "./exit-kind.js";
export type { ExitRecord, PlaceState, PlaceStatus } from "./process-place.js";
export type { SupervisorEnd, SupervisorState, SupervisorStatus } from "./supervisor.js";
