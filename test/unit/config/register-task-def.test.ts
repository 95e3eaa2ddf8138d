import { describe, expect, test } from "vitest";
import { defineWorker, type WorkerOptions } from "../../../src/worker/define-worker.js";
import { problemsOf, resolve, resolveGreet, worker } from "../../support/unit/config.js";

const VARIABLE = "CONDUCTOR_WORKER_GREET_REGISTER_TASK_DEF";

const greet = (registerTaskDef: unknown) => worker("greet", { registerTaskDef } as WorkerOptions);
const resolved = (registerTaskDef: unknown, env: Record<string, string> = {}) =>
  resolve({ workers: [greet(registerTaskDef)] }, env).workers[0]!.registerTaskDef;
const problems = (registerTaskDef: unknown) => problemsOf({ workers: [greet(registerTaskDef)] });

describe("the configuration", () => {
  describe("registerTaskDef", () => {
    test("is off, on, or some fields", () => {
      expect(resolved(undefined)).toBeUndefined();
      expect(resolved(false)).toBeUndefined();
      expect(resolved(true)).toBe(true);
      expect(resolved({ retryCount: 1, retryLogic: undefined })).toEqual({ retryCount: 1 });
    });

    test("is switched by the environment, which keeps the fields of the code", () => {
      expect(resolved(undefined, { [VARIABLE]: "yes" })).toBe(true);
      expect(resolved(false, { CONDUCTOR_WORKER_ALL_REGISTER_TASK_DEF: "true" })).toBe(true);
      expect(resolved({ retryCount: 1 }, { [VARIABLE]: "true" })).toEqual({ retryCount: 1 });
      expect(resolved({ retryCount: 1 }, { [VARIABLE]: "false" })).toBeUndefined();
      expect(resolved(true, { [VARIABLE]: "0" })).toBeUndefined();
      expect(resolveGreet({}, { [VARIABLE]: "1" }).sources.registerTaskDef).toBe(`env ${VARIABLE}`);
      expect(problemsOf({ workers: [worker()] }, { [VARIABLE]: "maybe" })).toEqual([expect.stringContaining(VARIABLE)]);
    });

    test("is copied, and leaves out what the server keeps itself", () => {
      const inputTemplate = { a: 1 };
      const fields = resolved({ name: "greet", createTime: 1, updateTime: 2, createdBy: "x", inputTemplate });
      inputTemplate.a = 2;
      expect(fields).toEqual({ inputTemplate: { a: 1 } });
    });

    test.each([
      [5, "must be true, or an object with fields of the task definition, got 5"],
      ["true", 'must be true, or an object with fields of the task definition, got "true"'],
      [null, "got null"],
      [[], "got []"],
      [{ retryCount: 1n }, "must be JSON"],
      [{ name: "other" }, '.name must be the worker\'s taskDefName, or be left out, got "other"'],
      [{ retrycount: 1 }, "field retrycount does not exist (did you mean retryCount?)"],
      [{ retryConut: 1 }, "field retryConut does not exist (did you mean retryCount?)"],
      [{ retryCount: -1 }, "retryCount must be a whole number, 0 or more, got -1"],
      [
        { timeoutSeconds: 30 },
        "responseTimeoutSeconds 3600 (Conductor's default) is more than timeoutSeconds 30: set responseTimeoutSeconds to 30 or less",
      ],
    ])("is refused when the server would refuse it, or when it is a slip: %#", (given, problem) => {
      const found = problems(given);
      expect(found).toEqual([expect.stringContaining(problem)]);
      expect(found[0]).toMatch(/^workers\[0\] \(greet\): registerTaskDef/);
    });

    test("lets pass what another server may know", () => {
      expect(resolved({ somethingOfOrkes: { a: 1 } })).toEqual({ somethingOfOrkes: { a: 1 } });
    });

    test("is one for all workers of a task type", () => {
      const inDomain = (domain: string, registerTaskDef: unknown) =>
        worker("greet", { domain, registerTaskDef } as WorkerOptions);
      const of = (a: unknown, b: unknown) => ({ workers: [inDomain("a", a), inDomain("b", b)] });
      expect(problemsOf(of({ retryCount: 1 }, { retryCount: 2 }))).toEqual([
        expect.stringContaining('two workers for the task type "greet" have a different registerTaskDef'),
      ]);
      expect(resolve(of({ retryCount: 1 }, { retryCount: 1 })).warnings).toEqual([]);
      expect(resolve(of({ retryCount: 1 }, true)).warnings).toEqual([]);
    });

    test("goes for a worker of the official SDK's shape as well", () => {
      const official = { taskDefName: "greet", registerTaskDef: true, execute: async () => ({}) };
      expect(resolve({ workers: [official] }).workers[0]!.registerTaskDef).toBe(true);
      const given: object = { taskDefName: "greet", registerTaskDef: true, execute: () => 1 };
      expect(resolve({ workers: [defineWorker(given as never)] }).workers[0]!.registerTaskDef).toBe(true);
    });
  });
});
