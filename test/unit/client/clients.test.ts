import { describe, expect, test } from "vitest";
import { MetadataClient } from "../../../src/client/metadata-client.js";
import { TaskClient } from "../../../src/client/task-client.js";
import { WorkflowClient } from "../../../src/client/workflow-client.js";
import { createTaskApi } from "../../../src/conductor/task-api.js";
import type { Exchange } from "../../../src/http/exchange.js";
import { makeTask } from "../../support/servers/conductor-stub.js";
import { answer, fakeTransport, html, json } from "../../support/unit/conductor.js";

const malformed = { code: "MALFORMED_RESPONSE" };

describe("the Conductor client", () => {
  describe("tasks", () => {
    const setUp = (...answers: readonly Exchange[]) => {
      const { transport, requests } = fakeTransport(...answers);
      return { client: new TaskClient(createTaskApi(transport, 1_000)), requests };
    };

    test("poll takes one task, if there is one now", async () => {
      const task = makeTask();
      const { client, requests } = setUp(json([task]), json([]));
      expect(await client.poll("t", { workerId: "w", domain: "d" })).toEqual(task);
      expect(await client.poll("t")).toBeUndefined();
      expect(requests.map(({ path }) => path)).toEqual([
        "/tasks/poll/batch/t?count=1&timeout=0&workerid=w&domain=d",
        "/tasks/poll/batch/t?count=1&timeout=0",
      ]);
    });

    test.each([
      { count: 0 },
      { count: -1 },
      { count: 1.5 },
      { count: NaN },
      { count: 1, timeoutMs: 5_001 },
      { count: 1, timeoutMs: -1 },
    ])("%j is not sent", async (options) => {
      const { client, requests } = setUp(json([]));
      await expect(client.pollBatch("t", options)).rejects.toMatchObject({ code: "INVALID_REQUEST", retryable: false });
      expect(requests).toEqual([]);
    });

    test("updates are acknowledged, or throw", async () => {
      const result = { taskId: "a", workflowInstanceId: "wf", status: "COMPLETED" as const };
      await setUp(answer(200, "a")).client.update(result);
      await expect(setUp(html(200)).client.update(result)).rejects.toMatchObject(malformed);
      const task = makeTask();
      expect(await setUp(json(task)).client.updateV2(result)).toEqual(task);
      expect(await setUp(answer(204)).client.updateV2(result)).toBeUndefined();
      await expect(setUp(answer(204)).client.update({ ...result, outputData: { n: 1n } })).rejects.toMatchObject({
        code: "INVALID_REQUEST",
      });
    });

    test("no queues, no request", async () => {
      const { client, requests } = setUp(json({}));
      expect(await client.queueSizes([])).toEqual({});
      expect(requests).toEqual([]);
    });

    test("nothing is tried again", async () => {
      const { client, requests } = setUp(answer(503));
      await expect(client.get("a")).rejects.toMatchObject({ status: 503, retryable: true });
      expect(requests).toHaveLength(1);
    });
  });

  describe("metadata", () => {
    const setUp = (exchange: Exchange) => {
      const { transport, requests } = fakeTransport(exchange);
      return { client: new MetadataClient(transport, 1_000), requests };
    };

    test("definitions are written as they are", async () => {
      const { client, requests } = setUp(answer(200));
      await client.registerTaskDefs([{ name: "t" }]);
      await client.registerWorkflowDefs([{ name: "w", tasks: [] }]);
      expect(requests).toMatchObject([
        { method: "POST", path: "/metadata/taskdefs", body: '[{"name":"t"}]', deadlineMs: 1_000 },
        { method: "PUT", path: "/metadata/workflow", body: '[{"name":"w","tasks":[]}]' },
      ]);
    });

    test("what the server refused of a bulk is an error, though it says 200", async () => {
      const { client } = setUp(json({ bulkErrorResults: { w: "no tasks" }, bulkSuccessfulResults: ["v"] }));
      await expect(client.registerWorkflowDefs([])).rejects.toMatchObject({
        code: "SERVER_REFUSED",
        serverMessage: "w: no tasks",
      });
      await setUp(json({ bulkErrorResults: {} })).client.registerWorkflowDefs([]);
    });

    test.each([html(200), json([]), json(null)])("nonsense is an error: %j", async (exchange) => {
      await expect(setUp(exchange).client.registerTaskDefs([])).rejects.toMatchObject(malformed);
    });
  });

  describe("workflows", () => {
    const setUp = (exchange: Exchange) => {
      const { transport, requests } = fakeTransport(exchange);
      return { client: new WorkflowClient(transport, 1_000), requests };
    };

    test.each(["wf-1", '"wf-1"'])("start returns the id: %s", async (body) => {
      const { client, requests } = setUp(answer(200, body));
      expect(await client.start({ name: "w" })).toBe("wf-1");
      expect(requests).toMatchObject([{ method: "POST", path: "/workflow", body: '{"input":{},"name":"w"}' }]);
    });

    test.each([html(200), json({}), answer(200), answer(204), answer(200, "please log in")])(
      "nonsense is no id: %j",
      async (exchange) => {
        await expect(setUp(exchange).client.start({ name: "w" })).rejects.toMatchObject(malformed);
      },
    );

    test("get, with or without tasks", async () => {
      const workflow = { workflowId: "a", status: "RUNNING" };
      const { client, requests } = setUp(json(workflow));
      expect(await client.get("a b")).toEqual(workflow);
      await client.get("a", { includeTasks: false });
      expect(requests.map(({ path }) => path)).toEqual(["/workflow/a%20b", "/workflow/a?includeTasks=false"]);
      await expect(setUp(json({})).client.get("a")).rejects.toMatchObject(malformed);
    });

    test("terminate, with a reason", async () => {
      const { client, requests } = setUp(answer(200));
      await client.terminate("a", "no more & more");
      expect(requests).toMatchObject([{ method: "DELETE", path: "/workflow/a?reason=no%20more%20%26%20more" }]);
      await expect(setUp(json({ message: "done already" }, 409)).client.terminate("a")).rejects.toMatchObject({
        status: 409,
      });
    });
  });
});
