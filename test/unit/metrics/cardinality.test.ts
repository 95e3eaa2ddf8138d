import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { ConductorError } from "../../../src/conductor/errors.js";
import { createClientMetrics } from "../../../src/metrics/client-metrics.js";
import type { Counter } from "../../../src/metrics/families.js";
import { BoundedValues, exceptionName, sanitised } from "../../../src/metrics/label-values.js";
import { attachMetrics } from "../../../src/metrics/metrics.js";
import { ErrorSeries } from "../../../src/metrics/series.js";
import { NonRetryableError } from "../../../src/worker/errors.js";
import { createSource, IDS, linesOf } from "../../support/unit/metrics.js";

class PaymentError extends Error {}
const request = { method: "GET", pathTemplate: "/tasks/{taskId}", retryable: true } as const;
const hostile = new Proxy(new Error("x"), {
  get: () => {
    throw new Error("not yours");
  },
});

describe("the cardinality of metrics", () => {
  test.each<[string, unknown, string]>([
    ["a built-in class", new TypeError("id-1 is odd"), "TypeError"],
    ["a class derived by a user, which has the name of its base", new PaymentError("card 4711"), "PaymentError"],
    ["a name that was set", Object.assign(new Error("x"), { name: "AxiosError", code: "ERR_BAD" }), "AxiosError"],
    ["a system error", Object.assign(new Error("x"), { code: "ECONNREFUSED" }), "ECONNREFUSED"],
    ["a failed request", new ConductorError({ ...request, code: "CONNECT_FAILED", message: "x" }), "CONNECT_FAILED"],
    ["an error of ours", new NonRetryableError("no"), "NonRetryableError"],
    ["a plain error", new Error("order 4711 is gone"), "Error"],
    ["a plain object", { message: "order 4711 is gone" }, "Object"],
    ["a text", "order 4711 is gone", "string"],
    ["nothing", undefined, "undefined"],
    ["null", null, "null"],
    ["a name with signs that are none of a label's", Object.assign(new Error("x"), { name: 'a"b\nc é' }), "a_b_c__"],
    ["a name without end", Object.assign(new Error("x"), { name: "E".repeat(10_000) }), "E".repeat(64)],
    ["an error that does not want to be asked", hostile, "unknown"],
  ])("the exception of %s", (_what, error, label) => {
    expect(sanitised(exceptionName(error))).toBe(label);
  });

  test("a metric has at most 50 different exceptions, over all task types, and the rest is other", async () => {
    const registry = new Registry();
    const { events } = createSource();
    const source = createSource();
    await attachMetrics({ events, status: source.status }, registry);
    const fail = (taskType: string, name: string) => {
      const error = Object.assign(new Error("x"), { name });
      events.topics.taskFailed.emit({ ...IDS, taskType, durationMs: 1, terminal: false, reason: "no", error });
    };
    for (let i = 0; i < 1_000; i += 1) fail(i % 2 === 0 ? "t" : "u", `E${i}`);
    fail("t", "E0");
    fail("u", "E0");
    const lines = linesOf(await registry.metrics(), "task_execute_error_total");
    const labels = new Set(lines.map((line) => /exception="(\w+)"/.exec(line)?.[1]));
    expect(labels.size).toBe(51);
    expect(lines).toHaveLength(50 + 2 + 1);
    for (const [type, label, count] of [
      ["t", "E0", 2],
      ["u", "E0", 1],
      ["t", "other", 475],
      ["u", "other", 475],
    ]) {
      expect(lines).toContain(`task_execute_error_total{taskType="${type}",exception="${label}"} ${count}`);
    }
  });

  test("names that count as other, or are not a label as they stand, are not remembered", () => {
    const made: string[] = [];
    const series = new ErrorSeries(new BoundedValues(2), (label) => {
      made.push(label);
      return { inc: () => {} } as unknown as Counter;
    });
    for (const name of ["A", "A", "a-b", "a-b", "C", "C"]) series.countName(name);
    expect(made).toEqual(["A", "a_b", "a_b", "other", "other"]);
  });

  test("another metric has a bound of its own", async () => {
    const registry = new Registry();
    const source = createSource();
    await attachMetrics(source, registry);
    const errorOf = (i: number) => Object.assign(new Error("x"), { name: `E${i}` });
    for (let i = 0; i < 60; i += 1)
      source.events.topics.uncaughtError.emit({ kind: "uncaughtException", error: errorOf(i) });
    source.events.topics.pollFailed.emit({ taskType: "t", durationMs: 1, error: errorOf(59) });
    const text = await registry.metrics();
    expect(text).toContain('thread_uncaught_exceptions_total{exception="other"} 10');
    expect(text).toContain('task_poll_error_total{taskType="t",exception="E59"} 1');
  });

  test("workflows that clients start are at most 100 different ones, whatever the number of clients", async () => {
    const registry = new Registry();
    for (let i = 0; i < 300; i += 1) {
      const sink = createClientMetrics(registry);
      sink.workflowStarting(`flow-${i}`, i, 10);
      sink.workflowStartFailed(`flow-${i}`, new TypeError("x"));
    }
    const text = await registry.metrics();
    const counts = linesOf(text, "workflow_input_size_bytes").filter((line) => line.includes("_count"));
    expect(counts).toHaveLength(101);
    expect(counts).toContain('workflow_input_size_bytes_count{workflowType="other",version="other"} 200');
    expect(text).toContain('workflow_start_error_total{workflowType="other",exception="TypeError"} 200');
  });

  test("a task type may have any signs; the text stays readable", async () => {
    const registry = new Registry();
    const source = createSource();
    await attachMetrics(source, registry);
    source.events.topics.taskStarted.emit({ ...IDS, taskType: 'a"b\\c\nd', queueWaitMs: 0 });
    expect(await registry.metrics()).toContain('task_execution_started_total{taskType="a\\"b\\\\c\\nd"} 1');
  });
});
