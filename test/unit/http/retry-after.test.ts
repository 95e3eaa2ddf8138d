import { describe, expect, test } from "vitest";

import { parseRetryAfter } from "../../../src/http/retry-after.js";

const NOW = Date.UTC(1994, 10, 6, 8, 49, 7);

describe("reading Retry-After", () => {
  test.each([
    ["0", 0],
    ["120", 120_000],
    [" 2 ", 2_000],
    ["0.5", 500],
    ["-7", 0],
  ])("seconds: %j", (value, expected) => {
    expect(parseRetryAfter(value, NOW)).toBe(expected);
  });

  test.each([
    ["Sun, 06 Nov 1994 08:49:37 GMT", 30_000],
    ["Sunday, 06-Nov-94 08:49:37 GMT", 30_000],
    ["Sun, 06 Nov 1994 08:49:07 GMT", 0],
    ["Sun, 06 Nov 1994 08:00:00 GMT", 0],
  ])("date: %j", (value, expected) => {
    expect(parseRetryAfter(value, NOW)).toBe(expected);
  });

  test.each([
    "",
    "soon",
    "5 apples",
    "1e3",
    "NaN",
    "Infinity",
    "9".repeat(400),
    "Sun, 99 Foo 1994 99:99:99 GMT",
    "12:00:00",
  ])("neither: %j", (value) => {
    expect(parseRetryAfter(value, NOW)).toBeUndefined();
  });
});
