import { systemClock, type Clock } from "../base/clock.js";
import type { WorkerEmitter } from "../events/emitter.js";
import type { GroupStatus } from "../status.js";
import { listen } from "./listen.js";
import type { MetricsRegistry } from "./registry.js";
import { storeOf } from "./store.js";

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

/**
 * Counts what a handler does, and exposes it through the registry. Loads prom-client, for its default registry, if none
 * is given. Metrics that the registry has from another handler are shared. Rejects with `ConfigurationError` when the
 * registry has metrics of somebody else by the same names.
 */
export async function attachMetrics(
  source: MetricsSource,
  registry: MetricsRegistry | undefined,
  clock: Pick<Clock, "now"> = systemClock,
): Promise<Metrics> {
  const into = registry ?? (await import("prom-client")).register;
  const store = storeOf(into);
  // Known from the start, at 0: a rate begins with the first event, and an alert has something to compare with.
  for (const { taskType } of source.status().runners) store.task(taskType);
  const eventLoopDelay = store.histograms.worker_event_loop_delay_seconds.of();
  // Its own object, so that a source that is attached twice is told of twice.
  const unwatch = store.watch({ status: () => source.status() }, clock);
  const unlisten = listen(source.events, store);
  return {
    registry: into,
    eventLoopDelayed: (delayMs) => {
      eventLoopDelay.observe(delayMs / 1000);
    },
    detach: () => {
      unlisten();
      unwatch();
    },
  };
}
