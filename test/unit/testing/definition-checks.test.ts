import { describe, expect, test } from "vitest";
import { checkIsEmbeddable, taskDefErrors, workflowDefErrors } from "../../../src/testing/engine/definition-checks.js";
import { completeTaskDef, completeWorkflowDef } from "../../../src/testing/engine/definitions.js";

const taskErrors = (fields: object) =>
  taskDefErrors(completeTaskDef({ name: "t", ...fields }, 0), "at").map(({ path, message }) => `${path}: ${message}`);
const task = { name: "t", taskReferenceName: "a" };
const workflowErrors = (fields: object) =>
  workflowDefErrors(completeWorkflowDef({ name: "w", tasks: [task], ...fields }, 0), "at").map(
    (error) => error.message,
  );

describe("the embedded Conductor's checks of a task definition", () => {
  test("passes the defaults, and limits at their edge", () => {
    expect(taskErrors({})).toEqual([]);
    expect(taskErrors({ responseTimeoutSeconds: 30, timeoutSeconds: 30, totalTimeoutSeconds: 30 })).toEqual([]);
    expect(taskErrors({ responseTimeoutSeconds: 1, retryCount: 0, pollTimeoutSeconds: 0 })).toEqual([]);
  });

  test.each([
    [{ name: "" }, "at.name: TaskDef name cannot be null or empty"],
    [
      { responseTimeoutSeconds: 0 },
      "at.responseTimeoutSeconds: TaskDef responseTimeoutSeconds: 0 should be minimum 1 second",
    ],
    [{ timeoutSeconds: 30 }, "at: TaskDef: t responseTimeoutSeconds: 3600 must be less than timeoutSeconds: 30"],
    [{ retryCount: -1 }, "at.retryCount: TaskDef retryCount: 0 must be >= 0"],
    [{ pollTimeoutSeconds: -1 }, "at.pollTimeoutSeconds: TaskDef pollTimeoutSeconds: 0 must be >= 0"],
  ])("refuses %o", (fields, error) => {
    expect(taskErrors(fields)).toEqual([error]);
  });

  test("reads null as the server does, and refuses what is no number", () => {
    expect(completeTaskDef({ name: "t", retryCount: null, inputTemplate: null }, 0)).toMatchObject({
      retryCount: 0,
      inputTemplate: {},
    });
    expect(() => completeTaskDef({ name: "t", retryCount: "many" }, 0)).toThrow(/retryCount/);
    expect(completeTaskDef({ name: "t", retryCount: "7" }, 0).retryCount).toBe(7);
  });
});

describe("the embedded Conductor's checks of a workflow definition", () => {
  test("passes a plain one", () => {
    expect(workflowErrors({})).toEqual([]);
  });

  test("wants names, tasks, the schema version and unique references, also within forks", () => {
    expect(workflowErrors({ name: "", tasks: [], schemaVersion: 1 })).toHaveLength(3);
    const fork = { name: "f", taskReferenceName: "f", type: "FORK_JOIN", forkTasks: [[task]] };
    expect(workflowErrors({ tasks: [task, fork] })).toEqual([
      "taskReferenceName: a should be unique across tasks for a given workflowDefinition: w",
    ]);
  });

  test("wants inputs to refer to what is there", () => {
    const inputParameters = { good: "${workflow.input.x} ${a.output.y}", bad: { deep: ["${gone.output.z}"] } };
    expect(workflowErrors({ tasks: [{ ...task, inputParameters }] })).toEqual([
      "taskReferenceName: gone for given task: t input value: bad of input parameter: ${gone.output.z} is not defined in workflow definition.",
    ]);
  });

  test("names the tasks that the embedded server does not have", () => {
    const definition = completeWorkflowDef({ name: "w", tasks: [{ ...task, type: "DO_WHILE" }] }, 0);
    expect(() => {
      checkIsEmbeddable(definition);
    }).toThrow(
      "The embedded Conductor does not have tasks of type DO_WHILE (task a); it has SIMPLE, FORK_JOIN, JOIN. Use a real server for workflow w.",
    );
  });
});
