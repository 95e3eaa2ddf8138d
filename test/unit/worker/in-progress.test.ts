import { describe, expect, test, vi } from "vitest";
import { inProgress, isInProgress } from "../../../src/worker/in-progress.js";

describe("inProgress", () => {
  test.each([
    [0, 0],
    [0.001, 1],
    [1, 1],
    [1.5, 2],
    [2 ** 31 - 1, 2 ** 31 - 1],
  ])("takes %s seconds as %s", (given, sent) => {
    expect(inProgress({ callbackAfterSeconds: given })).toMatchObject({ callbackAfterSeconds: sent });
  });

  test.each([-1, -0.1, NaN, Infinity, 2 ** 31, 1e300, "5", null, undefined, 5n])("refuses %s seconds", (given) => {
    expect(() => inProgress({ callbackAfterSeconds: given as number })).toThrow(RangeError);
  });

  test.each([null, "text", 5, [1], () => 1])("refuses the output %o, which the server could not store", (output) => {
    expect(() => inProgress({ callbackAfterSeconds: 1, output: output as never })).toThrow(TypeError);
  });

  test("carries the output, and has no such field without one", () => {
    const output = { page: 2 };
    expect(inProgress({ callbackAfterSeconds: 1, output }).output).toBe(output);
    expect("output" in inProgress({ callbackAfterSeconds: 1 })).toBe(false);
    expect("output" in inProgress({ callbackAfterSeconds: 1, output: undefined as never })).toBe(false);
  });

  test("is frozen", () => {
    expect(Object.isFrozen(inProgress({ callbackAfterSeconds: 1 }))).toBe(true);
  });

  test("is recognised, in another copy as well, and its look-alike is not", async () => {
    const value = inProgress({ callbackAfterSeconds: 1 });
    vi.resetModules();
    const other = await import("../../../src/worker/in-progress.js");
    expect(other.isInProgress).not.toBe(isInProgress);
    expect(other.isInProgress(value)).toBe(true);
    expect(isInProgress({ callbackAfterSeconds: 1 })).toBe(false);
  });

  test("can be asked about anything", () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    for (const value of [undefined, null, 5, "x", () => 1, proxy]) expect(isInProgress(value)).toBe(false);
  });
});
