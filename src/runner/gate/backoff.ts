import type { FailureClass } from "../answers/meaning.js";

const STEPS: Record<FailureClass, { firstMs: number; maxMs: number }> = {
  unreachable: { firstMs: 100, maxMs: 2_000 },
  silent: { firstMs: 100, maxMs: 500 },
  overloaded: { firstMs: 500, maxMs: 5_000 },
  unauthorized: { firstMs: 1_000, maxMs: 30_000 },
};

/** Share of the delay that is random; always added, so that a delay is never shorter than its step. */
const JITTER = 0.2;
/** The longest `Retry-After` that is obeyed: a proxy's hour must not become ours. */
export const MAX_RETRY_AFTER_MS = 30_000;

/**
 * How long to wait after the `failures`-th failure in a row (from 1) of its class, in ms; never above the class's
 * maximum, jitter included. `Retry-After` can only make it longer.
 */
export function backoffMs(
  failureClass: FailureClass,
  failures: number,
  random: () => number,
  retryAfterMs: number | undefined,
): number {
  const { firstMs, maxMs } = STEPS[failureClass];
  const step = Math.min(firstMs * 2 ** Math.min(failures - 1, 20), maxMs / (1 + JITTER));
  const delay = step * (1 + JITTER * random());
  if (retryAfterMs === undefined) return delay;
  return Math.max(delay, Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) * (1 + (JITTER / 4) * random()));
}
