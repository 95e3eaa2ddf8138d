import { describe, expect, test } from "vitest";
import { asHandOut } from "../../../src/conductor/hand-out.js";
import { makeTask } from "../../support/servers/conductor-stub.js";

const ids = { taskId: "a", workflowInstanceId: "wf" };

describe("reading a hand-out", () => {
  test("a task as the server sends it has no problem, and is not changed", () => {
    const task = makeTask();
    const before = structuredClone(task);
    expect(asHandOut(task)).toEqual({ task: before, problem: undefined });
  });

  test.each([
    undefined,
    null,
    "text",
    5,
    [],
    [ids],
    {},
    { taskId: "a" },
    { workflowInstanceId: "wf" },
    { ...ids, taskId: "" },
    { ...ids, taskId: 5 },
    { ...ids, workflowInstanceId: null },
  ])("%j cannot be named to the server", (value) => {
    expect(asHandOut(value)).toBeUndefined();
  });

  test("what the server leaves out is filled in", () => {
    expect(asHandOut({ ...ids })).toEqual({
      problem: undefined,
      task: {
        ...ids,
        inputData: {},
        outputData: {},
        retryCount: 0,
        pollCount: 0,
        responseTimeoutSeconds: 0,
        scheduledTime: 0,
        startTime: 0,
        updateTime: 0,
        queueWaitTime: 0,
      },
    });
  });

  describe("what has a type it cannot have", () => {
    test.each([
      [{ inputData: "text" }, "inputData is no object but a string"],
      [{ inputData: [1] }, "inputData is no object but an array"],
      [{ inputData: 0 }, "inputData is no object but a number"],
      [{ retryCount: "3" }, "retryCount is no number but a string"],
      [{ updateTime: {} }, "updateTime is no number but a object"],
    ])("%j is named", (fields, problem) => {
      expect(asHandOut({ ...ids, ...fields })?.problem).toBe(problem);
    });

    test("a number is 0 then, so that nothing is reckoned with what is none", () => {
      expect(asHandOut({ ...ids, scheduledTime: "now", startTime: null })?.task).toMatchObject({
        scheduledTime: 0,
        startTime: 0,
      });
    });

    test("an output or a definition that is none is left out", () => {
      const handOut = asHandOut({ ...ids, outputData: [1], taskDefinition: "text" });
      expect(handOut?.task.outputData).toEqual({});
      expect(handOut?.task.taskDefinition).toBeUndefined();
      expect(handOut?.problem).toBeUndefined();
    });
  });
});
