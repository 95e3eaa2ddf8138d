import { Counter, Gauge, Histogram, Registry, Summary } from "prom-client";
import { describe, expect, test } from "vitest";
import type { MetricJson } from "../../../../src/supervisor/messages.js";
import { MergedMetrics } from "../../../../src/supervisor/primary/merged-metrics.js";

const counter = (value: number, labels: Record<string, string> = {}): MetricJson => ({
  name: "done_total",
  help: "Done",
  type: "counter",
  values: [{ labels, value }],
});
const gauge = (value: number): MetricJson => ({ name: "busy", help: "Busy", type: "gauge", values: [{ value }] });
const live = (...places: number[]) => new Set(places);
const samples = (text: string) => text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));

describe("the merged metrics of the supervisor", () => {
  test("each process has its own series", () => {
    const merged = new MergedMetrics();
    merged.collect(0, [counter(2, { type: "a" }), gauge(1)]);
    merged.collect(1, [counter(3, { type: "a" }), gauge(0)]);
    expect(samples(merged.render(live(0, 1), []))).toEqual([
      'done_total{type="a",process="0"} 2',
      'done_total{type="a",process="1"} 3',
      'busy{process="0"} 1',
      'busy{process="1"} 0',
    ]);
  });

  test("a counter goes on over restarts where it was, and never falls", () => {
    const merged = new MergedMetrics();
    const seen: string[] = [];
    const scrape = () => seen.push(...samples(merged.render(live(0), [])));
    merged.collect(0, [counter(100)]);
    scrape();
    merged.ended(0);
    scrape();
    merged.collect(0, [counter(1)]);
    scrape();
    merged.collect(0, [counter(7)]);
    merged.ended(0);
    merged.ended(0);
    merged.collect(0, []);
    scrape();
    merged.collect(0, [counter(5)]);
    scrape();
    expect(seen.map((line) => Number(line.split(" ")[1]))).toEqual([100, 100, 101, 107, 112]);
  });

  test("a counter that an answer leaves out stays where it was, a gauge goes", () => {
    const merged = new MergedMetrics();
    merged.collect(0, [counter(100), gauge(1)]);
    merged.ended(0);
    merged.collect(0, [counter(5), gauge(1)]);
    merged.collect(0, []);
    expect(samples(merged.render(live(0), []))).toEqual(['done_total{process="0"} 105']);
    merged.ended(0);
    expect(samples(merged.render(live(), []))).toEqual(['done_total{process="0"} 105']);
  });

  test("of a process that does not answer, the counters stay and the gauges go", () => {
    const merged = new MergedMetrics();
    merged.collect(0, [counter(2), gauge(4)]);
    merged.collect(1, [counter(3), gauge(5)]);
    expect(samples(merged.render(live(1), []))).toEqual([
      'done_total{process="0"} 2',
      'done_total{process="1"} 3',
      'busy{process="1"} 5',
    ]);
  });

  test("series that only the dead had are kept, and gauges have no base", () => {
    const merged = new MergedMetrics();
    merged.collect(0, [counter(2, { type: "a" }), gauge(9)]);
    merged.ended(0);
    merged.collect(0, [counter(3, { type: "b" }), gauge(1)]);
    expect(samples(merged.render(live(0), []))).toEqual([
      'done_total{type="a",process="0"} 2',
      'done_total{type="b",process="0"} 3',
      'busy{process="0"} 1',
    ]);
  });

  test("what prom-client has comes out as prom-client would write it, but for the label", async () => {
    const registry = new Registry();
    const registers = [registry];
    new Counter({ name: "c_total", help: 'C "quoted" \\ and\nnewline', labelNames: ["l"], registers }).inc({
      l: 'a"\\\n',
    });
    new Gauge({ name: "g", help: "G", registers }).set(-Infinity);
    const histogram = new Histogram({ name: "h", help: "H", labelNames: ["l"], buckets: [0.1, 1], registers });
    histogram.observe({ l: "x" }, 0.5);
    histogram.observe({ l: "x" }, 5);
    const summary = new Summary({ name: "s", help: "S", percentiles: [0.5], registers });
    summary.observe(3);
    const merged = new MergedMetrics();
    const overTheChannel = JSON.parse(JSON.stringify(await registry.getMetricsAsJSON())) as MetricJson[];
    merged.collect(0, overTheChannel);
    const expected = (await registry.metrics()).replace("g -Inf", "g NaN");
    const withoutLabel = merged
      .render(live(0), [])
      .replace(/,?process="0"/g, "")
      .replace(/\{\}/g, "");
    const sorted = (text: string) =>
      text
        .split("\n")
        .filter((line) => line !== "")
        .sort();
    expect(sorted(withoutLabel)).toEqual(sorted(expected));
  });

  test("counts of histograms and summaries go on, quantiles do not", () => {
    const merged = new MergedMetrics();
    const summary: MetricJson = {
      name: "s",
      help: "S",
      type: "summary",
      values: [
        { labels: { quantile: 0.5 }, value: 3 },
        { metricName: "s_sum", value: 3 },
        { metricName: "s_count", value: 1 },
      ],
    };
    merged.collect(0, [summary]);
    merged.ended(0);
    merged.collect(0, [summary]);
    expect(samples(merged.render(live(0), [])).sort()).toEqual([
      's_count{process="0"} 2',
      's_sum{process="0"} 6',
      's{quantile="0.5",process="0"} 3',
    ]);
  });

  test("a histogram that has other buckets after a restart begins anew", async () => {
    const histogram = async (buckets: number[], values: number[]) => {
      const registry = new Registry();
      const made = new Histogram({ name: "d", help: "d", buckets, registers: [registry] });
      for (const value of values) made.observe(value);
      return (await registry.getMetricsAsJSON()) as unknown as MetricJson[];
    };
    const merged = new MergedMetrics();
    merged.collect(0, await histogram([1, 5], [2, 2]));
    merged.ended(0);
    merged.collect(0, await histogram([1, 5], [2]));
    expect(samples(merged.render(live(0), []))).toContain('d_bucket{le="5",process="0"} 3');
    merged.ended(0);
    merged.collect(0, await histogram([3], [2]));
    const begunAnew = ['d_bucket{le="3",process="0"} 1', 'd_bucket{le="+Inf",process="0"} 1', 'd_sum{process="0"} 2'];
    expect(samples(merged.render(live(0), []))).toEqual([...begunAnew, 'd_count{process="0"} 1']);
  });

  test("metrics of the supervisor itself carry no process label", () => {
    const own = {
      name: "worker_restart_total",
      help: "R",
      type: "counter",
      values: [{ labels: { reason: "a" }, value: 1 }],
    };
    expect(new MergedMetrics().render(live(), [own])).toBe(
      '# HELP worker_restart_total R\n# TYPE worker_restart_total counter\nworker_restart_total{reason="a"} 1\n',
    );
  });

  test("a label of the user's by the name of ours is kept under another", () => {
    const merged = new MergedMetrics();
    const { values: one, ...metric } = counter(1, { process: "import" });
    merged.collect(0, [{ ...metric, values: [...one, ...counter(2, { process: "export" }).values] }]);
    expect(samples(merged.render(live(0), []))).toEqual([
      'done_total{exported_process="import",process="0"} 1',
      'done_total{exported_process="export",process="0"} 2',
    ]);
  });
});
