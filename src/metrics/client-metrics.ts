import type { ClientSink } from "../conductor/client-sink.js";
import type { MetricsRegistry } from "./registry.js";
import type { ErrorSeries } from "./series.js";
import { storeOf } from "./store.js";

/** Counts what a client does, into the registry. Throws `ConfigurationError` when its names are taken there. */
export function createClientMetrics(registry: MetricsRegistry): ClientSink {
  const { errors, histograms, requests, workflowTypes, workflowVersions } = storeOf(registry);
  const startErrors = new Map<string, ErrorSeries>();
  return {
    requestEnded: (method, pathTemplate, status, durationMs) => {
      requests.observe(method, pathTemplate, status, durationMs);
    },
    workflowStarting: (workflowType, version, inputBytes) => {
      const versionLabel = version === undefined ? "" : workflowVersions.of(String(version));
      histograms.workflow_input_size_bytes.of(workflowTypes.of(workflowType), versionLabel).observe(inputBytes);
    },
    workflowStartFailed: (workflowType, error) => {
      const label = workflowTypes.of(workflowType);
      const series = startErrors.get(label) ?? errors.workflow_start_error_total.of(label);
      startErrors.set(label, series);
      series.count(error);
    },
  };
}
