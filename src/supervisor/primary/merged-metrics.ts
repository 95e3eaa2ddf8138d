import type { MetricJson, SampleJson } from "../messages.js";

interface NamedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** Samples by family and by name with labels. */
type Samples = Map<string, Map<string, NamedSample>>;

interface MergedFamily {
  readonly help: string;
  readonly type: string;
}

/** The label by which the series of the processes are told apart: 0 to N−1, kept over a restart. */
const PROCESS_LABEL = "process";
/** Of all processes together: names are kept for as long as the supervisor runs. */
export const MAX_FAMILIES = 10_000;

/**
 * The metrics of all children as one. A counter (and what a histogram or summary counts) goes on where the process that
 * died left it, so that no rate is negative. Of a process that does not answer, the counters are shown as they were
 * last; its gauges are not shown.
 */
export class MergedMetrics {
  readonly #families = new Map<string, MergedFamily>();
  /** What the processes that are gone have counted, by place. */
  readonly #base = new Map<number, Samples>();
  /** The last answer of the process that is there, by place. */
  readonly #last = new Map<number, Samples>();

  /** What the process in `place` has answered. False: there were too many names already, and new ones were left out. */
  collect(place: number, metrics: readonly MetricJson[]): boolean {
    // What it counted and could not tell this time (a metric of the user's that throws) is not gone.
    const samples: Samples = new Map(this.#counted(place));
    let tookAll = true;
    for (const { name, help, type, values } of metrics) {
      if (this.#families.size >= MAX_FAMILIES && !this.#families.has(name)) {
        tookAll = false;
        continue;
      }
      this.#families.set(name, { help, type });
      samples.set(name, new Map(values.map((value) => entryOf(name, value))));
    }
    this.#last.set(place, samples);
    return tookAll;
  }

  #counted(place: number): [string, Map<string, NamedSample>][] {
    return [...(this.#last.get(place) ?? [])].map(([name, samples]) => {
      const type = this.#families.get(name)?.type ?? "";
      return [name, new Map([...samples].filter(([, sample]) => isCounted(type, sample)))];
    });
  }

  /** The process in `place` is gone: what it counted is the base of the next one. */
  ended(place: number): void {
    const last = this.#last.get(place);
    if (last === undefined) return;
    this.#last.delete(place);
    this.#base.set(place, this.#sum(this.#base.get(place), last));
  }

  /**
   * The text that Prometheus reads.
   *
   * @param live the places whose process has answered this time.
   * @param own metrics that are of no child; shown as they are.
   */
  render(live: ReadonlySet<number>, own: readonly MetricJson[]): string {
    const places = [...new Set([...this.#base.keys(), ...this.#last.keys()])].sort((a, b) => a - b);
    const shown = places.map((place) => {
      const base = this.#base.get(place);
      const last = this.#last.get(place);
      return { place, samples: last === undefined ? (base ?? new Map<string, never>()) : this.#sum(base, last) };
    });
    const lines: string[] = [];
    for (const [name, family] of this.#families) {
      const ofFamily: string[] = [];
      for (const { place, samples } of shown) {
        const isLive = live.has(place);
        const withPlace = { place, gauges: isLive ? this.#last.get(place)?.get(name) : undefined };
        ofFamily.push(...familyLines(family, samples.get(name), withPlace));
      }
      if (ofFamily.length > 0) lines.push(...head(name, family), ...ofFamily);
    }
    for (const { name, help, type, values } of own) {
      const samples = values.map((value) => line(entryOf(name, value)[1]));
      lines.push(...head(name, { help, type }), ...samples);
    }
    return `${lines.join("\n")}\n`;
  }

  #sum(base: Samples | undefined, last: Samples): Samples {
    const sum: Samples = new Map(base);
    for (const [name, samples] of last) {
      const type = this.#families.get(name)?.type ?? "";
      const isComparable = type !== "histogram" || haveSameBuckets(base?.get(name), samples);
      const before = isComparable ? base?.get(name) : undefined;
      const merged = new Map(before);
      for (const [key, sample] of samples) {
        if (!isCounted(type, sample)) continue;
        merged.set(key, { ...sample, value: sample.value + (before?.get(key)?.value ?? 0) });
      }
      sum.set(name, merged);
    }
    return sum;
  }
}

/** Only grows while a process lives. */
function isCounted(type: string, sample: NamedSample): boolean {
  return type === "counter" || type === "histogram" || (type === "summary" && sample.labels.quantile === undefined);
}

/**
 * A new version of the script may count in others: together they would be no histogram. Then it begins anew, as after any
 * restart.
 */
function haveSameBuckets(before: Map<string, NamedSample> | undefined, now: Map<string, NamedSample>): boolean {
  const [a, b] = [before ?? new Map<string, never>(), now].map((samples) => {
    const bounds = new Set([...samples.values()].map(({ labels }) => String(labels.le ?? "")));
    bounds.delete("");
    return bounds;
  });
  return !a?.size || !b?.size || (a.size === b.size && [...a].every((bound) => b.has(bound)));
}

function familyLines(
  { type }: MergedFamily,
  counted: Map<string, NamedSample> | undefined,
  { place, gauges }: { place: number; gauges: Map<string, NamedSample> | undefined },
): string[] {
  const now = [...(gauges?.values() ?? [])].filter((sample) => !isCounted(type, sample));
  return [...(counted?.values() ?? []), ...now].map((sample) =>
    line({ ...sample, labels: { ...withoutOurs(sample.labels), [PROCESS_LABEL]: place } }),
  );
}

/** A label of the user's by our name is shown as Prometheus would: two series of theirs must not become one. */
function withoutOurs({ [PROCESS_LABEL]: theirs, ...labels }: NamedSample["labels"]): NamedSample["labels"] {
  return theirs === undefined ? labels : { ...labels, [`exported_${PROCESS_LABEL}`]: theirs };
}

function entryOf(family: string, { metricName = family, labels = {}, value }: SampleJson): [string, NamedSample] {
  const key = JSON.stringify([metricName, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]);
  // JSON has no NaN: it arrives as null.
  return [key, { name: metricName, labels, value: typeof value === "number" ? value : Number.NaN }];
}

const head = (name: string, { help, type }: MergedFamily): string[] => [
  `# HELP ${name} ${help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")}`,
  `# TYPE ${name} ${type}`,
];

function line({ name, labels, value }: NamedSample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escape(String(text))}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${number(value)}`;
}

const escape = (text: string): string => text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/"/g, '\\"');

function number(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
