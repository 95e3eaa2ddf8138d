import { judgeReadiness, seconds } from "../../admin/health.js";
import type { PlaceStatus } from "./process-place.js";
import type { SupervisorStatus } from "./supervisor.js";

/** A verdict, with the reasons against it in words. */
export interface Health {
  readonly isGood: boolean;
  readonly reasons: readonly string[];
}

/**
 * Live unless a process that should beat has been silent for longer than it may. One that is being replaced does not
 * count: replacing is what the supervisor is there for, and a restart of everything would not be better.
 *
 * @param silent the numbers of the processes that are silent for too long.
 */
export function judgeLive({ processes }: SupervisorStatus, silent: ReadonlySet<number>): Health {
  const reasons = processes
    .filter(({ process }) => silent.has(process))
    .map(({ process, silentMs }) => `process ${process} has not told anything for ${seconds(silentMs)}`);
  return { isGood: reasons.length === 0, reasons };
}

/**
 * Ready while at most one process is not, and at least one is: so a roll, or a death, does not take all of it out of
 * service. Not ready while it stops.
 */
export function judgeReady({ state, processes }: SupervisorStatus): Health {
  if (state === "stopping" || state === "stopped") return { isGood: false, reasons: ["the supervisor is stopping"] };
  const missing = processes.flatMap((place) => whyNotReady(place).map((why) => `process ${place.process}: ${why}`));
  const notReady = processes.filter((place) => whyNotReady(place).length > 0).length;
  const needed = Math.max(1, processes.length - 1);
  return { isGood: processes.length - notReady >= needed, reasons: missing };
}

function whyNotReady({ state, status, lastExit }: PlaceStatus): readonly string[] {
  if (state === "empty") return [`waits to be replaced; it ${lastExit?.description ?? "was not started yet"}`];
  if (state !== "ready" || status === undefined) return [`is ${state === "ready" ? "starting" : state}`];
  return judgeReadiness(status).reasons;
}
