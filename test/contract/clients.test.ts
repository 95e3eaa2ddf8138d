import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.js";
import { createConductorClient, type ConductorClient } from "../../src/client/conductor-client.js";
import { taskDefProblems, type TaskDefFields } from "../../src/conductor/task-def-rules.js";
import { registrationsOf, startTaskDefRegistrar } from "../../src/handler/task-def-registration.js";
import { createRepeatLog } from "../../src/log/repeat-log.js";
import { wordsFor } from "../support/contract/api.js";
import { fresh, onEveryTarget } from "../support/contract/target.js";
import { silentLogger } from "../support/log/loggers.js";

onEveryTarget("clients", (target) => {
  const { pollOne, resultFor } = wordsFor(target);
  let client: ConductorClient;
  beforeAll(() => {
    client = createConductorClient({ serverUrl: target.baseUrl });
  });
  afterAll(() => client.close());

  const refused = (status: number): unknown =>
    expect.objectContaining({ name: "ConductorError", code: "SERVER_REFUSED", status });

  /** A workflow of one task, registered. */
  const oneTask = async (more: object = {}) => {
    const [type, name] = [fresh("task"), fresh("workflow")];
    await client.metadata.registerTaskDefs([{ name: type, retryCount: 0 }]);
    const definition = { name, version: 1, tasks: [{ name: type, taskReferenceName: "only" }], ...more };
    await client.metadata.registerWorkflowDef(definition);
    return { type, name, definition };
  };

  describe("task definitions", () => {
    test("are registered, read, listed, overwritten and deleted", async () => {
      const [a, b] = [fresh("a"), fresh("b")];
      const { metadata } = client;
      await metadata.registerTaskDefs([{ name: a, retryCount: 1, description: "first" }, { name: b }]);
      expect(await metadata.getTaskDef(a)).toMatchObject({ name: a, retryCount: 1, responseTimeoutSeconds: 3600 });
      await metadata.registerTaskDefs([{ name: a, retryCount: 2 }]);
      const overwritten = await metadata.getTaskDef(a);
      expect([overwritten.retryCount, overwritten.description]).toEqual([2, undefined]);
      await metadata.updateTaskDef({ name: a, retryCount: 5 });
      expect((await metadata.getTaskDef(a)).retryCount).toBe(5);
      const names = (await metadata.listTaskDefs()).map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining([a, b]));
      await metadata.deleteTaskDef(a);
      await expect(metadata.getTaskDef(a)).rejects.toEqual(refused(404));
    });

    test("that do not exist are refused", async () => {
      const none = fresh("none");
      await expect(client.metadata.getTaskDef(none)).rejects.toMatchObject({
        status: 404,
        serverMessage: expect.stringContaining(none),
      });
      await expect(client.metadata.updateTaskDef({ name: none })).rejects.toEqual(refused(404));
      await expect(client.metadata.deleteTaskDef(none)).rejects.toEqual(refused(target.isRedis ? 404 : 500));
    });

    test("that are not valid are refused as a whole, and say why", async () => {
      const [good, bad] = [fresh("good"), fresh("bad")];
      await expect(
        client.metadata.registerTaskDefs([{ name: good }, { name: bad, responseTimeoutSeconds: 0 }]),
      ).rejects.toMatchObject({
        status: 400,
        validationErrors: [expect.objectContaining({ message: expect.any(String) })],
      });
      await expect(client.metadata.getTaskDef(good)).rejects.toEqual(refused(404));
    });

    test("may have names that have to be encoded", async () => {
      const name = `${fresh("odd")} ü?#&`;
      await client.metadata.registerTaskDefs([{ name }]);
      expect((await client.metadata.getTaskDef(name)).name).toBe(name);
      await client.metadata.deleteTaskDef(name);
    });

    test.each<TaskDefFields>([
      {},
      { timeoutSeconds: 30 },
      { timeoutSeconds: 30, responseTimeoutSeconds: 30 },
      { timeoutSeconds: 30, responseTimeoutSeconds: 31 },
      { timeoutSeconds: 30, responseTimeoutSeconds: 10, totalTimeoutSeconds: 20 },
      { timeoutSeconds: 0, responseTimeoutSeconds: 10, totalTimeoutSeconds: 5 },
      { responseTimeoutSeconds: 0 },
      { retryCount: -1 },
      { pollTimeoutSeconds: -1 },
      { backoffScaleFactor: 0 },
      { timeoutPolicy: "NEVER" as "RETRY" },
    ])("are judged here as they are there: %j", async (fields) => {
      const registering = client.metadata.registerTaskDefs([{ ...fields, name: fresh("judged") }]);
      if (taskDefProblems(fields).length === 0) await registering;
      else await expect(registering).rejects.toMatchObject({ name: "ConductorError", code: "SERVER_REFUSED" });
    });

    test("are registered for workers: created, left alone, merged", async () => {
      const register = async (name: string, registerTaskDef: true | TaskDefFields) => {
        const { done } = startTaskDefRegistrar({
          registrations: registrationsOf([{ taskDefName: name, registerTaskDef }]),
          metadata: client.metadata,
          clock: systemClock,
          random: Math.random,
          log: silentLogger,
          repeatLog: createRepeatLog({ clock: systemClock, logger: silentLogger }),
        });
        await done;
        return client.metadata.getTaskDef(name);
      };
      const [plain, named] = [fresh("plain"), fresh("named")];
      expect(await register(plain, true)).toMatchObject({ retryCount: 3, retryDelaySeconds: 60 });
      expect(await register(named, { retryCount: 1, description: "d" })).toMatchObject({
        retryCount: 1,
        description: "d",
      });
      expect(await register(named, true)).toMatchObject({ retryCount: 1 });
      expect(await register(named, { retryCount: 2 })).toMatchObject({ retryCount: 2, description: "d" });
    });
  });

  describe("workflow definitions", () => {
    test("are registered once, or overwritten when asked to", async () => {
      const { name, definition } = await oneTask();
      const { metadata } = client;
      await expect(metadata.registerWorkflowDef({ ...definition, description: "new" })).rejects.toEqual(refused(409));
      await metadata.registerWorkflowDef({ ...definition, description: "new" }, { overwrite: true });
      expect(await metadata.getWorkflowDef(name, 1)).toMatchObject({ name, version: 1, description: "new" });
    });

    test("are registered many at once, read in the latest version or a named one, listed and deleted", async () => {
      const { name, definition } = await oneTask();
      const { metadata } = client;
      await metadata.registerWorkflowDefs([
        { ...definition, description: "one" },
        { ...definition, version: 2, description: "two" },
      ]);
      expect(await metadata.getWorkflowDef(name)).toMatchObject({ version: 2, description: "two" });
      expect(await metadata.getWorkflowDef(name, 1)).toMatchObject({ version: 1, description: "one" });
      expect((await metadata.listWorkflowDefs()).filter((each) => each.name === name)).toHaveLength(2);
      await metadata.deleteWorkflowDef(name, 2);
      expect((await metadata.getWorkflowDef(name)).version).toBe(1);
      await expect(metadata.getWorkflowDef(name, 2)).rejects.toEqual(refused(404));
    });

    test("that are not valid, or not there, are refused", async () => {
      const { definition } = await oneTask();
      const invalid = { ...definition, name: fresh("invalid"), tasks: [] };
      const good = { ...definition, name: fresh("good") };
      await expect(client.metadata.registerWorkflowDef(invalid)).rejects.toEqual(refused(400));
      await expect(client.metadata.registerWorkflowDefs([good, invalid])).rejects.toEqual(refused(400));
      await expect(client.metadata.getWorkflowDef(good.name)).rejects.toEqual(refused(404));
      await expect(client.metadata.deleteWorkflowDef(fresh("none"), 1)).rejects.toMatchObject({
        code: "SERVER_REFUSED",
      });
    });
  });

  describe("workflows", () => {
    test("are started, looked at and terminated", async () => {
      const { name } = await oneTask();
      const { workflows } = client;
      const workflowId = await workflows.start({ name, input: { a: 1 }, correlationId: "c1" });
      expect(await workflows.get(workflowId)).toMatchObject({
        workflowId,
        status: "RUNNING",
        input: { a: 1 },
        tasks: [{}],
      });
      expect((await workflows.get(workflowId, { includeTasks: false })).tasks).toEqual([]);
      const plain = await workflows.getStatus(workflowId);
      expect(plain).toMatchObject({ workflowId, status: "RUNNING", correlationId: "c1" });
      const full = await workflows.getStatus(workflowId, { includeOutput: true, includeVariables: true });
      expect(full.output).toEqual({});
      await workflows.terminate(workflowId, "enough & more");
      expect(await workflows.get(workflowId)).toMatchObject({
        status: "TERMINATED",
        reasonForIncompletion: "enough & more",
      });
    });

    test("that do not exist are refused", async () => {
      const { workflows } = client;
      const none = fresh("none");
      await expect(workflows.start({ name: none })).rejects.toEqual(refused(404));
      await expect(workflows.get(none)).rejects.toEqual(refused(404));
      await expect(workflows.getStatus(none)).rejects.toEqual(refused(404));
      await expect(workflows.terminate(none)).rejects.toEqual(refused(404));
      await expect(workflows.waitFor(none, { timeoutMs: 5_000 })).rejects.toEqual(refused(404));
    });

    test("are found by a query, page by page", async () => {
      const { name } = await oneTask();
      const { workflows } = client;
      const ids = await Promise.all([1, 2, 3].map(() => workflows.start({ name })));
      const query = `workflowType='${name}' AND status='RUNNING'`;
      const first = await workflows.search({ query, size: 2 });
      if (target.isRedis) {
        expect(first).toEqual({ totalHits: 0, results: [] });
        return;
      }
      expect(first.totalHits).toBe(3);
      const rest = await workflows.search({ query, start: 2, size: 2 });
      const found = [...first.results, ...rest.results];
      expect(found.map(({ workflowId }) => workflowId).sort()).toEqual(ids.sort());
      expect(found[0]).toMatchObject({ workflowType: name, version: 1, status: "RUNNING" });
      expect(found[0]!.startTime).toMatch(/^\d{4}-\d\d-\d\dT/);
      await expect(workflows.search({ size: 5_001 })).rejects.toEqual(refused(400));
    });

    test("are waited for until they have ended", async () => {
      const { type, name } = await oneTask();
      const { workflows, tasks } = client;
      const workflowId = await workflows.start({ name });
      await expect(workflows.waitFor(workflowId, { timeoutMs: 300 })).rejects.toMatchObject({
        code: "DEADLINE_EXCEEDED",
        message: expect.stringContaining("it was RUNNING when last seen"),
      });
      const waiting = workflows.waitFor(workflowId, { timeoutMs: 10_000 });
      await tasks.update(resultFor(await pollOne(type), { outputData: { done: true } }));
      expect(await waiting).toMatchObject({ status: "COMPLETED", tasks: [{ outputData: { done: true } }] });
    });

    test("that fail have ended, too", async () => {
      const { type, name } = await oneTask();
      const { workflows, tasks } = client;
      const workflowId = await workflows.start({ name });
      await tasks.update(
        resultFor(await pollOne(type), { status: "FAILED_WITH_TERMINAL_ERROR", reasonForIncompletion: "no" }),
      );
      expect((await workflows.waitFor(workflowId, { timeoutMs: 10_000 })).status).toBe("FAILED");
    });
  });
});

