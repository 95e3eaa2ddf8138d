import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { driftOf, taskDefProblems, type TaskDefFields } from "../../../src/conductor/task-def-rules.js";
import { taskDefErrors } from "../../../src/testing/engine/definition-checks.js";
import { completeTaskDef } from "../../../src/testing/engine/definitions.js";

describe("the rules of task definitions", () => {
  describe("what the server would refuse of a task definition", () => {
    test.each([
      [{}, []],
      [
        { retryCount: 0, responseTimeoutSeconds: 1, backoffScaleFactor: 1, timeoutPolicy: "RETRY", inputKeys: ["a"] },
        [],
      ],
      [{ timeoutSeconds: 3600 }, []],
      [{ timeoutSeconds: 0, responseTimeoutSeconds: 10_000, totalTimeoutSeconds: 5 }, []],
      [{ unknown: Symbol.iterator }, []],
      [{ retryCount: undefined }, []],
      [{ responseTimeoutSeconds: 0 }, ["responseTimeoutSeconds must be a whole number, 1 or more, got 0"]],
      [{ retryDelaySeconds: 1.5 }, ["retryDelaySeconds must be a whole number, got 1.5"]],
      [{ retryCount: 2 ** 31 }, [/retryCount must be/]],
      [{ retryCount: "3" }, [/got "3"/]],
      [{ retryCount: null }, ["retryCount must be a whole number, 0 or more, got null; leave it out for the default"]],
      [{ retryLogic: "fixed" }, ['retryLogic must be one of FIXED, LINEAR_BACKOFF, EXPONENTIAL_BACKOFF, got "fixed"']],
      [{ timeoutPolicy: "toString" }, [/one of RETRY/]],
      [{ inputKeys: [1] }, ["inputKeys must be an array of strings, got [1]"]],
      [{ inputTemplate: [] }, ["inputTemplate must be an object, got []"]],
      [{ ownerEmail: 5 }, ["ownerEmail must be a string, got 5"]],
      [{ enforceSchema: 1 }, ["enforceSchema must be true or false, got 1"]],
      [{ retryCount: -1, pollTimeoutSeconds: -1 }, [/retryCount/, /pollTimeoutSeconds/]],
      [
        { timeoutSeconds: 3599 },
        [/responseTimeoutSeconds 3600 \(Conductor's default\) is more than timeoutSeconds 3599/],
      ],
      [
        { timeoutSeconds: 30, responseTimeoutSeconds: 31 },
        [/responseTimeoutSeconds 31 is more than timeoutSeconds 30/],
      ],
      [
        { timeoutSeconds: 30, responseTimeoutSeconds: 30, totalTimeoutSeconds: 29 },
        ["timeoutSeconds 30 is more than totalTimeoutSeconds 29: raise totalTimeoutSeconds, or set 0"],
      ],
    ])("%o", (fields, expected: readonly (string | RegExp)[]) => {
      const problems = taskDefProblems(fields as TaskDefFields);
      expect(problems).toHaveLength(expected.length);
      expected.forEach((each, index) => {
        if (typeof each === "string") expect(problems[index]).toBe(each);
        else expect(problems[index]).toMatch(each);
      });
    });

    test("is what the embedded Conductor refuses", () => {
      const number = fc.option(fc.integer({ min: -1, max: 4 }), { nil: undefined });
      const fields = fc.record(
        {
          retryCount: number,
          timeoutSeconds: fc.integer({ min: 0, max: 4 }),
          responseTimeoutSeconds: number,
          totalTimeoutSeconds: number,
          pollTimeoutSeconds: number,
          backoffScaleFactor: number,
          maxRetryDelaySeconds: number,
          backoffJitterMs: number,
        },
        { requiredKeys: [] },
      );
      fc.assert(
        fc.property(fields, (given) => {
          const named = JSON.parse(JSON.stringify(given)) as TaskDefFields;
          const refused = taskDefErrors(completeTaskDef({ ...named, name: "t" }, 0), "t").length > 0;
          expect(taskDefProblems(named).length > 0).toBe(refused);
        }),
        { numRuns: 1_000 },
      );
    });
  });

  describe("drift", () => {
    test("names what differs, and how", () => {
      const existing = {
        retryCount: 3,
        inputTemplate: { b: 2, a: [1] },
        timeoutSeconds: 5,
        description: "x".repeat(200),
      };
      const wanted = { retryCount: 1, inputTemplate: { a: [1], b: 2 }, ownerEmail: "a@b.c", description: "y" };
      expect(driftOf(existing, wanted)).toEqual([
        "retryCount is 3 on the server and 1 here",
        'ownerEmail is not set on the server and "a@b.c" here',
        `description is "${"x".repeat(99)}… on the server and "y" here`,
      ]);
      expect(driftOf(existing, {})).toEqual([]);
      expect(driftOf(existing, { retryCount: 3, inputKeys: undefined as never })).toEqual([]);
    });
  });
});
