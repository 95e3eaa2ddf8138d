import type { ServerGate } from "../gate/server-gate.js";

/** How long an attempt to report something may take, in ms. */
export interface RequestTimes {
  readonly requestTimeoutMs: number;
  /** At most, for what is too large for that on this link, or for this server. */
  readonly maxRequestMs: number;
}

/**
 * What the next attempt may take after one of `deadlineMs` that had no answer in time, in ms. Others were answered
 * meanwhile: it is too large for the link, or the server slow over it, and with the same deadline it would be sent in
 * vain for ever. Undefined: no more than before.
 */
export function moreTime(
  { requestTimeoutMs, maxRequestMs }: RequestTimes,
  { lastOkAt = -Infinity }: Pick<ServerGate, "lastOkAt">,
  attemptedAt: number,
  deadlineMs: number = requestTimeoutMs,
): number | undefined {
  if (lastOkAt <= attemptedAt || deadlineMs >= maxRequestMs) return undefined;
  return Math.min(deadlineMs * 2, maxRequestMs);
}
