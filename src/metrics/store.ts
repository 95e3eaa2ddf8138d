import { systemClock, type Clock } from "../base/clock.js";
import { ConfigurationError } from "../base/errors.js";
import type { GroupStatus } from "../status.js";
import { CATALOG, type ErrorName, namesOf, type GaugeName } from "./catalog.js";
import { CounterFamily, GaugeFamily, HistogramFamily, type Sample } from "./families.js";
import { readGauges, type GaugeReading } from "./gauges.js";
import { BoundedValues } from "./label-values.js";
import type { MetricsRegistry } from "./registry.js";
import { ErrorFamily, RequestSeries } from "./series.js";
import { createTaskSeries, type Families, type TaskSeries } from "./task-series.js";

/** Different workflows in the labels of a registry; the rest is `other`. */
const MAX_WORKFLOW_TYPES = 100;
/** Different versions of workflows in the labels of a registry; the rest is `other`. */
const MAX_WORKFLOW_VERSIONS = 100;

/** Something that has a state when somebody scrapes. */
export interface GaugeSource {
  status(): GroupStatus;
}

/**
 * The metrics of one registry: own numbers, which become prom-client's only when they are scraped. There is one store
 * for each registry, and handlers that share the registry share it.
 */
export class MetricsStore implements Families {
  readonly counters = byName(namesOf("counter"), (name) => new CounterFamily(name, CATALOG[name]));
  readonly histograms = byName(namesOf("histogram"), (name) => new HistogramFamily(name, CATALOG[name]));
  readonly errors: Readonly<Record<ErrorName, ErrorFamily>>;
  /** The workflows that clients start, and their versions, bounded for all clients together. */
  readonly workflowTypes = new BoundedValues(MAX_WORKFLOW_TYPES);
  readonly workflowVersions = new BoundedValues(MAX_WORKFLOW_VERSIONS);
  readonly requests = new RequestSeries(this.histograms.http_api_client_request_seconds);
  readonly #gauges = byName(
    namesOf("gauge"),
    (name) => new GaugeFamily(name, CATALOG[name], () => this.#snapshot()[name]),
  );
  readonly #tasks = new Map<string, TaskSeries>();
  /** The series that were looked up last: the same ones are asked for three times in a row with each task. */
  #lastTask: { readonly taskType: string; readonly series: TaskSeries } | undefined;
  readonly #sources = new Map<GaugeSource, { readonly clock: Pick<Clock, "now">; readonly since: number }>();
  #snapshotNow: Record<GaugeName, readonly Sample[]> | undefined;

  constructor() {
    const { counters } = this;
    this.errors = {
      task_poll_error_total: new ErrorFamily(counters.task_poll_error_total),
      task_execute_error_total: new ErrorFamily(counters.task_execute_error_total),
      task_update_error_total: new ErrorFamily(counters.task_update_error_total),
      task_ack_error_total: new ErrorFamily(counters.task_ack_error_total),
      thread_uncaught_exceptions_total: new ErrorFamily(counters.thread_uncaught_exceptions_total),
      workflow_start_error_total: new ErrorFamily(counters.workflow_start_error_total),
    };
  }

  /** The series of a task type. */
  task(taskType: string): TaskSeries {
    if (this.#lastTask?.taskType === taskType) return this.#lastTask.series;
    let series = this.#tasks.get(taskType);
    if (series === undefined) {
      series = createTaskSeries(this, taskType);
      this.#tasks.set(taskType, series);
    }
    this.#lastTask = { taskType, series };
    return series;
  }

  /** Gauges tell of this source as well, until the returned function is called. */
  watch(source: GaugeSource, clock: Pick<Clock, "now"> = systemClock): () => void {
    this.#sources.set(source, { clock, since: clock.now() });
    return () => {
      this.#sources.delete(source);
    };
  }

  /**
   * Puts what is missing into the registry. Throws `ConfigurationError`, having changed nothing, when a name is taken by
   * somebody else's metric.
   */
  registerIn(registry: MetricsRegistry): void {
    const all = Object.entries({ ...this.counters, ...this.histograms, ...this.#gauges });
    const taken = all.filter(
      ([name, family]) => ![undefined, family].includes(registry.getSingleMetric(name) as never),
    );
    if (taken.length > 0) {
      const names = taken.map(([name]) => name).join(", ");
      throw new ConfigurationError([
        `the registry already has metrics of somebody else named ${names}. Give Ostinato a registry of its own ` +
          `(option registry: new Registry() of prom-client), or none (registry: false)`,
      ]);
    }
    for (const [name, family] of all) {
      if (registry.getSingleMetric(name) !== undefined) continue;
      family.name = name;
      registry.registerMetric(family as never);
    }
  }

  /** A scrape asks for each gauge in the same turn: they are read together, so that they tell of one moment. */
  #snapshot(): Record<GaugeName, readonly Sample[]> {
    if (this.#snapshotNow === undefined) {
      this.#snapshotNow = readGauges(this.#readings());
      queueMicrotask(() => {
        this.#snapshotNow = undefined;
      });
    }
    return this.#snapshotNow;
  }

  #readings(): GaugeReading[] {
    const readings: GaugeReading[] = [];
    for (const [source, { clock, since }] of this.#sources) {
      try {
        readings.push({ status: source.status(), forMs: clock.now() - since });
      } catch {
        // One that cannot tell must not cost the scrape.
      }
    }
    return readings;
  }
}

function byName<K extends string, F>(names: readonly K[], make: (name: K) => F): Readonly<Record<K, F>> {
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<K, F>;
}

const stores = new WeakMap<MetricsRegistry, MetricsStore>();

/** The store of a registry, all of it registered. Throws `ConfigurationError` as {@link MetricsStore.registerIn}. */
export function storeOf(registry: MetricsRegistry): MetricsStore {
  const store = stores.get(registry) ?? new MetricsStore();
  store.registerIn(registry);
  stores.set(registry, store);
  return store;
}
