import type { CompleteTaskDef } from "./definitions.js";

const MAX_INT = 2 ** 31 - 1;

/** How long the next attempt waits, in seconds, without jitter. `retryCount` is that of the attempt that failed. */
export function retryDelaySeconds(definition: CompleteTaskDef, retryCount: number): number {
  const uncapped = uncappedDelaySeconds(definition, retryCount);
  const cap = definition.maxRetryDelaySeconds;
  return cap > 0 ? Math.min(uncapped, cap) : uncapped;
}

function uncappedDelaySeconds(definition: CompleteTaskDef, retryCount: number): number {
  const base = definition.retryDelaySeconds;
  switch (definition.retryLogic) {
    case "FIXED":
      return base;
    case "LINEAR_BACKOFF":
      return Math.min(base * definition.backoffScaleFactor * (retryCount + 1), MAX_INT);
    case "EXPONENTIAL_BACKOFF":
      return Math.min(base * 2 ** retryCount, MAX_INT);
  }
}

/** 0 to `backoffJitterMs`, both included. `random` gives 0 ≤ x < 1. */
export function retryJitterMs(definition: CompleteTaskDef, random: () => number): number {
  return definition.backoffJitterMs > 0 ? Math.floor(random() * (definition.backoffJitterMs + 1)) : 0;
}
