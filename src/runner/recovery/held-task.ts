import type { InFlightState } from "../in-flight.js";

/** A task that a process had in its hands when it last told. */
export interface HeldTask {
  readonly taskId: string;
  readonly workflowInstanceId: string;
  readonly taskType: string;
  readonly workerId: string;
  /** Undefined: known from a stall report only, which does not have it. */
  readonly pollCount: number | undefined;
  readonly state: InFlightState;
}

/** One worker of a process, and the name under which it polled. */
export interface PollerIdentity {
  readonly taskType: string;
  readonly domain: string | undefined;
  readonly workerId: string;
  /** The `workerId` is of that process alone, so that whatever the server has under it was that process's. */
  readonly isUnique: boolean;
}

/** What a process that died has left behind, for the one that takes its place. */
export interface Predecessor {
  readonly id: number;
  readonly tasks: readonly HeldTask[];
  readonly pollers: readonly PollerIdentity[];
  /** How it died, in one line. */
  readonly reason: string;
}
