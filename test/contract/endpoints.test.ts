import { expect, test } from "vitest";
import { call, wordsFor } from "../support/contract/api.js";
import { fresh, onEveryTarget } from "../support/contract/target.js";

onEveryTarget("endpoints", (target) => {
  const words = wordsFor(target);
  const { get, post, put, del, taskType, workflowDef, start, oneTask, poll, pollOne, update } = words;

  test("says that it is healthy", async () => {
    expect((await get("/health")).json).toMatchObject({ healthy: true });
    const version = await get("/version");
    expect(version.status).toBe(200);
    expect(version.contentType).toContain("text/plain");
  });

  test("fills in the defaults of a task definition", async () => {
    const name = fresh("t");
    const answer = await post("/metadata/taskdefs", [{ name }]);
    expect([answer.status, answer.text]).toEqual([200, ""]);
    expect((await get(`/metadata/taskdefs/${name}`)).json).toMatchObject({
      name,
      retryCount: 3,
      timeoutSeconds: 0,
      timeoutPolicy: "TIME_OUT_WF",
      retryLogic: "FIXED",
      retryDelaySeconds: 60,
      responseTimeoutSeconds: 3600,
      backoffScaleFactor: 1,
      maxRetryDelaySeconds: 0,
      backoffJitterMs: 0,
      totalTimeoutSeconds: 0,
      inputKeys: [],
      outputKeys: [],
      inputTemplate: {},
      rateLimitPerFrequency: 0,
      enforceSchema: false,
    });
  });

  test("keeps task definitions: upsert, update, list, remove", async () => {
    const name = await taskType({ retryCount: 1 });
    await taskType({ name, retryCount: 2 });
    expect((await get(`/metadata/taskdefs/${name}`)).json.retryCount).toBe(2);
    expect((await put("/metadata/taskdefs", { name, retryCount: 5 })).status).toBe(200);
    expect((await get(`/metadata/taskdefs/${name}`)).json.retryCount).toBe(5);
    expect((await get("/metadata/taskdefs")).json).toContainEqual(expect.objectContaining({ name }));
    expect((await del(`/metadata/taskdefs/${name}`)).status).toBe(200);
    expect((await get(`/metadata/taskdefs/${name}`)).status).toBe(404);
  });

  test("gives a workflow the task definitions as they are when it starts", async () => {
    const { type, workflowName } = await oneTask({ responseTimeoutSeconds: 11 });
    await taskType({ name: type, responseTimeoutSeconds: 22 });
    await start(workflowName);
    expect((await pollOne(type)).responseTimeoutSeconds).toBe(11);
    expect((await pollOne(type)).responseTimeoutSeconds).toBe(22);
  });

  test("keeps workflow definitions: versions, the latest, bulk, remove", async () => {
    const type = await taskType();
    const tasks = [{ name: type, taskReferenceName: "a" }];
    const name = await workflowDef(tasks);
    const bulk = await put("/metadata/workflow", [{ name, version: 2, tasks, description: "second" }]);
    expect(bulk.status).toBe(200);
    expect(bulk.json).toMatchObject({ bulkErrorResults: {}, bulkSuccessfulResults: [name] });
    expect((await get(`/metadata/workflow/${name}`)).json).toMatchObject({ version: 2, schemaVersion: 2 });
    const first = (await get(`/metadata/workflow/${name}?version=1`)).json;
    expect(first).toMatchObject({ version: 1, timeoutPolicy: "ALERT_ONLY", restartable: true, outputParameters: {} });
    expect(first.tasks[0]).toMatchObject({ type: "SIMPLE", optional: false, startDelay: 0, inputParameters: {} });
    const workflowId = await start(name);
    expect((await words.workflow(workflowId)).workflowVersion).toBe(2);
    expect((await del(`/metadata/workflow/${name}/2`)).status).toBe(200);
    expect((await get(`/metadata/workflow/${name}?version=2`)).status).toBe(404);
  });

  test("starts workflows with an id as plain text; the first task can be polled at once", async () => {
    const { type, workflowName } = await oneTask();
    await pollOne(type);
    const answer = await post(`/workflow/${workflowName}?correlationId=c1&priority=7`, { a: 1 });
    expect(answer.contentType).toContain("text/plain");
    expect((await words.workflow(answer.text)).input).toEqual({ a: 1 });
    const task = await pollOne(type);
    expect(task).toMatchObject({ workflowInstanceId: answer.text, correlationId: "c1", workflowPriority: 7 });
  });

  test("starts a definition that came with the request", async () => {
    const type = await taskType();
    const name = fresh("inline");
    const workflowDefinition = { name, version: 1, tasks: [{ name: type, taskReferenceName: "a" }] };
    const workflowId = await start(name, { workflowDef: workflowDefinition });
    expect((await pollOne(type)).workflowInstanceId).toBe(workflowId);
  });

  test("runs a task that has no definition, with the defaults", async () => {
    const type = fresh("undefined");
    await start(await workflowDef([{ name: type, taskReferenceName: "a" }]));
    const task = await pollOne(type);
    expect(task).toMatchObject({ responseTimeoutSeconds: 3600, taskDefinition: { name: type, retryCount: 3 } });
  });

  test("shows a workflow with and without its tasks, its status, and who runs", async () => {
    const { workflowName, workflowId } = await oneTask({}, { input: { x: 1 }, correlationId: "corr" });
    const shown = await words.workflow(workflowId);
    expect(shown).toMatchObject({
      workflowId,
      workflowName,
      workflowVersion: 1,
      status: "RUNNING",
      input: { x: 1 },
      output: {},
      correlationId: "corr",
      priority: 0,
      failedReferenceTaskNames: [],
    });
    expect(shown.tasks).toHaveLength(1);
    expect((await get(`/workflow/${workflowId}?includeTasks=false`)).json.tasks).toEqual([]);
    const status = (await get(`/workflow/${workflowId}/status?includeOutput=true`)).json;
    expect(status).toMatchObject({ workflowId, status: "RUNNING", correlationId: "corr" });
    expect((await get(`/workflow/running/${workflowName}`)).json).toEqual([workflowId]);
    await del(`/workflow/${workflowId}?reason=enough`);
    expect((await get(`/workflow/running/${workflowName}`)).json).toEqual([]);
    expect(await words.workflow(workflowId)).toMatchObject({
      status: "TERMINATED",
      reasonForIncompletion: "enough",
      tasks: [{ status: "CANCELED" }],
    });
    expect((await del(`/workflow/${workflowId}?reason=again`)).status).toBe(200);
  });

  test("hands out all that a worker needs to know of a task", async () => {
    const { type, workflowName, workflowId } = await oneTask(
      { responseTimeoutSeconds: 17 },
      { input: {}, priority: 3 },
    );
    const task = await pollOne(type);
    expect(task).toMatchObject({
      taskType: type,
      taskDefName: type,
      status: "IN_PROGRESS",
      referenceTaskName: "only",
      retryCount: 0,
      seq: 1,
      pollCount: 1,
      startDelayInSeconds: 0,
      retried: false,
      executed: false,
      callbackFromWorker: true,
      responseTimeoutSeconds: 17,
      workflowInstanceId: workflowId,
      workflowType: workflowName,
      callbackAfterSeconds: 0,
      inputData: {},
      outputData: {},
      workerId: "w1",
      workflowPriority: 3,
      iteration: 0,
      endTime: 0,
      taskDefinition: { name: type, responseTimeoutSeconds: 17 },
      workflowTask: { name: type, taskReferenceName: "only", taskDefinition: { name: type } },
    });
    expect(task.startTime).toBeGreaterThanOrEqual(task.scheduledTime);
    expect(task.updateTime).toBeGreaterThanOrEqual(task.startTime);
    expect(task.queueWaitTime).toBe(task.startTime - task.scheduledTime);
    expect(await words.task(task.taskId)).toMatchObject({ status: "IN_PROGRESS", workerId: "w1", pollCount: 1 });
  });

  test("answers an empty batch with [] and an empty single poll with 204", async () => {
    const type = await taskType();
    const batch = await get(`/tasks/poll/batch/${type}?timeout=0`);
    expect([batch.status, batch.json]).toEqual([200, []]);
    const single = await get(`/tasks/poll/${type}`);
    expect([single.status, single.text]).toEqual([204, ""]);
    await start(await workflowDef([{ name: type, taskReferenceName: "a" }]));
    for (;;) {
      const answer = await get(`/tasks/poll/${type}?workerid=me`);
      if (answer.status === 204) continue;
      expect(answer.json).toMatchObject({ taskType: type, workerId: "me" });
      break;
    }
  });

  test("shows who polled last", async () => {
    const type = await taskType();
    await get(`/tasks/poll/batch/${type}?workerid=one&timeout=0`);
    await get(`/tasks/poll/batch/${type}?workerid=two&timeout=0`);
    await get(`/tasks/poll/batch/${type}?workerid=three&domain=d&timeout=0`);
    const polled = (await get(`/tasks/queue/polldata?taskType=${type}`)).json as { workerId: string }[];
    expect(polled.map(({ workerId }) => workerId).sort()).toEqual(["three", "two"]);
    expect(polled).toContainEqual(
      expect.objectContaining({ queueName: type, domain: "d", lastPollTime: expect.any(Number) }),
    );
  });

  test("counts what waits in queues, delayed tasks and domains included", async () => {
    const { type, workflowName } = await oneTask();
    await start(workflowName);
    await start(workflowName, { taskToDomain: { [type]: "d" } });
    expect((await get(`/tasks/queue/size?taskType=${type}`)).text).toBe("2");
    expect((await get(`/tasks/queue/size?taskType=${type}&domain=d`)).text).toBe("1");
    const none = fresh("none");
    const sizes = await get(`/tasks/queue/sizes?taskType=${type}&taskType=d:${type}&taskType=${none}`);
    expect(sizes.json).toEqual({ [type]: 2, [`d:${type}`]: 1, [none]: 0 });
    await update(await pollOne(type), { status: "IN_PROGRESS", callbackAfterSeconds: 60 });
    expect((await get(`/tasks/queue/size?taskType=${type}`)).text).toBe("2");
    expect((await get("/tasks/queue/all")).json).toMatchObject({ [`d:${type}`]: 1 });
  });

  test("lists the unfinished tasks of a type with their workers", async () => {
    const { type, workflowName } = await oneTask();
    await start(workflowName);
    await start(workflowName);
    const mine = await pollOne(type);
    const listed = (await get(`/admin/task/${type}?start=0&count=100`)).json as { taskId: string; status: string }[];
    expect(listed.map(({ status }) => status).sort()).toEqual(["IN_PROGRESS", "SCHEDULED", "SCHEDULED"]);
    expect(listed.find(({ taskId }) => taskId === mine.taskId)).toMatchObject({ workerId: "w1" });
    expect((await get(`/admin/task/${type}?start=1&count=1`)).json).toHaveLength(1);
    await update(mine);
    expect((await get(`/admin/task/${type}`)).json).toHaveLength(2);
  });

  test("finds tasks and workflows by a query", async () => {
    const { type, workflowName, workflowId } = await oneTask();
    await start(workflowName);
    const mine = await pollOne(type);
    const other = await pollOne(type);
    await start(workflowName);
    await update(other);
    const search = async (path: string, query: string) =>
      (await get(`${path}?start=0&size=10&query=${encodeURIComponent(query)}`)).json as {
        totalHits: number;
        results: { workflowId: string; workerId?: string; scheduledTime?: string }[];
      };
    const tasks = await search("/tasks/search", `taskType='${type}' AND status='IN_PROGRESS'`);
    if (target.isRedis) {
      expect(tasks).toEqual({ totalHits: 0, results: [] });
      return;
    }
    expect(tasks).toMatchObject({ totalHits: 1, results: [{ taskId: mine.taskId, status: "IN_PROGRESS" }] });
    expect(tasks.results[0]?.workerId).toBeUndefined();
    expect(tasks.results[0]?.scheduledTime).toMatch(/^\d{4}-\d\d-\d\dT/);
    const both = await search("/tasks/search", `taskType='${type}' AND status IN (IN_PROGRESS,COMPLETED)`);
    expect(both.totalHits).toBe(2);
    // A task that was never polled is not found.
    expect((await search("/tasks/search", `taskType='${type}'`)).totalHits).toBe(2);
    const found = await search("/workflow/search", `workflowType='${workflowName}' AND status='RUNNING'`);
    expect(found.totalHits).toBe(2);
    expect(found.results.map((result) => result.workflowId)).toContain(workflowId);
  });

  test("keeps logs: the body as it is, at most ten of those with a result, 204 when there are none", async () => {
    const { type } = await oneTask();
    const { taskId } = await pollOne(type);
    expect((await get(`/tasks/${taskId}/log`)).status).toBe(204);
    expect((await call(target, "POST", `/tasks/${taskId}/log`, '"quoted"')).status).toBe(200);
    if (target.isRedis) {
      expect((await get(`/tasks/${taskId}/log`)).status).toBe(204);
      return;
    }
    expect((await get(`/tasks/${taskId}/log`)).json).toMatchObject([{ log: '"quoted"', taskId }]);
    const logs = Array.from({ length: 15 }, (_, index) => ({ log: `line ${index}`, createdTime: 1000 + index }));
    await update(await words.task(taskId), { logs });
    const kept = (await get(`/tasks/${taskId}/log`)).json as { log: string; createdTime: number }[];
    expect(kept).toHaveLength(11);
    expect(kept.filter(({ createdTime }) => createdTime < 2000)).toHaveLength(10);
  });

  test("pauses and resumes: what is reported meanwhile is acted upon later", async () => {
    const type = await taskType();
    const name = await workflowDef([
      { name: type, taskReferenceName: "a" },
      { name: type, taskReferenceName: "b" },
    ]);
    const workflowId = await start(name);
    const task = await pollOne(type);
    expect((await put(`/workflow/${workflowId}/pause`)).status).toBe(200);
    expect((await update(task)).status).toBe(200);
    const paused = await words.workflow(workflowId);
    expect([paused.status, paused.tasks.length, paused.tasks[0]?.status]).toEqual(["PAUSED", 1, "COMPLETED"]);
    expect(await poll(type)).toEqual([]);
    expect((await put(`/workflow/${workflowId}/resume`)).status).toBe(200);
    expect((await pollOne(type)).referenceTaskName).toBe("b");
  });
});
