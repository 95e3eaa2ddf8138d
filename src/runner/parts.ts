import type { RepeatLog } from "../log/repeat-log.js";
import type { Delivery } from "./delivery/delivery.js";
import type { HandBack } from "./delivery/hand-back.js";
import type { EndedHandOuts } from "./ended-hand-outs.js";
import type { Executor } from "./execution/executor.js";
import type { Upkeep } from "./execution/upkeep.js";
import type { PollCoordinator } from "./polling/poll-coordinator.js";
import type { Successors } from "./polling/successors.js";
import type { Reclaim } from "./recovery/reclaim.js";
import type { Shared } from "./shared.js";

/** The parts of a process that its runners share, beside {@link Shared}. */
export interface RunnerParts {
  readonly shared: Shared;
  readonly executor: Executor;
  readonly delivery: Delivery;
  readonly handBack: HandBack;
  readonly upkeep: Upkeep;
  readonly ended: EndedHandOuts;
  readonly reclaim: Reclaim;
  readonly coordinator: PollCoordinator;
  /** Tells the runners of these task types that one of their tasks may just have been scheduled. */
  readonly follow: (afterTaskType: string, taskTypes: readonly string[]) => void;
  /** Undefined: following is switched off. */
  readonly successors: Successors | undefined;
  readonly repeatLog: RepeatLog;
  /** What the answer to a poll is meant to have at most, in bytes. */
  readonly wantedPollBytes: number;
  /** The longest wait of the loop before it iterates, and beats, again, in ms. */
  readonly sliceMs: number;
  /** Called when a poll has settled or a slot is free again. */
  readonly onChange: () => void;
}
