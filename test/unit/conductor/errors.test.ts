import { describe, expect, test } from "vitest";
import { ConductorError } from "../../../src/conductor/errors.js";

const LONG = "x".repeat(5_000_000);

function errorWith(details: { message?: string; serverMessage?: string; validationErrors?: unknown }): ConductorError {
  return new ConductorError({
    code: "SERVER_REFUSED",
    message: "bad",
    method: "POST",
    pathTemplate: "/tasks",
    retryable: false,
    ...(details as object),
  });
}

describe("an error of a server's answer", () => {
  test("has what the server said, as far as it is of a length to be read", () => {
    const error = errorWith({ message: LONG, serverMessage: LONG });
    expect(error.message).toMatch(/^POST \/tasks: x+…$/);
    expect(error.message).toHaveLength(2_000);
    expect(error.serverMessage).toMatch(/^x{1999}…$/);
    expect(error.stack?.length).toBeLessThan(10_000);
  });

  test("has no more validation errors than somebody reads, and clips what is long in them", () => {
    const one = { path: "a", message: LONG, invalidValue: { deep: [LONG] } };
    const { validationErrors } = errorWith({ validationErrors: Array(500).fill(one) });
    expect(validationErrors).toHaveLength(100);
    expect(validationErrors?.[0]).toEqual({
      path: "a",
      message: expect.stringMatching(/^x{1999}…$/) as string,
      invalidValue: expect.stringMatching(/^\{"deep":\["x+…$/) as string,
    });
  });

  test.each([
    [[{ path: "a", message: "m", invalidValue: { n: 1 } }]],
    [[{ path: "a", message: "m", invalidValue: null }]],
    [["odd", 5, null]],
  ])("has validation errors as they came: %j", (validationErrors) => {
    expect(errorWith({ validationErrors }).validationErrors).toEqual(validationErrors);
  });

  test("has none where the server sent no list", () => {
    expect(errorWith({ validationErrors: { path: "a" } }).validationErrors).toBeUndefined();
  });
});
