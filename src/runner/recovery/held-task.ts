import type { EndedHandOut } from "../ended-hand-outs.js";
import type { InFlightState } from "../in-flight.js";
import type { PollerIdentity } from "../poller-identity.js";

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

/** What a process that has ended has left behind, for the one that takes its place. */
export interface Predecessor {
  readonly id: number;
  readonly tasks: readonly HeldTask[];
  readonly pollers: readonly PollerIdentity[];
  /** What it had ended last, as far as that is known: it must not run again. */
  readonly ended?: readonly EndedHandOut[];
  /** How it ended, in one line. */
  readonly reason: string;
}
