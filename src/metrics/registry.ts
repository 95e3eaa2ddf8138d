/**
 * What is needed of a prom-client `Registry`, of whatever copy or version from 14 on. `registerMetric` takes anything
 * with a `name` and a `get()`.
 */
export interface MetricsRegistry {
  readonly contentType: string;
  registerMetric(metric: never): void;
  getSingleMetric(name: string): unknown;
  removeSingleMetric(name: string): void;
  /** The text that Prometheus scrapes. */
  metrics(): Promise<string>;
}

const METHODS = ["registerMetric", "getSingleMetric", "removeSingleMetric", "metrics"] as const;

export function isMetricsRegistry(value: unknown): value is MetricsRegistry {
  if (typeof value !== "object" || value === null) return false;
  return METHODS.every((method) => typeof Reflect.get(value, method) === "function");
}
