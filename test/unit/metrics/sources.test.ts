import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { namesOf } from "../../../src/metrics/catalog.js";
import { attachMetrics } from "../../../src/metrics/metrics.js";
import { FakeClock } from "../../support/time/fake-clock.js";
import { createSource, IDS, linesOf, runnerStatus } from "../../support/unit/metrics.js";

describe("the metrics of several handlers", () => {
  test("gauges add up amounts of several handlers, take the largest age, and go with the last of them", async () => {
    const registry = new Registry();
    const busy = createSource({
      inFlight: 3,
      resultsWaiting: 1,
      abandoned: 1,
      runners: [runnerStatus({ running: 3, concurrency: 4, lastBeatAgoMs: 100, lastPollAgoMs: 9_000 })],
    });
    const stuck = createSource({
      inFlight: 2,
      resultsWaiting: 5,
      abandoned: 2,
      outboxFull: true,
      serverReachable: false,
      runners: [
        runnerStatus({ running: 2, concurrency: 10, lastBeatAgoMs: 7_000, lastPollAgoMs: 1_000 }),
        runnerStatus({ taskType: "u", pollsFailing: { forMs: 60_000, error: "refused" } }),
      ],
    });
    const first = await attachMetrics(busy, registry);
    const second = await attachMetrics(stuck, registry);
    const both = (await registry.metrics()).split("\n");
    for (const line of [
      'active_workers{taskType="t"} 5',
      'worker_slots{taskType="t",state="used"} 5',
      'worker_slots{taskType="t",state="free"} 9',
      'worker_loop_beat_age_seconds{taskType="t"} 7',
      'worker_last_poll_age_seconds{taskType="t"} 9',
      'worker_polls_failing_seconds{taskType="t"} 0',
      'worker_polls_failing_seconds{taskType="u"} 60',
      "worker_tasks_in_flight 5",
      "worker_results_waiting 6",
      "worker_abandoned_tasks 3",
      "worker_outbox_full 1",
      "worker_server_reachable 0",
    ]) {
      expect(both).toContain(line);
    }

    second.detach();
    const one = await registry.metrics();
    expect(one).toContain('active_workers{taskType="t"} 3');
    expect(one).toContain("worker_outbox_full 0");
    expect(one).toContain("worker_server_reachable 1");
    expect(one).not.toContain('taskType="u"} 60');

    first.detach();
    const none = await registry.metrics();
    for (const name of namesOf("gauge")) expect(linesOf(none, name), name).toEqual([]);
    expect(none).toContain('task_poll_total{taskType="t"} 0');
  });

  test("two domains of one task type are one series", async () => {
    const registry = new Registry();
    const runners = ["eu", "us"].map((domain, i) => runnerStatus({ domain, running: 1, concurrency: 2 + i }));
    await attachMetrics(createSource({ runners }), registry);
    const text = await registry.metrics();
    expect(linesOf(text, "worker_slots")).toEqual([
      'worker_slots{taskType="t",state="used"} 2',
      'worker_slots{taskType="t",state="free"} 3',
    ]);
  });

  test("before the first poll succeeds, its age runs from the start", async () => {
    const registry = new Registry();
    const clock = new FakeClock();
    const source = createSource();
    await attachMetrics(source, registry, clock);
    await clock.advanceAsync(12_000);
    expect(await registry.metrics()).toContain('worker_last_poll_age_seconds{taskType="t"} 12\n');
  });

  test("concurrency that was lowered below what runs leaves no negative number of slots", async () => {
    const registry = new Registry();
    await attachMetrics(createSource({ runners: [runnerStatus({ running: 5, concurrency: 2 })] }), registry);
    expect(await registry.metrics()).toContain('worker_slots{taskType="t",state="free"} 0\n');
  });

  test("a scrape reads the state once, and the next one reads it again", async () => {
    const registry = new Registry();
    const source = createSource();
    let reads = 0;
    const metrics = await attachMetrics({ events: source.events, status: () => (reads++, source.now) }, registry);
    reads = 0;
    await registry.metrics();
    expect(reads).toBe(1);
    source.now = { ...source.now, inFlight: 9 };
    expect(await registry.metrics()).toContain("worker_tasks_in_flight 9");
    metrics.detach();
  });

  test("a state that cannot be read costs its gauges and not the scrape", async () => {
    const registry = new Registry();
    const source = createSource();
    let isBroken = false;
    const status = () => {
      if (isBroken) throw new Error("no state");
      return source.now;
    };
    await attachMetrics({ events: source.events, status }, registry);
    isBroken = true;
    source.events.topics.taskStarted.emit({ ...IDS, queueWaitMs: 0 });
    const text = await registry.metrics();
    expect(text).toContain('task_execution_started_total{taskType="t"} 1');
    expect(linesOf(text, "worker_tasks_in_flight")).toEqual([]);
  });

  test("default labels of the registry do not stay in what is kept", async () => {
    const registry = new Registry();
    await attachMetrics(createSource(), registry);
    registry.setDefaultLabels({ pod: "p-1" });
    await registry.getMetricsAsJSON();
    registry.setDefaultLabels({});
    expect(await registry.metrics()).not.toContain("p-1");
  });
});
