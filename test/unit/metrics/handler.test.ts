import { register, Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  ConductorError,
  ConfigurationError,
  createConductorClient,
  defineWorker,
  TaskHandler,
} from "../../../src/index.js";
import { attachMetrics } from "../../../src/metrics/metrics.js";
import { startEmbeddedConductor, type EmbeddedConductor } from "../../../src/testing/index.js";
import { silentLogger } from "../../support/log/loggers.js";
import { waitFor } from "../../support/time/wait-for.js";
import { linesOf } from "../../support/unit/metrics.js";
import { createWorld, workerConfig } from "../../support/unit/runner-world.js";

let conductor: EmbeddedConductor;

describe("the metrics", () => {
  beforeEach(async () => {
    conductor = await startEmbeddedConductor();
    await conductor.registerTaskDefs([
      { name: "good", retryCount: 0 },
      { name: "bad", retryCount: 0 },
    ]);
    for (const name of ["good", "bad"]) {
      await conductor.registerWorkflowDef({ name, tasks: [{ name, taskReferenceName: "a" }] });
    }
  });
  afterEach(async () => {
    await conductor.close();
    register.clear();
  });

  const valueOf = (text: string, series: string): number => {
    const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
    if (line === undefined) throw new Error(`no ${series} in:\n${text}`);
    return Number(line.slice(series.length + 1));
  };

  const createHandler = (registry: Registry | false | undefined) =>
    new TaskHandler({
      serverUrl: conductor.serverUrl,
      logger: silentLogger,
      ...(registry === undefined ? {} : { registry }),
      workers: [
        defineWorker({ taskDefName: "good", longPollMs: 200, execute: () => ({ ok: true }) }),
        defineWorker({
          taskDefName: "bad",
          longPollMs: 200,
          execute: () => {
            throw new RangeError("too far");
          },
        }),
      ],
    });

  const runBoth = async () => {
    for (const name of ["good", "bad"]) await conductor.waitForWorkflow(await conductor.startWorkflow({ name }));
  };

  describe("a handler at work", () => {
    test("counts what it does, in the registry it is given", async () => {
      const registry = new Registry();
      const handler = createHandler(registry);
      await handler.start();
      await runBoth();
      const text = await waitFor(
        async () => {
          const now = await registry.metrics();
          expect(valueOf(now, 'task_update_attempts_total{taskType="bad"}')).toBe(1);
          return now;
        },
        { what: "both results to be counted" },
      );
      for (const taskType of ["good", "bad"]) {
        expect(valueOf(text, `task_poll_total{taskType="${taskType}"}`)).toBeGreaterThan(0);
        expect(valueOf(text, `task_execution_started_total{taskType="${taskType}"}`)).toBe(1);
        expect(valueOf(text, `task_update_time_seconds_count{taskType="${taskType}",status="SUCCESS"}`)).toBe(1);
        expect(valueOf(text, `task_result_size_bytes_sum{taskType="${taskType}"}`)).toBeGreaterThan(100);
        expect(valueOf(text, `task_queue_wait_seconds_count{taskType="${taskType}"}`)).toBe(1);
        expect(valueOf(text, `worker_slots{taskType="${taskType}",state="free"}`)).toBeGreaterThan(0);
      }
      expect(valueOf(text, 'task_execute_time_seconds_count{taskType="good",status="SUCCESS"}')).toBe(1);
      expect(valueOf(text, 'task_execute_time_seconds_count{taskType="bad",status="FAILURE"}')).toBe(1);
      expect(valueOf(text, 'task_execute_error_total{taskType="bad",exception="RangeError"}')).toBe(1);
      const polls = 'method="GET",uri="/tasks/poll/batch/{taskType}",status="200"';
      expect(valueOf(text, `http_api_client_request_seconds_count{${polls}}`)).toBeGreaterThan(1);
      expect(valueOf(text, "worker_server_reachable")).toBe(1);
      expect(text).not.toMatch(/too far|NaN|undefined/);

      const { taskId } = (await conductor.workflows())[0]!.tasks[0]!;
      expect(text).not.toContain(taskId);
      await handler.stop();
      const after = await registry.metrics();
      expect(valueOf(after, 'task_execution_started_total{taskType="good"}')).toBe(1);
      expect(linesOf(after, "worker_slots")).toEqual([]);
    });

    test("goes on counting after stop and start, without registering twice; by default in the default registry", async () => {
      const handler = createHandler(undefined);
      await handler.start();
      await runBoth();
      await handler.stop();
      await handler.start();
      await runBoth();
      await handler.stop();
      expect(valueOf(await register.metrics(), 'task_execution_started_total{taskType="good"}')).toBe(2);
    });

    test("does not start where a metric's name is taken, and says which", async () => {
      const { Counter } = await import("prom-client");
      const registry = new Registry();
      new Counter({ name: "task_poll_total", help: "theirs", registers: [registry] });
      const handler = createHandler(registry);
      await expect(handler.start()).rejects.toThrow(/metrics of somebody else named task_poll_total/);
      await handler.stop();
    });

    test("has no metrics with registry: false", async () => {
      const handler = createHandler(false);
      await handler.start();
      await runBoth();
      await handler.stop();
      expect(await register.metrics()).not.toContain("task_poll_total");
    });
  });

  describe("a client", () => {
    test("counts its requests and starts in the registry it is given", async () => {
      const registry = new Registry();
      await using client = createConductorClient({ serverUrl: conductor.serverUrl, registry });
      await client.workflows.start({ name: "good", version: 1, input: { name: "Ada" } });
      await expect(client.workflows.start({ name: "missing" })).rejects.toThrow(ConductorError);
      const cyclic: Record<string, unknown> = {};
      cyclic.self = cyclic;
      await expect(client.workflows.start({ name: "good", input: cyclic })).rejects.toMatchObject({
        code: "INVALID_REQUEST",
      });
      const text = await registry.metrics();
      expect(valueOf(text, 'workflow_input_size_bytes_sum{workflowType="good",version="1"}')).toBe(
        '{"name":"Ada"}'.length,
      );
      expect(valueOf(text, 'workflow_start_error_total{workflowType="missing",exception="SERVER_REFUSED"}')).toBe(1);
      expect(valueOf(text, 'workflow_start_error_total{workflowType="good",exception="INVALID_REQUEST"}')).toBe(1);
      const starts = 'method="POST",uri="/workflow"';
      expect(valueOf(text, `http_api_client_request_seconds_count{${starts},status="200"}`)).toBe(1);
      expect(valueOf(text, `http_api_client_request_seconds_count{${starts},status="404"}`)).toBe(1);
    });

    test("counts a request without an answer as status 0", async () => {
      const registry = new Registry();
      await using client = createConductorClient({ serverUrl: "http://127.0.0.1:1/api", registry });
      await expect(client.workflows.start({ name: "good" })).rejects.toMatchObject({ code: "CONNECT_FAILED" });
      const text = await registry.metrics();
      expect(valueOf(text, 'http_api_client_request_seconds_count{method="POST",uri="/workflow",status="0"}')).toBe(1);
      expect(valueOf(text, 'workflow_start_error_total{workflowType="good",exception="CONNECT_FAILED"}')).toBe(1);
    });

    test("counts nothing without a registry, and takes nothing else for one", async () => {
      await using client = createConductorClient({ serverUrl: conductor.serverUrl });
      await client.workflows.start({ name: "good" });
      expect(await register.metrics()).not.toContain("workflow_input_size_bytes");
      expect(() => createConductorClient({ registry: {} as never })).toThrow(ConfigurationError);
    });
  });

  test("a function that runs past its deadline is counted under the name of that", async () => {
    const registry = new Registry();
    const world = createWorld([workerConfig("t", () => new Promise(() => {}), { executionTimeoutMs: 1_000 })]);
    await attachMetrics({ events: world.events, status: () => world.group.status }, registry, world.clock);
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(4_000);
    const text = await registry.metrics();
    expect(valueOf(text, 'task_execute_error_total{taskType="t",exception="TaskDeadlineError"}')).toBe(1);
    expect(valueOf(text, 'task_abandoned_total{taskType="t"}')).toBe(1);
    expect(valueOf(text, "worker_abandoned_tasks")).toBe(1);
  });
});