describe("tasks", () => {
  onEveryTarget("client", (target) => {
    const { oneTask } = wordsFor(target);

    test("are polled, logged, counted, updated and looked at", async () => {
      await using client = createConductorClient({ serverUrl: target.baseUrl });
      const { tasks } = client;
      const { type, workflowId } = await oneTask();
      expect(await tasks.queueSizes([type])).toEqual({ [type]: 1 });
      const [task] = await tasks.pollBatch(type, { count: 1, timeoutMs: 1_000, workerId: "w1" });
      expect(task).toMatchObject({ workflowInstanceId: workflowId, workerId: "w1", status: "IN_PROGRESS" });
      const { taskId } = task!;
      expect(await tasks.logs(taskId)).toEqual([]);
      await tasks.log(taskId, "a line");
      expect(await tasks.logs(taskId)).toMatchObject(target.isRedis ? [] : [{ log: "a line" }]);
      const result = { taskId, workflowInstanceId: workflowId, status: "COMPLETED" as const, outputData: { a: 1 } };
      expect(await tasks.updateV2(result)).toBeUndefined();
      await tasks.update(result);
      expect(await tasks.get(taskId)).toMatchObject({ status: "COMPLETED", outputData: { a: 1 } });
      expect(await tasks.poll(type)).toBeUndefined();
      await expect(tasks.get(fresh("none"))).rejects.toMatchObject({
        status: 404,
        serverMessage: expect.stringMatching(/not found for taskId|No such task/),
      });
    });
  });
});
