import {
  createConductorClient as createUncountedClient,
  type ConductorClient,
  type ConductorClientOptions as UncountedClientOptions,
} from "./client/conductor-client.js";
import { ConfigurationError } from "./base/errors.js";
import { createClientMetrics } from "./metrics/client-metrics.js";
import { isMetricsRegistry, type MetricsRegistry } from "./metrics/registry.js";

export interface ConductorClientOptions extends UncountedClientOptions {
  /**
   * The prom-client registry that the client's requests and its starts of workflows are counted in; it may be the one of
   * a `TaskHandler`. Default: nothing is counted.
   */
  registry?: MetricsRegistry;
}

/** Makes a client with connections of its own. Throws `ConfigurationError` when an option is wrong. */
export function createConductorClient(options: ConductorClientOptions = {}): ConductorClient {
  if (typeof (options as unknown) !== "object" || (options as unknown) === null) return createUncountedClient(options);
  const { registry, ...others } = options;
  if (registry === undefined) return createUncountedClient(others);
  if (!isMetricsRegistry(registry)) throw new ConfigurationError(["option registry must be a prom-client Registry"]);
  return createUncountedClient(others, createClientMetrics(registry));
}
