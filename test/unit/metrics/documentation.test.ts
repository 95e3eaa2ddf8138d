import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { WORKER_EVENT_NAMES } from "../../../src/events/emitter.js";
import type { WorkerEventName } from "../../../src/events/events.js";
import { CATALOG, type MetricSpec } from "../../../src/metrics/catalog.js";
import { listen } from "../../../src/metrics/listen.js";
import { MetricsStore } from "../../../src/metrics/store.js";
import { SUPERVISOR_CATALOG } from "../../../src/supervisor/primary/own-metrics.js";

const page = readFileSync(new URL("../../../docs/metrics.md", import.meta.url), "utf8");
const specs = Object.entries<MetricSpec>({ ...CATALOG, ...SUPERVISOR_CATALOG });

const labelsInWords = (labels: MetricSpec["labels"]): string => {
  const words = Object.entries(labels).map(([name, values]) => {
    const list = values?.map((value) => `\`${value}\``).join(", ");
    return list === undefined ? `\`${name}\`` : `\`${name}\` (${list})`;
  });
  return words.length === 0 ? "none" : words.join(", ");
};

describe("the documentation of metrics", () => {
  test("the table in docs/metrics.md is what the source says, in its order", () => {
    const rows = page
      .split("\n")
      .filter((line) => /^\| `\w+` +\|/.test(line))
      .map((line) =>
        line
          .split("|")
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
    const expected = specs.map(([name, { type, labels, help, origin }]) => [
      `\`${name}\``,
      type,
      labelsInWords(labels),
      help,
      origin,
    ]);
    expect(rows).toEqual(expected);
  });

  test("docs/metrics.md names no metric that there is not", () => {
    const named = page.match(/\b(task|worker|http|workflow|thread|external|active)_[a-z_]+\b/g) ?? [];
    const known = specs.flatMap(([name]) => [name, `${name}_bucket`]);
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
  });

  test("every event is counted", () => {
    const heard: WorkerEventName[] = [];
    const events = { on: (name: WorkerEventName) => (heard.push(name), () => {}) };
    listen(events, new MetricsStore());
    expect(heard.toSorted()).toEqual(WORKER_EVENT_NAMES.toSorted());
  });

  /** The rules of `promtool check metrics`, but for camelCase labels: those are canonical. */
  describe("a metric's name and help are as Prometheus wants them", () => {
    test.each(specs)("%s", (name, { type, help, labels, buckets }) => {
      expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
      expect(name.endsWith("_total")).toBe(type === "counter");
      expect(name).not.toMatch(/_(counter|gauge|histogram|summary|info|bucket|count|sum)(_|$)/);
      expect(name).not.toMatch(/(milliseconds|_ms|minutes|hours|kilobytes|megabytes|percent)/);
      if (type === "histogram") expect(name).toMatch(/_(seconds|bytes)$/);
      expect(help).toMatch(/^[A-Z0-9][^|\n]+[^.]$/);
      for (const label of Object.keys(labels)) {
        expect(label).toMatch(/^[a-zA-Z][a-zA-Z0-9]*$/);
        expect(["le", "quantile"]).not.toContain(label);
      }
      expect(buckets !== undefined).toBe(type === "histogram");
      expect(buckets?.toSorted((a, b) => a - b)).toEqual(buckets);
    });
  });
});
