import { describe, expect, test, vi } from "vitest";
import { ConfigurationError } from "../../../src/base/errors.js";
import { defineWorker, isWorkerDefinition, WORKER_OPTION_NAMES } from "../../../src/worker/define-worker.js";

const ctx = {} as never;

describe("defineWorker", () => {
  test("returns a frozen definition with its options", () => {
    const definition = defineWorker({
      taskDefName: "greet",
      concurrency: 3,
      execute: (input: { n: number }) => input.n,
    });
    expect(definition).toMatchObject({ taskDefName: "greet", concurrency: 3 });
    expect(Object.isFrozen(definition)).toBe(true);
    expect(definition.execute({ n: 5 } as never, ctx)).toBe(5);
    expect(Object.keys(definition).sort()).toEqual(["concurrency", "execute", "taskDefName"]);
  });

  test("leaves what it was given alone, and does not see later changes of it", () => {
    const spec = { taskDefName: "greet", execute: () => 1 };
    const definition = defineWorker(spec);
    spec.taskDefName = "changed";
    expect(definition.taskDefName).toBe("greet");
    expect(isWorkerDefinition(spec)).toBe(false);
  });

  test("takes an instance of a class: its methods, its this, its inherited options, not its fields", () => {
    class Greeter {
      readonly taskDefName = "greet";
      readonly greeting = "Hello";
      get concurrency() {
        return this.greeting.length;
      }
      execute(input: { name: string }) {
        return `${this.greeting} ${input.name}`;
      }
    }
    const definition = defineWorker(new Greeter());
    expect(definition.execute({ name: "Ada" } as never, ctx)).toBe("Hello Ada");
    expect(Object.keys(definition).sort()).toEqual(["concurrency", "execute", "taskDefName"]);
  });

  test("keeps an option that does not exist, to be refused at start", () => {
    const spec = { taskDefName: "greet", execute: () => 1, concurency: 3 };
    expect(defineWorker(spec)).toMatchObject({ concurency: 3 });
  });

  test.each([
    [undefined, 1],
    [null, 1],
    ["greet", 1],
    [() => {}, 1],
    [{}, 2],
    [{ taskDefName: "" }, 2],
    [{ taskDefName: " ", execute() {} }, 1],
    [{ taskDefName: 5n, execute() {} }, 1],
    [{ taskDefName: Object.create(null), execute() {} }, 1],
    [{ taskDefName: "greet" }, 1],
    [{ taskDefName: "greet", execute: "run" }, 1],
    [{ taskDefName: "greet", *execute() {} }, 1],
    [{ taskDefName: "greet", async *execute() {} }, 1],
  ])("refuses %o", (spec, count) => {
    try {
      defineWorker(spec as never);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigurationError);
      expect((error as ConfigurationError).problems).toHaveLength(count);
    }
  });

  test("is recognised, in another copy as well", async () => {
    const definition = defineWorker({ taskDefName: "greet", execute: () => 1 });
    vi.resetModules();
    const other = await import("../../../src/worker/define-worker.js");
    expect(other.isWorkerDefinition).not.toBe(isWorkerDefinition);
    expect(other.isWorkerDefinition(definition)).toBe(true);
    expect(isWorkerDefinition(other.defineWorker({ taskDefName: "greet", execute: () => 1 }))).toBe(true);
  });

  test.each([undefined, null, 5, "x", {}, { taskDefName: "a", execute() {} }, () => {}])("%o is none", (value) => {
    expect(isWorkerDefinition(value)).toBe(false);
  });

  test("has its names listed once", () => {
    expect(new Set(WORKER_OPTION_NAMES).size).toBe(10);
  });
});
