import type { LoopPhase } from "./liveness/board.js";

/** What a runner is doing, for status pages and tests. */
export interface RunnerStatus {
  readonly taskType: string;
  /** The domain it polls; undefined: none. */
  readonly domain: string | undefined;
  /** What it was told to do. `draining`: it polls no more, and tasks that run may finish. */
  readonly state: "polling" | "paused" | "draining" | "stopped";
  /** What its loop did last. */
  readonly phase: LoopPhase;
  /** How many tasks may run at once. */
  readonly concurrency: number;
  /** How many slots are taken by tasks, the first attempt to deliver their result included. */
  readonly running: number;
  /** Milliseconds since the loop's last iteration. */
  readonly lastBeatAgoMs: number;
  /** Milliseconds since the last poll that the server answered; undefined before the first. */
  readonly lastPollAgoMs: number | undefined;
  /** Undefined unless its polls fail: for how long none has succeeded, and what the last one said. */
  readonly pollsFailing: { readonly forMs: number; readonly error: string } | undefined;
}

/** What the runners of a process are doing, together. */
export interface GroupStatus {
  readonly runners: readonly RunnerStatus[];
  /** Tasks that were handed out to us and have not left yet, whatever their state. */
  readonly inFlight: number;
  /** Finished results that wait for another attempt. */
  readonly resultsWaiting: number;
  /** Functions that go on although their task was ended. */
  readonly abandoned: number;
  /** Finished results have piled up to the limit; nothing is polled until they are delivered. */
  readonly outboxFull: boolean;
  /**
   * False while everybody waits for the server, and from a first failure until something succeeds again. Who is refused
   * alone does not count.
   */
  readonly serverReachable: boolean;
}

/** What a handler is doing: what `handler.status` and `/status` tell. */
export interface TaskHandlerStatus extends GroupStatus {
  /** `draining`: nothing is polled any more, and what runs may finish. */
  readonly state: "running" | "draining" | "stopped";
}

/** How many functions may go on after the end of their tasks: as many as may run at once. */
export function abandonedLimit({ runners }: Pick<GroupStatus, "runners">): number {
  return runners.reduce((sum, { concurrency }) => sum + concurrency, 0);
}

/** Whether more of them go on: then the process carries twice what it should, and only its end frees it of that. */
export function isOverburdened(status: Pick<GroupStatus, "abandoned" | "runners">): boolean {
  return status.abandoned > abandonedLimit(status);
}
