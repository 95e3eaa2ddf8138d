import { describe, expect, test } from "vitest";
import { call, wordsFor } from "../support/contract/api.js";
import { fresh, onEveryTarget } from "../support/contract/target.js";

onEveryTarget("error answers", (target) => {
  const { get, post, put, del, taskType, workflowDef, oneTask, pollOne, resultFor } = wordsFor(target);

  const expectError = (
    answer: { status: number; contentType: string; json: unknown },
    status: number,
    message?: string,
  ) => {
    expect(answer.contentType).toContain("application/json");
    expect(answer.json).toMatchObject({ status, retryable: false });
    expect(answer.status).toBe(status);
    if (message !== undefined) expect(answer.json).toMatchObject({ message });
  };

  test("answers 404 with the server's words for what does not exist", async () => {
    expectError(await get("/tasks/nope"), 404, "Task not found for taskId: nope");
    expectError(await get("/workflow/nope"), 404, "No such workflow found by id: nope");
    const unknown = fresh("unknown");
    expectError(await get(`/metadata/taskdefs/${unknown}`), 404, `No such taskType found by name: ${unknown}`);
    expectError(await put("/metadata/taskdefs", { name: unknown }), 404, `No such task by name ${unknown}`);
    expectError(await post("/workflow", { name: unknown }), 404);
    expect((await post("/workflow", { name: unknown })).json.message).toMatch(
      new RegExp(`^No such workflow defined\\. name=${unknown}, version=`),
    );
    expectError(await get(`/metadata/workflow/${unknown}`), 404);
    expectError(await del("/workflow/nope"), 404);
    expectError(await put("/workflow/decide/nope"), 404);
  });

  test("answers 404 as JSON for an unknown URL, and 405 for the wrong method", async () => {
    expectError(await get("/no/such/thing"), 404);
    expectError(await post("/token", { keyId: "a", keySecret: "b" }), 404);
    expectError(await del("/tasks"), 405);
    expectError(await put("/tasks/update-v2", {}), 405);
  });

  describe.each(["/tasks", "/tasks/update-v2"])("POST %s", (path) => {
    test("answers 404 when the task or the workflow is unknown", async () => {
      const { workflowId } = await oneTask();
      const status = "COMPLETED";
      const noWorkflow = await post(path, { taskId: "t", workflowInstanceId: "nope", status });
      expectError(noWorkflow, 404, "No such workflow found by id: nope");
      const noTask = await post(path, { taskId: "nope", workflowInstanceId: workflowId, status });
      expectError(noTask, 404, "No such task found by id: nope");
      const noLease = await post(path, { taskId: "nope", workflowInstanceId: workflowId, status, extendLease: true });
      expectError(noLease, 404, "No such task found by id: nope");
    });

    test("answers 500, not retryable, to what cannot be read", async () => {
      const { type } = await oneTask();
      const task = await pollOne(type);
      const good = resultFor(task, {});
      expectError(await post(path, "{not json"), 500);
      expectError(await post(path, JSON.stringify(good).replace("{", '{"outputData":{"x":NaN},')), 500);
      expectError(await post(path, { ...good, status: "DONE" }), 500);
      expectError(await post(path, { ...good, status: "completed" }), 500);
      expectError(await post(path, { ...good, status: undefined }), 500);
      expectError(await call(target, "POST", path, JSON.stringify(good), "text/plain"), 500);
      expectError(await call(target, "POST", path), 500);
      expect((await get(`/tasks/${task.taskId}`)).json.status).toBe("IN_PROGRESS");
    });
  });

  test("answers 400 with validationErrors to empty ids, but 500 on update-v2", async () => {
    const result = { taskId: "", workflowInstanceId: "", status: "COMPLETED" };
    const v1 = await post("/tasks", result);
    expectError(v1, 400, "Validation failed, check below errors for detail.");
    expect(v1.json.validationErrors).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ message: "Task ID cannot be null or empty" }),
        expect.objectContaining({ message: "Workflow Id cannot be null or empty" }),
      ]),
    );
    expect(v1.json.validationErrors).toContainEqual(expect.objectContaining({ path: "updateTask.arg0.taskId" }));
    expectError(await post("/tasks/update-v2", result), 500);
  });

  test("refuses a poll that wants to be held for more than 5 s, and gives nothing for a count below 1", async () => {
    const type = fresh("t");
    expectError(
      await get(`/tasks/poll/batch/${type}?timeout=5001`),
      400,
      "Long Poll Timeout value cannot be more than 5 seconds",
    );
    for (const count of [0, -1]) {
      const answer = await get(`/tasks/poll/batch/${type}?count=${count}&timeout=3000`);
      expect(answer.status).toBe(200);
      expect(answer.json).toEqual([]);
      expect(answer.ms).toBeLessThan(1000);
    }
    expectError(await get(`/tasks/poll/batch/${type}?count=many`), 500);
  });

  test("answers an HTML 400 to a task type with a slash, as Tomcat does", async () => {
    const answer = await get("/tasks/poll/a%2Fb");
    expect(answer.status).toBe(400);
    expect(answer.contentType).toContain("text/html");
  });

  test("answers 500 when queue sizes are asked for without a task type", async () => {
    expectError(await get("/tasks/queue/sizes"), 500);
  });

  test("validates task definitions", async () => {
    const refused = async (definition: object, text: RegExp) => {
      const answer = await post("/metadata/taskdefs", [{ name: fresh("t"), ...definition }]);
      expectError(answer, 400);
      expect(JSON.stringify(answer.json.validationErrors)).toMatch(text);
    };
    await refused({ name: "" }, /TaskDef name cannot be null or empty/);
    await refused({ responseTimeoutSeconds: 0 }, /responseTimeoutSeconds: 0 should be minimum 1 second/);
    await refused({ timeoutSeconds: 30 }, /responseTimeoutSeconds: 3600 must be less than timeoutSeconds: 30/);
    await refused(
      { timeoutSeconds: 30, responseTimeoutSeconds: 30, totalTimeoutSeconds: 20 },
      /timeoutSeconds: 30 must be less than or equal to totalTimeoutSeconds: 20/,
    );
    await refused({ retryCount: -1 }, /retryCount/);
    await refused({ backoffScaleFactor: 0 }, /Backoff scale factor/);
    expectError(await post("/metadata/taskdefs", [{ name: fresh("t"), retryLogic: "NEVER" }]), 500);
    expectError(await post("/metadata/taskdefs", { name: fresh("t") }), 500);
  });

  test("validates workflow definitions", async () => {
    const type = await taskType();
    const tasks = [{ name: type, taskReferenceName: "a" }];
    const refused = async (definition: object, text: RegExp) => {
      const answer = await post("/metadata/workflow", { name: fresh("w"), tasks, ...definition });
      expectError(answer, 400);
      expect(JSON.stringify(answer.json.validationErrors)).toMatch(text);
    };
    await refused({ name: "" }, /WorkflowDef name cannot be null or empty/);
    await refused({ tasks: [] }, /WorkflowTask list cannot be empty/);
    await refused({ schemaVersion: 1 }, /schemaVersion/);
    await refused({ tasks: [...tasks, ...tasks] }, /taskReferenceName: a should be unique across tasks/);
    await refused({ tasks: [{ name: type }] }, /taskReferenceName/);
    const inputParameters = { x: ["${nobody.output.x}"] };
    await refused(
      { tasks: [{ ...tasks[0], inputParameters }] },
      /taskReferenceName: nobody for given task: .* is not defined in workflow definition/,
    );
  });

  test("answers 409 to a workflow definition that exists", async () => {
    const type = await taskType();
    const tasks = [{ name: type, taskReferenceName: "a" }];
    const name = await workflowDef(tasks);
    expectError(await post("/metadata/workflow", { name, tasks }), 409);
    expect((await post("/metadata/workflow?overwrite=true", { name, tasks })).status).toBe(200);
  });

  test("refuses a start with a null input, without a name, or with a priority out of range", async () => {
    const { workflowName: name } = await oneTask();
    expectError(await post("/workflow", { name, input: null }), 400);
    expectError(await post("/workflow", { name, input: "text" }), 500);
    expectError(await post("/workflow", {}), 400);
    expectError(await post("/workflow", { name, priority: 100 }), 400);
  });

  test("answers 409 to terminating a COMPLETED workflow or pausing an ended one, 500 to resuming a running one", async () => {
    const { type, workflowId } = await oneTask();
    expectError(await put(`/workflow/${workflowId}/resume`), 500);
    await post("/tasks", resultFor(await pollOne(type), {}));
    expectError(await del(`/workflow/${workflowId}`), 409);
    expectError(await put(`/workflow/${workflowId}/pause`), 409);
  });
});
