import { describe, expect, test, vi } from "vitest";
import { ConfigurationError, isBrandedAs, OstinatoError } from "../../../src/base/errors.js";
import {
  NonRetryableError,
  TaskCancelledError,
  TaskDeadlineError,
  TaskStoppingError,
} from "../../../src/worker/errors.js";

async function secondCopy() {
  vi.resetModules();
  const base = await import("../../../src/base/errors.js");
  const worker = await import("../../../src/worker/errors.js");
  expect(base.OstinatoError).not.toBe(OstinatoError);
  expect(worker.NonRetryableError).not.toBe(NonRetryableError);
  return { ...base, ...worker };
}

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};

describe("the error classes", () => {
  describe("each of them", () => {
    test.each([
      [new NonRetryableError("m"), "NonRetryableError", "NON_RETRYABLE"],
      [new TaskDeadlineError("m"), "TaskDeadlineError", "TASK_DEADLINE_EXCEEDED"],
      [new TaskStoppingError("m"), "TaskStoppingError", "STOPPING"],
      [new TaskCancelledError("m"), "TaskCancelledError", "TASK_CANCELLED"],
      [new ConfigurationError(["m"]), "ConfigurationError", "INVALID_CONFIGURATION"],
      [new OstinatoError("CLOSED", "m"), "OstinatoError", "CLOSED"],
    ])("%s has its name, code and stack", (error, name, code) => {
      expect(error).toBeInstanceOf(Error);
      expect(error).toBeInstanceOf(OstinatoError);
      expect(error).toMatchObject({ name, code });
      expect(String(error)).toMatch(new RegExp(`^${name}: `));
      expect(error.stack).toMatch(new RegExp(`^${name}: `));
      expect(Object.keys(error)).not.toContain("name");
      expect(JSON.parse(JSON.stringify(error))).toHaveProperty("code", code);
    });

    test("carry a cause", () => {
      const cause = new Error("why");
      expect(new NonRetryableError("m", { cause }).cause).toBe(cause);
      expect("cause" in new NonRetryableError("m")).toBe(false);
    });

    test("are instances of their own class only", () => {
      expect(new TaskDeadlineError("m")).not.toBeInstanceOf(NonRetryableError);
      expect(new OstinatoError("CLOSED", "m")).not.toBeInstanceOf(NonRetryableError);
    });

    test("list the problems of a configuration", () => {
      const problems = ["a", "b"];
      const error = new ConfigurationError(problems);
      expect(error.message).toBe("Ostinato cannot start, 2 things are wrong:\n  - a\n  - b");
      expect(new ConfigurationError(["a"]).message).toBe("Ostinato cannot start: a");
      problems.push("c");
      expect(error.problems).toEqual(["a", "b"]);
    });
  });

  describe("across two copies of the package", () => {
    test("instanceof holds both ways", async () => {
      const other = await secondCopy();
      const theirs = new other.NonRetryableError("m");
      expect(Object.getPrototypeOf(theirs)).not.toBe(NonRetryableError.prototype);
      expect(theirs).toBeInstanceOf(NonRetryableError);
      expect(theirs).toBeInstanceOf(OstinatoError);
      expect(new NonRetryableError("m")).toBeInstanceOf(other.NonRetryableError);
      expect(theirs).not.toBeInstanceOf(TaskDeadlineError);
      expect(new other.ConfigurationError(["m"])).toBeInstanceOf(ConfigurationError);
    });

    test("an error that a user derived is still non-retryable", async () => {
      const other = await secondCopy();
      class CardDeclined extends other.NonRetryableError {}
      const error = new CardDeclined("m");
      expect(error).toBeInstanceOf(NonRetryableError);
      expect(error).toBeInstanceOf(OstinatoError);
      expect(error.name).toBe("CardDeclined");
      expect(isBrandedAs(error, "NonRetryableError")).toBe(true);
      expect(isBrandedAs(error, "TaskDeadlineError")).toBe(false);
    });

    test("the names of the classes may have been shortened by a bundler", async () => {
      const other = await secondCopy();
      Object.defineProperty(other.NonRetryableError, "name", { value: "a" });
      const theirs = new other.NonRetryableError("m");
      expect(theirs).toBeInstanceOf(NonRetryableError);
      expect(theirs.name).toBe("NonRetryableError");
      expect(new NonRetryableError("m")).toBeInstanceOf(other.NonRetryableError);
    });
  });

  describe("classes that users derive", () => {
    test("are told apart though they have the same name", () => {
      const make = () => {
        class NotFound extends NonRetryableError {}
        return NotFound;
      };
      const [One, Two] = [make(), make()];
      expect(new One("m")).toBeInstanceOf(One);
      expect(new One("m")).not.toBeInstanceOf(Two);
      expect(new NonRetryableError("m")).not.toBeInstanceOf(One);
    });

    test("do not become one of ours by their name alone", () => {
      class TaskDeadlineError2 extends NonRetryableError {}
      Object.defineProperty(TaskDeadlineError2, "name", { value: "Other" });
      expect(new TaskDeadlineError2("m")).not.toBeInstanceOf(TaskDeadlineError);
    });
  });

  describe("anything may be asked about", () => {
    const odd = [undefined, null, 0, "x", Symbol("x"), 5n, {}, [], () => {}, Object.create(null), revoked()];

    test.each(odd.map((_, index) => index))("value %i", (index) => {
      const value: unknown = odd[index];
      expect(value instanceof (OstinatoError as never)).toBe(false);
      expect(value instanceof (NonRetryableError as never)).toBe(false);
      expect(isBrandedAs(value, "NonRetryableError")).toBe(false);
    });

    test("an ordinary error is none of ours", () => {
      expect(new Error("m")).not.toBeInstanceOf(OstinatoError);
      expect({ name: "NonRetryableError", code: "NON_RETRYABLE" }).not.toBeInstanceOf(NonRetryableError);
    });

    test("a getter that throws is survived", () => {
      const trap = new Proxy(
        {},
        {
          get() {
            throw new Error("x");
          },
          getPrototypeOf() {
            throw new Error("x");
          },
        },
      );
      expect(trap instanceof NonRetryableError).toBe(false);
      expect(isBrandedAs(trap, "OstinatoError")).toBe(false);
    });
  });
});
