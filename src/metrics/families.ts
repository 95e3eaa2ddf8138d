import type { MetricSpec } from "./catalog.js";

export type Labels = Readonly<Record<string, string>>;

/** One line of what is scraped. */
export interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  /** The line's own name, where it is not the metric's. */
  readonly metricName?: string;
}

/** What prom-client, of any version, wants of a metric that is scraped. */
export interface Exposed {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: Sample[];
  readonly aggregator: string;
}

/** Numbers side by side, and more room when they need it. */
class Cells {
  numbers = new Float64Array(16);

  reserve(length: number): void {
    if (length <= this.numbers.length) return;
    const larger = new Float64Array(Math.max(length, this.numbers.length * 2));
    larger.set(this.numbers);
    this.numbers = larger;
  }

  add(at: number, amount: number): void {
    const { numbers } = this;
    numbers[at] = (numbers[at] ?? 0) + amount;
  }

  at(index: number): number {
    return this.numbers[index] ?? 0;
  }
}

/** One series of a counter. */
export class Counter {
  readonly #cells: Cells;
  readonly #at: number;

  constructor(cells: Cells, at: number) {
    this.#cells = cells;
    this.#at = at;
  }

  inc(): void {
    this.#cells.add(this.#at, 1);
  }
}

/** One series of a histogram. Its cells: a count for each bucket, the one above the last bound, and the sum. */
export class Histogram {
  readonly #cells: Cells;
  readonly #at: number;
  readonly #bounds: Float64Array;

  constructor(cells: Cells, at: number, bounds: Float64Array) {
    this.#cells = cells;
    this.#at = at;
    this.#bounds = bounds;
  }

  /** What is no number, infinite or below zero counts as 0: one such value would spoil the sum for ever. */
  observe(value: number): void {
    const seen = value > 0 && value !== Infinity ? value : 0;
    const bounds = this.#bounds;
    const { length } = bounds;
    let bucket = 0;
    while (bucket < length && seen > (bounds[bucket] ?? 0)) bucket += 1;
    this.#cells.add(this.#at + bucket, 1);
    this.#cells.add(this.#at + length + 1, seen);
  }
}

/** What a registry is given: `name` and `get()` are prom-client's, and may be called by any of its versions. */
abstract class Family<Series> {
  /** A registry takes the `_total` off it while it speaks OpenMetrics, and counts on getting it back from `get()`. */
  name: string;
  readonly help: string;
  readonly type: MetricSpec["type"];
  readonly aggregator: string;
  protected readonly cells = new Cells();
  protected readonly labels: Labels[] = [];
  readonly #labelNames: readonly string[];
  readonly #known = new Map<string, Series>();

  constructor(name: string, spec: MetricSpec) {
    this.name = name;
    this.help = spec.help;
    this.type = spec.type;
    this.aggregator = spec.aggregator ?? "sum";
    this.#labelNames = Object.keys(spec.labels);
  }

  /** The series with these values, in the order of the label names; made when it is new. Look it up once and keep it. */
  of(...values: readonly string[]): Series {
    const key = JSON.stringify(values);
    let series = this.#known.get(key);
    if (series === undefined) {
      series = this.make(this.labels.length);
      this.labels.push(Object.freeze(Object.fromEntries(this.#labelNames.map((name, i) => [name, values[i] ?? ""]))));
      this.#known.set(key, series);
    }
    return series;
  }

  get(): Exposed {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: this.samples() };
  }

  reset(): void {
    this.cells.numbers.fill(0);
  }

  protected abstract make(index: number): Series;
  protected abstract samples(): Sample[];
}

/** A counter with all its series; each is exposed from the moment it is known, at 0. */
export class CounterFamily extends Family<Counter> {
  protected override make(index: number): Counter {
    this.cells.reserve(index + 1);
    return new Counter(this.cells, index);
  }

  protected override samples(): Sample[] {
    return this.labels.map((labels, index) => ({ labels, value: this.cells.at(index) }));
  }
}

/** A histogram with all its series; one with labels is exposed from its first value on, for it is many lines. */
export class HistogramFamily extends Family<Histogram> {
  readonly #bounds: Float64Array;
  readonly #width: number;

  constructor(name: string, spec: MetricSpec) {
    super(name, spec);
    this.#bounds = new Float64Array(spec.buckets ?? []);
    this.#width = this.#bounds.length + 2;
  }

  protected override make(index: number): Histogram {
    this.cells.reserve((index + 1) * this.#width);
    return new Histogram(this.cells, index * this.#width, this.#bounds);
  }

  protected override samples(): Sample[] {
    const { name } = this;
    const samples: Sample[] = [];
    for (const [index, labels] of this.labels.entries()) {
      const at = index * this.#width;
      const buckets: Sample[] = [];
      let count = 0;
      for (const [i, le] of [...this.#bounds, "+Inf"].entries()) {
        count += this.cells.at(at + i);
        buckets.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: count });
      }
      if (count === 0 && Object.keys(labels).length > 0) continue;
      const sum = this.cells.at(at + this.#width - 1);
      samples.push(
        ...buckets,
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: count },
      );
    }
    return samples;
  }
}

/** A gauge: it keeps nothing, and is read when it is scraped. */
export class GaugeFamily {
  name: string;
  readonly help: string;
  readonly type = "gauge";
  readonly aggregator: string;
  readonly #read: () => readonly Sample[];

  constructor(name: string, spec: MetricSpec, read: () => readonly Sample[]) {
    this.name = name;
    this.help = spec.help;
    this.aggregator = spec.aggregator ?? "sum";
    this.#read = read;
  }

  get(): Exposed {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: [...this.#read()] };
  }

  /** It says what is the case: there is nothing to reset. */
  reset(): void {}
}
