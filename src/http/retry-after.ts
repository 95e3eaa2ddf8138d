const SECONDS = /^[+-]?\d+(?:\.\d+)?$/;

/** HTTP's three shapes of a date begin with the name of a day; `Date.parse` alone takes "5 apples" for one. */
const HTTP_DATE = /^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? .*\d\d:\d\d:\d\d/i;

/**
 * Reads a `Retry-After` header.
 *
 * @param value the header as it came: seconds, or an HTTP date
 * @param nowWallMs the time of day in ms since the epoch, against which a date is read
 * @returns ms from now, never negative; `undefined` when the value is neither
 */
export function parseRetryAfter(value: string, nowWallMs: number): number | undefined {
  const text = value.trim();
  let delayMs: number;
  if (SECONDS.test(text)) delayMs = Number(text) * 1000;
  else if (HTTP_DATE.test(text)) delayMs = Date.parse(text) - nowWallMs;
  else return undefined;
  return Number.isFinite(delayMs) ? Math.max(0, delayMs) : undefined;
}
