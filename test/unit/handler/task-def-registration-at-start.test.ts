import { http, HttpResponse } from "msw";
import { describe, expect, onTestFinished, test } from "vitest";
import { defineWorker, TaskHandler } from "../../../src/index.js";
import { silentLogger } from "../../support/log/loggers.js";
import { makeTask, startConductorStub } from "../../support/servers/conductor-stub.js";
import { waitFor } from "../../support/time/wait-for.js";

/** A worker that wants its definition registered, and a server whose metadata endpoints a test answers for. */
async function setUp(answer: (request: Request) => Response | Promise<Response>) {
  const errors: string[] = [];
  const logger = { ...silentLogger, error: (_fields: object, message: string) => void errors.push(message) };
  const served = await startConductorStub();
  served.server.use(http.all("/api/metadata/*", ({ request }) => answer(request)));
  const spec = { taskDefName: "work", longPollMs: 200, registerTaskDef: { retryCount: 1 }, execute: () => ({}) };
  const handler = new TaskHandler({ serverUrl: served.serverUrl, logger, workers: [defineWorker(spec)] });
  onTestFinished(async () => {
    await handler.stop({ drainTimeoutMs: 0 });
    await served.close();
  });
  const asked = () => served.server.requests.filter(({ path }) => path.startsWith("/api/metadata/")).length;
  return { ...served, handler, asked, errors };
}

describe("registering task definitions at the start of a handler", () => {
  test("work is done while a definition cannot be registered, and it is registered when it can", async () => {
    let isAway = true;
    const written: unknown[] = [];
    const { stub, handler, asked } = await setUp(async (request) => {
      if (isAway) return new HttpResponse("no upstream", { status: 503 });
      if (request.method === "GET")
        return HttpResponse.json({ status: 404, message: "No such taskType" }, { status: 404 });
      written.push(await request.json());
      return new HttpResponse(null, { status: 200 });
    });
    await handler.start();
    const task = makeTask({ taskType: "work", taskDefName: "work" });
    stub.push(task);
    await waitFor(() => stub.tasks.get(task.taskId)?.status === "COMPLETED", { what: "the task to be done" });
    await waitFor(() => asked() >= 2, { what: "a second attempt" });
    isAway = false;
    await waitFor(() => written.length > 0, { what: "the definition" });
    expect(written).toEqual([[{ name: "work", retryCount: 1 }]]);
  });

  test("a metadata endpoint that answers nothing holds up neither polling nor stopping", async () => {
    const { stub, handler, asked } = await setUp(() => new Promise<Response>(() => {}));
    await handler.start();
    const task = makeTask({ taskType: "work", taskDefName: "work" });
    stub.push(task);
    await waitFor(() => stub.tasks.get(task.taskId)?.status === "COMPLETED", { what: "the task to be done" });
    const startedAt = performance.now();
    await handler.stop({ drainTimeoutMs: 500 });
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    expect(asked()).toBe(1);
  });

  test("nothing is tried again after a stop, nor complained about", async () => {
    const { handler, asked, errors } = await setUp(() => new HttpResponse("no upstream", { status: 503 }));
    await handler.start();
    await waitFor(() => asked() === 1, { what: "the first attempt" });
    await handler.stop({ drainTimeoutMs: 0 });
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(asked()).toBe(1);
    expect(errors).toEqual([]);
  });
});
