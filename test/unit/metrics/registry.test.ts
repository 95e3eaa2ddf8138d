import { AggregatorRegistry, Counter, register, Registry, type OpenMetricsContentType } from "prom-client";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { ConfigurationError } from "../../../src/base/errors.js";
import { attachMetrics } from "../../../src/metrics/metrics.js";
import { createSource, IDS, linesOf, loadOtherCopy, runnerStatus } from "../../support/unit/metrics.js";

type Source = ReturnType<typeof createSource>;
const execute = ({ events }: Source, durationMs: number) => {
  events.topics.taskExecuted.emit({ ...IDS, durationMs, status: "COMPLETED" });
};
const start = ({ events }: Source) => {
  events.topics.taskStarted.emit({ ...IDS, queueWaitMs: 0 });
};
const STARTED = "task_execution_started_total";

describe("the metrics in prom-client's registry", () => {
  afterEach(() => {
    register.clear();
  });

  test("a histogram is written as Prometheus reads it: cumulative, closed by +Inf, with sum and count", async () => {
    const registry = new Registry();
    const source = createSource();
    await attachMetrics(source, registry);
    // One on a bound, one between, one beyond the last.
    for (const durationMs of [5, 7, 20_000]) execute(source, durationMs);
    const labels = 'taskType="t",status="SUCCESS"';
    const counts = {
      0.001: 0,
      0.005: 1,
      0.01: 2,
      0.025: 2,
      0.05: 2,
      0.1: 2,
      0.25: 2,
      0.5: 2,
      1: 2,
      2.5: 2,
      5: 2,
      10: 2,
    };
    expect(linesOf(await registry.metrics(), "task_execute_time_seconds")).toEqual([
      ...Object.entries(counts)
        .sort(([a], [b]) => Number(a) - Number(b))
        .map(([le, count]) => `task_execute_time_seconds_bucket{le="${le}",${labels}} ${count}`),
      `task_execute_time_seconds_bucket{le="+Inf",${labels}} 3`,
      `task_execute_time_seconds_sum{${labels}} 20.012`,
      `task_execute_time_seconds_count{${labels}} 3`,
    ]);
  });

  test("what a histogram writes is what prom-client's own writes", async () => {
    const { Histogram } = await import("prom-client");
    const registry = new Registry();
    const source = createSource();
    await attachMetrics(source, registry);
    const theirs = new Registry();
    const reference = new Histogram({
      name: "task_execute_time_seconds",
      help: "How long functions took",
      labelNames: ["taskType", "status"],
      buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers: [theirs],
    });
    for (const durationMs of [0, 1, 1.5, 100, 9_999, 10_000, 10_001]) {
      execute(source, durationMs);
      reference.observe({ taskType: "t", status: "SUCCESS" }, durationMs / 1000);
    }
    expect(await registry.getSingleMetricAsString("task_execute_time_seconds")).toBe(
      await theirs.getSingleMetricAsString("task_execute_time_seconds"),
    );
  });

  test("a registry of another copy of prom-client is served", async () => {
    const { copy, remove } = loadOtherCopy();
    onTestFinished(remove);
    expect(copy.Registry).not.toBe(Registry);
    const registry = new copy.Registry();
    registry.setDefaultLabels({ pod: "p-1" });
    const source = createSource();
    const metrics = await attachMetrics(source, registry);
    expect(metrics.registry).toBe(registry);
    start(source);
    execute(source, 7);
    const text = await registry.metrics();
    expect(linesOf(text, STARTED)).toEqual([`${STARTED}{taskType="t",pod="p-1"} 1`]);
    expect(text).toContain('task_execute_time_seconds_bucket{le="0.01",taskType="t",status="SUCCESS",pod="p-1"} 1');
    expect(text).toContain('worker_tasks_in_flight{pod="p-1"} 0');
    expect(await registry.getMetricsAsJSON()).toHaveLength(registry.getMetricsAsArray().length);
    expect(await register.metrics()).not.toContain(STARTED);
  });

  test("without a registry it is prom-client's default one", async () => {
    const source = createSource();
    const metrics = await attachMetrics(source, undefined);
    expect(metrics.registry).toBe(register);
    start(source);
    expect(await register.metrics()).toContain(`${STARTED}{taskType="t"} 1`);
  });

  test("handlers that share a registry share the counters, one after the other and side by side", async () => {
    const registry = new Registry();
    const [first, second] = [createSource(), createSource()];
    const attached = await attachMetrics(first, registry);
    start(first);
    attached.detach();
    start(first);
    const again = await attachMetrics(first, registry);
    await attachMetrics(second, registry);
    start(first);
    start(second);
    expect(linesOf(await registry.metrics(), STARTED)).toEqual([`${STARTED}{taskType="t"} 3`]);
    again.detach();
    again.detach();
    start(first);
    start(second);
    expect(linesOf(await registry.metrics(), STARTED)).toEqual([`${STARTED}{taskType="t"} 4`]);
  });

  test("two registries count apart", async () => {
    const [one, other] = [new Registry(), new Registry()];
    const source = createSource();
    await attachMetrics(source, one);
    start(source);
    await attachMetrics(source, other);
    start(source);
    expect(linesOf(await one.metrics(), STARTED)).toEqual([`${STARTED}{taskType="t"} 2`]);
    expect(linesOf(await other.metrics(), STARTED)).toEqual([`${STARTED}{taskType="t"} 1`]);
  });

  test("names that somebody else has taken are all named, and nothing is changed", async () => {
    const registry = new Registry();
    const registers = [registry];
    new Counter({ name: "task_poll_total", help: "theirs", registers });
    new Counter({ name: "worker_slots", help: "theirs", registers });
    const attaching = attachMetrics(createSource(), registry);
    await expect(attaching).rejects.toThrow(ConfigurationError);
    await expect(attaching).rejects.toThrow(
      /named task_poll_total, worker_slots\. Give Ostinato a registry of its own/,
    );
    expect(registry.getMetricsAsArray().map(({ name }) => name)).toEqual(["task_poll_total", "worker_slots"]);
  });

  test("resetMetrics begins at 0 again, and series stay", async () => {
    const registry = new Registry();
    const source = createSource({ inFlight: 4 });
    await attachMetrics(source, registry);
    start(source);
    execute(source, 3_000);
    registry.resetMetrics();
    let text = await registry.metrics();
    expect(linesOf(text, STARTED)).toEqual([`${STARTED}{taskType="t"} 0`]);
    expect(linesOf(text, "task_execute_time_seconds")).toEqual([]);
    expect(text).toContain("worker_tasks_in_flight 4");
    start(source);
    execute(source, 1_000);
    text = await registry.metrics();
    expect(linesOf(text, STARTED)).toEqual([`${STARTED}{taskType="t"} 1`]);
    expect(text).toContain('task_execute_time_seconds_sum{taskType="t",status="SUCCESS"} 1\n');
  });

  test("a registry that was cleared gets everything again at the next start", async () => {
    const registry = new Registry();
    const source = createSource();
    (await attachMetrics(source, registry)).detach();
    registry.clear();
    await attachMetrics(source, registry);
    start(source);
    expect(await registry.metrics()).toContain(`${STARTED}{taskType="t"} 1`);
  });

  test("a merged registry shows ours beside others'", async () => {
    const [ours, theirs] = [new Registry(), new Registry()];
    const counter = new Counter({ name: "orders_total", help: "theirs", registers: [theirs] });
    const source = createSource();
    await attachMetrics(source, ours);
    counter.inc();
    start(source);
    const text = await Registry.merge([ours, theirs]).metrics();
    expect(text).toContain(`${STARTED}{taskType="t"} 1`);
    expect(text).toContain("orders_total 1");
  });

  test("processes are put together: counts and amounts by sum, ages by the largest, health by the worst", async () => {
    const processes = [1_000, 4_000].map(async (lastBeatAgoMs, index) => {
      const registry = new Registry();
      const source = createSource({
        runners: [runnerStatus({ lastBeatAgoMs, running: 2 })],
        serverReachable: index === 0,
        outboxFull: index === 0,
      });
      await attachMetrics(source, registry);
      start(source);
      execute(source, 7);
      // As it goes from a worker of the cluster to the primary.
      return JSON.parse(JSON.stringify(await registry.getMetricsAsJSON())) as object[];
    });
    const text = await AggregatorRegistry.aggregate(await Promise.all(processes)).metrics();
    for (const line of [
      `${STARTED}{taskType="t"} 2`,
      'task_execute_time_seconds_bucket{le="0.01",taskType="t",status="SUCCESS"} 2',
      'task_execute_time_seconds_sum{taskType="t",status="SUCCESS"} 0.014',
      'worker_loop_beat_age_seconds{taskType="t"} 4',
      'worker_slots{taskType="t",state="used"} 4',
      "worker_server_reachable 0",
      "worker_outbox_full 1",
    ]) {
      expect(text.split("\n")).toContain(line);
    }
  });

  test("OpenMetrics: a counter's family has no _total, and its samples have it once", async () => {
    const registry = new Registry<OpenMetricsContentType>();
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    const source = createSource();
    await attachMetrics(source, registry);
    start(source);
    const text = await registry.metrics();
    expect(text).toContain("# TYPE task_execution_started counter\n");
    expect(linesOf(text, STARTED)).toEqual([`${STARTED}{taskType="t"} 1`]);
    // What is missing is put back under its whole name.
    registry.clear();
    await attachMetrics(source, registry);
    expect(registry.getSingleMetric(STARTED)).toBeDefined();
  });
});
