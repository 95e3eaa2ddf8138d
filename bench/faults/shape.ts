import type { TaskDef } from "ostinato";
import type { FaultWorld } from "./world.js";

/** One fault, in one shape: injected the same way whoever the worker is. */
export interface FaultShape {
  /** As the fault suite numbers it; 0 for what has no number there. */
  readonly number: number;
  readonly name: string;
  readonly variant?: string;
  /** What one has to know to judge the row fairly. */
  readonly note?: string;
  /** How long the fault itself lasts, in ms: only to start the longest first. */
  readonly lastsMs?: number;
  /** Not recovered by then is stuck, and what is open by then is lost. */
  readonly boundMs: number;
  readonly concurrency: number;
  readonly taskDef?: Partial<TaskDef>;
  /** See {@link WorkerSettings.isShortOfExit}. */
  readonly isShortOfExit?: boolean;
  /** `inject` starts the worker. Default false. */
  readonly startsByItself?: boolean;
  inject(world: FaultWorld): Promise<Injected>;
  /** More that is measured when the worker works again. */
  after?(world: FaultWorld): Promise<string[]>;
}

export interface Injected {
  /** The moment that the time to recovery counts from, on `performance.now()`. */
  readonly since: number;
  readonly remarks?: readonly string[];
}
