import type { MetricsRegistry } from "../../metrics/registry.js";
import type { MetricJson } from "../messages.js";

/** What a single metric may take to be read, in ms: less than the primary waits for all, and than the last ones may take. */
const METRIC_MS = 400;

/**
 * Empty where there is no registry. A metric that throws or does not come is left out: the others' are worth having.
 */
export async function metricsOf(registry: MetricsRegistry | undefined): Promise<readonly MetricJson[]> {
  const all = call(registry, "getMetricsAsArray");
  if (registry === undefined || !Array.isArray(all)) return [];
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<object>((resolve) => {
    timer = setTimeout(resolve, METRIC_MS, {});
  });
  const bounded = all.map((metric: { get(): unknown }) => ({
    get: async () => {
      try {
        return await Promise.race([metric.get(), late]);
      } catch {
        return {};
      }
    },
  }));
  // The registry itself, with its default labels, but for where it finds its metrics.
  const view: unknown = Object.create(registry, { getMetricsAsArray: { value: () => bounded } });
  try {
    const metrics: unknown = await call(view as object, "getMetricsAsJSON");
    return Array.isArray(metrics) ? metrics.filter(isMetric) : [];
  } catch {
    return [];
  } finally {
    clearTimeout(timer);
  }
}

function call(on: object | undefined, method: string): unknown {
  const found: unknown = on === undefined ? undefined : Reflect.get(on, method);
  return typeof found === "function" ? Reflect.apply(found, on, []) : undefined;
}

function isMetric(metric: unknown): metric is MetricJson {
  return typeof metric === "object" && metric !== null && Array.isArray((metric as Partial<MetricJson>).values);
}
