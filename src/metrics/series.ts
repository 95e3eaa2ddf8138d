import type { Counter, CounterFamily, Histogram, HistogramFamily } from "./families.js";
import { BoundedValues, exceptionName, sanitised } from "./label-values.js";

/** Different values of `exception` in one metric; the rest is `other`. */
export const MAX_EXCEPTIONS = 50;

/** The exceptions of one metric: all subjects (task types, …) share one bound. */
export class ErrorFamily {
  readonly #family: CounterFamily;
  readonly #bound = new BoundedValues(MAX_EXCEPTIONS);

  constructor(family: CounterFamily) {
    this.#family = family;
  }

  /** The errors of one subject, named by the labels that stand before `exception`. */
  of(...subject: readonly string[]): ErrorSeries {
    return new ErrorSeries(this.#bound, (label) => this.#family.of(...subject, label));
  }
}

/** Counts errors by what they are called. */
export class ErrorSeries {
  readonly #bound: BoundedValues;
  readonly #make: (label: string) => Counter;
  readonly #known = new Map<string, Counter>();

  constructor(bound: BoundedValues, make: (label: string) => Counter) {
    this.#bound = bound;
    this.#make = make;
  }

  count(error: unknown): void {
    this.countName(exceptionName(error));
  }

  countName(name: string): void {
    (this.#known.get(name) ?? this.#add(name)).inc();
  }

  /** Remembers labels and not names: of the names that become another label, or `other`, there may be any number. */
  #add(name: string): Counter {
    const label = this.#bound.of(sanitised(name));
    const counter = this.#make(label);
    if (label === name) this.#known.set(name, counter);
    return counter;
  }
}

/** Series by a request's method, path template and status, found without putting a key together. */
export class RequestSeries {
  readonly #family: HistogramFamily;
  readonly #known = new Map<string, Map<string, Map<number, Histogram>>>();
  /** The series that were observed last: under load nearly all requests are of one kind. */
  #last:
    | { readonly method: string; readonly pathTemplate: string; readonly status: number; readonly of: Histogram }
    | undefined;

  constructor(family: HistogramFamily) {
    this.#family = family;
  }

  observe(method: string, pathTemplate: string, status: number, durationMs: number): void {
    let last = this.#last;
    if (last?.pathTemplate !== pathTemplate || last.status !== status || last.method !== method) {
      const known = this.#known.get(pathTemplate)?.get(method)?.get(status);
      last = { method, pathTemplate, status, of: known ?? this.#add(method, pathTemplate, status) };
      this.#last = last;
    }
    last.of.observe(durationMs / 1000);
  }

  #add(method: string, pathTemplate: string, status: number): Histogram {
    const byMethod = this.#known.get(pathTemplate) ?? new Map<string, Map<number, Histogram>>();
    this.#known.set(pathTemplate, byMethod);
    const byStatus = byMethod.get(method) ?? new Map<number, Histogram>();
    byMethod.set(method, byStatus);
    const series = this.#family.of(method, pathTemplate, String(status));
    byStatus.set(status, series);
    return series;
  }
}
