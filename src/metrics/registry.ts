/**
 * What is needed of a prom-client `Registry`, of whatever copy or version from 14 on. `registerMetric` takes anything
 * with a `name` and a `get()`.
 */
export interface MetricsRegistry {
  /** The media type of what {@link metrics} gives. */
  readonly contentType: string;
  /** Adds a metric. prom-client throws when its name is taken. */
  registerMetric(metric: never): void;
  /** The metric of that name; undefined when there is none. */
  getSingleMetric(name: string): unknown;
  /** Takes a metric out; harmless when there is none of that name. */
  removeSingleMetric(name: string): void;
  /** The text that Prometheus scrapes. */
  metrics(): Promise<string>;
}

const METHODS = ["registerMetric", "getSingleMetric", "removeSingleMetric", "metrics"] as const;

export function isMetricsRegistry(value: unknown): value is MetricsRegistry {
  if (typeof value !== "object" || value === null) return false;
  return METHODS.every((method) => typeof Reflect.get(value, method) === "function");
}
