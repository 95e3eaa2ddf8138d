import { describe, expect, test } from "vitest";
import { TickAge } from "../../../src/liveness/tick-age.js";

describe("the age in ticks", () => {
  test("the same thing grows old by its ticks, another one begins anew", () => {
    const age = new TickAge(500);
    const [a, b] = [{}, {}];
    expect([age.tick(a, 500), age.tick(a, 500), age.tick(a, 600)]).toEqual([0, 500, 1_100]);
    expect([age.tick(b, 500), age.tick(b, 500)]).toEqual([0, 500]);
    expect([age.tick(undefined, 500), age.tick(b, 500)]).toEqual([0, 0]);
  });

  test("a tick that comes late counts as one: a pause makes nothing old", () => {
    const age = new TickAge(500);
    const a = {};
    age.tick(a, 500);
    expect(age.tick(a, 3_600_000)).toBe(750);
  });
});
