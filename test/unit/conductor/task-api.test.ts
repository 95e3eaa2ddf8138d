import { describe, expect, test } from "vitest";
import { createTaskApi } from "../../../src/conductor/task-api.js";
import type { Exchange } from "../../../src/http/exchange.js";
import { makeTask } from "../../support/servers/conductor-stub.js";
import { answer, fakeTransport, html, json } from "../../support/unit/conductor.js";

function setUp(...answers: readonly Exchange[]) {
  const { transport, requests } = fakeTransport(...answers);
  return { api: createTaskApi(transport, 10_000), requests };
}
const answeredWith = (value: unknown) => ({ kind: "answered", value });
const readWith = (value: unknown) => ({ ...answeredWith(value), bytes: expect.any(Number) as number });
const poll = { taskType: "t", workerId: "w", count: 3, timeoutMs: 500 };

describe("the task API", () => {
  describe("a poll", () => {
    test("asks for what it is told to, on its own lane, for as long as the hold and the network may take", async () => {
      const { api, requests } = setUp(json([]));
      await api.pollBatch(poll);
      expect(requests).toEqual([
        {
          lane: "poll",
          method: "GET",
          path: "/tasks/poll/batch/t?count=3&timeout=500&workerid=w",
          pathTemplate: "/tasks/poll/batch/{taskType}",
          deadlineMs: 10_500,
        },
      ]);
    });

    test("encodes names, domains and workers", async () => {
      const { api, requests } = setUp(json([]));
      await api.pollBatch({ ...poll, taskType: "a b/ü?&", workerId: "x&y=#", domain: "d e" });
      expect(requests[0]!.path).toBe(
        "/tasks/poll/batch/a%20b%2F%C3%BC%3F%26?count=3&timeout=500&workerid=x%26y%3D%23&domain=d%20e",
      );
    });

    test.each([undefined, ""])("leaves out a domain of %j, which would be a queue of its own", async (domain) => {
      const { api, requests } = setUp(json([]));
      await api.pollBatch({ ...poll, domain });
      expect(requests[0]!.path).not.toContain("domain");
    });

    test("gives the tasks, and counts what is none", async () => {
      const task = makeTask();
      const { api } = setUp(json([task, null, {}, "x", { taskId: "a" }]));
      expect(await api.pollBatch(poll)).toEqual(readWith({ handOuts: [{ task, problem: undefined }], malformed: 4 }));
    });

    test.each([json([]), answer(204)])("none is none", async (exchange) => {
      const { api } = setUp(exchange);
      expect(await api.pollBatch(poll)).toEqual(readWith({ handOuts: [], malformed: 0 }));
    });

    test.each([html(200), json({}), json(null), answer(200), answer(200, "[{"), json("text")])(
      "nonsense is no answer: %j",
      async (exchange) => {
        const { api } = setUp(exchange);
        expect(await api.pollBatch(poll)).toMatchObject({
          kind: "maybeApplied",
          error: { code: "MALFORMED_RESPONSE" },
        });
      },
    );
  });

  describe("POST /tasks", () => {
    test("sends the body as it is, on the main lane, within the deadline it is given", async () => {
      const { api, requests } = setUp(answer(200, "a"));
      await api.update("a", "{}");
      await api.update("a", "{}", 700);
      await api.update("a", "{}", 700, true);
      const request = { lane: "main", method: "POST", path: "/tasks", pathTemplate: "/tasks", body: "{}" };
      expect(requests).toEqual([
        { ...request, deadlineMs: 10_000 },
        { ...request, deadlineMs: 700 },
        { ...request, deadlineMs: 700, isOnce: true },
      ]);
    });

    test.each(["a", '"a"'])("is acknowledged by the task's id: %s", async (body) => {
      expect(await setUp(answer(200, body)).api.update("a", "{}")).toEqual(answeredWith(true));
    });

    test.each([html(200), json({}), json(null), answer(200), answer(204), answer(200, "b"), answer(200, "aa")])(
      "and by nothing else: %j",
      async (exchange) => {
        expect(await setUp(exchange).api.update("a", "{}")).toMatchObject({ kind: "maybeApplied" });
      },
    );

    test("a refusal is one", async () => {
      expect(await setUp(json({ message: "no" }, 400)).api.update("a", "{}")).toMatchObject({
        kind: "refused",
        error: { status: 400 },
      });
    });
  });

  describe("update-v2", () => {
    test("is acknowledged by 204 or by the next task", async () => {
      const task = makeTask();
      expect(await setUp(answer(204)).api.updateV2("{}")).toEqual(answeredWith(null));
      expect(await setUp(json(task)).api.updateV2("{}")).toEqual(answeredWith({ task, problem: undefined }));
    });

    test.each([html(200), json({}), json(null), json([]), answer(200), answer(200, "a")])(
      "and by nothing else: %j",
      async (exchange) => {
        const { api, requests } = setUp(exchange);
        expect(await api.updateV2("{}")).toMatchObject({ kind: "maybeApplied", error: { code: "MALFORMED_RESPONSE" } });
        expect(requests[0]).toMatchObject({ lane: "main", method: "POST", path: "/tasks/update-v2", body: "{}" });
      },
    );
  });

  describe("reads", () => {
    test("a task, by its encoded id", async () => {
      const task = makeTask();
      const { api, requests } = setUp(json(task));
      expect(await api.get("a/b c")).toEqual(readWith(task));
      expect(requests[0]).toMatchObject({
        method: "GET",
        path: "/tasks/a%2Fb%20c",
        pathTemplate: "/tasks/{taskId}",
        lane: "main",
      });
    });

    test.each([html(200), json({}), json(null), answer(204)])("no task is none: %j", async (exchange) => {
      expect(await setUp(exchange).api.get("a")).toMatchObject({ kind: "maybeApplied" });
    });

    test("logs, and none", async () => {
      const lines = [{ log: "x", createdTime: 1 }];
      expect(await setUp(json(lines)).api.logs("a")).toEqual(readWith(lines));
      expect(await setUp(answer(204)).api.logs("a")).toEqual(readWith([]));
      expect(await setUp(html(200)).api.logs("a")).toMatchObject({ kind: "maybeApplied" });
    });

    test("queue sizes, by encoded names", async () => {
      const { api, requests } = setUp(json({ a: 1, "d:b c": 0 }));
      expect(await api.queueSizes(["a", "d:b c"])).toMatchObject({ value: { a: 1, "d:b c": 0 } });
      expect(requests[0]!.path).toBe("/tasks/queue/sizes?taskType=a&taskType=d%3Ab%20c");
    });

    test("the sizes of more queues than a request has room for are asked for in several", async () => {
      const names = Array.from({ length: 300 }, (_, i) => `customer_onboarding_step_verification_${i}`);
      const asked: string[] = [];
      const api = createTaskApi(
        {
          request: ({ path }) => {
            expect(path.length).toBeLessThan(4_100);
            const some = new URLSearchParams(path.slice(path.indexOf("?"))).getAll("taskType");
            asked.push(...some);
            return Promise.resolve(json(Object.fromEntries(some.map((name) => [name, 1]))));
          },
          close: () => Promise.resolve(),
        },
        10_000,
      );
      const reply = await api.queueSizes(names);
      expect(asked).toEqual(names);
      expect(reply).toEqual({ kind: "answered", value: Object.fromEntries(names.map((name) => [name, 1])) });
    });

    test("a task, in an answer of no more bytes than it is told", async () => {
      const { api, requests } = setUp(json(makeTask()));
      await api.get("a", 5_000);
      expect(requests[0]).toMatchObject({ maxBodyBytes: 5_000 });
    });

    test("unfinished tasks, a page of no more bytes than it is told: how many were listed, and those that are tasks", async () => {
      const task = makeTask();
      const { api, requests } = setUp(json([task, null, { taskId: "a" }]));
      expect(await api.pending("a/b", { start: 20, count: 3, maxBodyBytes: 5_000 })).toEqual(
        readWith({ tasks: [task], listed: 3 }),
      );
      expect(requests).toMatchObject([
        {
          lane: "main",
          method: "GET",
          path: "/admin/task/a%2Fb?start=20&count=3",
          pathTemplate: "/admin/task/{taskType}",
          maxBodyBytes: 5_000,
        },
      ]);
    });

    test("how many bytes came, beside what they say", async () => {
      expect(await setUp(answer(200, '["ä"]')).api.logs("a")).toMatchObject({ value: ["ä"], bytes: 6 });
    });

    test.each([html(200), json([]), json({ a: "1" }), json(null)])("sizes that are none: %j", async (exchange) => {
      expect(await setUp(exchange).api.queueSizes(["a"])).toMatchObject({ kind: "maybeApplied" });
    });
  });

  test("a line of log is sent as it is, and acknowledged by nothing", async () => {
    const { api, requests } = setUp(answer(200), html(200));
    expect(await api.log("a b", 'say "hi"')).toEqual(answeredWith(true));
    expect(requests[0]).toMatchObject({
      path: "/tasks/a%20b/log",
      pathTemplate: "/tasks/{taskId}/log",
      body: 'say "hi"',
    });
    expect(await api.log("a", "x")).toMatchObject({ kind: "maybeApplied" });
  });

  describe("what is no text (half a surrogate pair) cannot be put into a path, and is sent to nobody", () => {
    const half = "task \ud83d";
    const page = { start: 0, count: 1, maxBodyBytes: 1_000 };
    test.each<[string, (api: ReturnType<typeof createTaskApi>) => Promise<unknown>]>([
      ["the task type of a poll", (api) => api.pollBatch({ ...poll, taskType: half })],
      ["the worker of a poll", (api) => api.pollBatch({ ...poll, workerId: half })],
      ["the domain of a poll", (api) => api.pollBatch({ ...poll, domain: half })],
      ["the id of a task", (api) => api.get(half)],
      ["the id of a task that is logged for", (api) => api.log(half, "line")],
      ["the id of a task whose log is read", (api) => api.logs(half)],
      ["one of many queues", (api) => api.queueSizes(["a", half])],
      ["the task type of a listing", (api) => api.pending(half, page)],
    ])("%s", async (_what, call) => {
      const { api, requests } = setUp(json([]));
      expect(await call(api)).toMatchObject({ kind: "notSent", error: { code: "INVALID_REQUEST", retryable: false } });
      expect(requests).toEqual([]);
    });
  });
});
