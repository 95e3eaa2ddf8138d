import type { WorkerConfig } from "./types.js";

/**
 * Whether a worker's id belongs to this process alone, because it was made here: one that the user has chosen may be
 * used by other processes as well, and what the server says of it may be said of them.
 */
export function hasUniqueWorkerId({ sources }: Pick<WorkerConfig, "sources">): boolean {
  return (sources.workerId ?? "default") === "default";
}
