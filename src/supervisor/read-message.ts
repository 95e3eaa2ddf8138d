import { LOOP_PHASES, type LoopPhase } from "../liveness/board.js";
import type { EndedHandOut } from "../runner/ended-hand-outs.js";
import type { InFlightState } from "../runner/in-flight.js";
import type { PollerIdentity } from "../runner/poller-identity.js";
import type { HeldTask, Predecessor } from "../runner/recovery/held-task.js";
import type { RunnerStatus, TaskHandlerStatus } from "../status.js";
import { MAX_NAMED_TASKS, type MetricJson, type Order, type Report, type SampleJson } from "./messages.js";

/** A message that was checked. `problem`: what is wrong with it, in words; then it is left out, wholly or in part. */
export interface ReadMessage<T> {
  readonly message: T | undefined;
  readonly problem: string | undefined;
}

/** Longer than any name or error text that a process of ours tells, in characters. */
const MAX_TEXT = 10_000;
/** More than a process has of them: workers, metrics, series of one metric. */
const MAX_WORKERS = 10_000;
const MAX_METRICS = 5_000;
const MAX_SAMPLES = 100_000;
/** Tasks of a process that died: what its last beat named, and its stall report. */
const MAX_LEFT_TASKS = 2 * MAX_NAMED_TASKS;

/** A value that was checked, or a `TypeError` that says what `what` is not. */
type Reader<T> = (value: unknown, what: string) => T;

const text: Reader<string> = (value, what) =>
  typeof value === "string" && value.length <= MAX_TEXT ? value : wrong(what, `a text of up to ${MAX_TEXT} characters`);

const textLike =
  (pattern: RegExp): Reader<string> =>
  (value, what) =>
    pattern.test(text(value, what)) ? (value as string) : wrong(what, `a text like ${String(pattern)}`);

/** A number of things, or of milliseconds. */
const amount: Reader<number> = (value, what) =>
  typeof value === "number" && value >= 0 && value < Infinity ? value : wrong(what, "a number, 0 or more");

/** As a server gave it. */
const anyNumber: Reader<number> = (value, what) =>
  typeof value === "number" && Number.isFinite(value) ? value : wrong(what, "a number");

const flag: Reader<boolean> = (value, what) => (typeof value === "boolean" ? value : wrong(what, "true or false"));

const oneOf =
  <T extends string>(words: readonly T[]): Reader<T> =>
  (value, what) =>
    words.find((word) => word === value) ?? wrong(what, `one of ${words.join(", ")}`);

/** A word that a later version may have more of: one that is not known counts as `otherwise`. */
const oneOfOr =
  <T extends string>(words: readonly T[], otherwise: T): Reader<T> =>
  (value, what) =>
    words.find((word) => word === text(value, what)) ?? otherwise;

const optional =
  <T>(read: Reader<T>): Reader<T | undefined> =>
  (value, what) =>
    value === undefined || value === null ? undefined : read(value, what);

const list =
  <T>(read: Reader<T>, max: number): Reader<readonly T[]> =>
  (value, what) =>
    Array.isArray(value) && value.length <= max
      ? (value as unknown[]).map((entry, at) => read(entry, `${what}[${at}]`))
      : wrong(what, `a list of up to ${max}`);

/** The fields that are known, and no others. */
const record =
  <T extends object>(fields: { readonly [K in keyof T]-?: Reader<T[K]> }): Reader<T> =>
  (value, what) => {
    if (typeof value !== "object" || value === null) return wrong(what, "an object");
    const given = value as Readonly<Record<string, unknown>>;
    const read = Object.entries<Reader<unknown>>(fields);
    return Object.fromEntries(read.map(([key, reader]) => [key, reader(given[key], `${what}.${key}`)])) as T;
  };

function wrong(what: string, expected: string): never {
  throw new TypeError(`${what} is not ${expected}`);
}

export const IN_FLIGHT_STATES: readonly InFlightState[] = [
  "received",
  "running",
  "delivering",
  "waiting",
  "handingBack",
];

const heldTask = record<HeldTask>({
  taskId: text,
  workflowInstanceId: text,
  taskType: text,
  workerId: text,
  pollCount: optional(amount),
  // What may have been started must not be run again as if it had not.
  state: oneOfOr(IN_FLIGHT_STATES, "running"),
});

const pollerFields = record<Required<Omit<PollerIdentity, "leftNothing">> & { leftNothing: boolean | undefined }>({
  taskType: text,
  domain: optional(text),
  workerId: text,
  isUnique: flag,
  leftNothing: optional(flag),
});

const poller: Reader<PollerIdentity> = (given, what) => {
  const { leftNothing, ...identity } = pollerFields(given, what);
  return leftNothing === undefined ? identity : { ...identity, leftNothing };
};

const ended = optional(
  list(record<EndedHandOut>({ taskId: text, pollCount: anyNumber, updateTime: anyNumber }), MAX_NAMED_TASKS),
);

const runner = record<RunnerStatus>({
  taskType: text,
  domain: optional(text),
  state: oneOf(["polling", "paused", "draining", "stopped"]),
  phase: oneOfOr<LoopPhase>(LOOP_PHASES, "waiting"),
  concurrency: amount,
  running: amount,
  lastBeatAgoMs: amount,
  lastPollAgoMs: optional(amount),
  pollsFailing: optional(record({ forMs: amount, error: text })),
});

const status = record<TaskHandlerStatus>({
  state: oneOf(["running", "draining", "stopped"]),
  runners: list(runner, MAX_WORKERS),
  inFlight: amount,
  resultsWaiting: amount,
  abandoned: amount,
  outboxFull: flag,
  serverReachable: flag,
});

/** As Prometheus has them: anything else would spoil the page of all. */
const metricName = textLike(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/);
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

const labels: Reader<NonNullable<SampleJson["labels"]>> = (value, what) => {
  if (typeof value !== "object" || value === null) return wrong(what, "an object");
  const entries = Object.entries(value as Record<string, unknown>);
  if (entries.length > MAX_METRICS) return wrong(what, `an object of up to ${MAX_METRICS} labels`);
  const checked = entries.map(([name, label]) => {
    if (!LABEL_NAME.test(name)) wrong(`${what}, a label's name`, `a text like ${String(LABEL_NAME)}`);
    return [name, typeof label === "number" ? label : text(label, `${what}.${name}`)] as const;
  });
  return Object.fromEntries(checked);
};

/** JSON has no NaN and no Infinity: they arrive as null. */
const sampleValue: Reader<number> = (value, what) =>
  value === null ? Number.NaN : typeof value === "number" ? value : wrong(what, "a number");

const sampleFields = record<{ value: number; labels: SampleJson["labels"]; metricName: string | undefined }>({
  value: sampleValue,
  labels: optional(labels),
  metricName: optional(metricName),
});

const sample: Reader<SampleJson> = (given, what) => {
  const { value, labels: ofSample, metricName: ownName } = sampleFields(given, what);
  return {
    value,
    ...(ofSample === undefined ? {} : { labels: ofSample }),
    ...(ownName === undefined ? {} : { metricName: ownName }),
  };
};

const metric = record<MetricJson>({
  name: metricName,
  help: text,
  type: textLike(/^[a-z]{1,20}$/),
  values: list(sample, MAX_SAMPLES),
});

/** One metric of the user's that is none is left out, and the others are worth having. */
function metrics(value: unknown, what: string, problems: string[]): MetricJson[] {
  return list((entry) => entry, MAX_METRICS)(value, what).flatMap((entry, at) => {
    try {
      return [metric(entry, `${what}[${at}]`)];
    } catch (error) {
      problems.push((error as Error).message);
      return [];
    }
  });
}

/** What a child told. The process may run another version, or a script that sends what it likes: nothing is taken on trust. */
export function readReport(given: unknown): ReadMessage<Report> {
  return reading((problems) => {
    const { kind } = record({ kind: text })(given, "the message");
    const fields = given as Readonly<Record<string, unknown>>;
    switch (kind) {
      case "ready":
        return {
          kind,
          stallMs: optional(amount)(fields.stallMs, "ready.stallMs"),
          pollers: list(poller, MAX_WORKERS)(fields.pollers, "ready.pollers"),
        };
      case "beat":
        return {
          kind,
          status: status(fields.status, "beat.status"),
          tasks: list(heldTask, MAX_NAMED_TASKS)(fields.tasks, "beat.tasks"),
        };
      case "stopping":
        return { kind };
      case "stopped": {
        const owed = optional(list(poller, MAX_WORKERS))(fields.owed, "stopped.owed");
        const last = ended(fields.ended, "stopped.ended");
        return {
          kind,
          leftInFlight: amount(fields.leftInFlight, "stopped.leftInFlight"),
          metrics: metrics(fields.metrics, "stopped.metrics", problems),
          ...(owed === undefined ? {} : { owed }),
          ...(last === undefined ? {} : { ended: last }),
        };
      }
      case "metrics":
        return {
          kind,
          id: amount(fields.id, "metrics.id"),
          metrics: metrics(fields.metrics, "metrics.metrics", problems),
        };
      case "reclaimed":
        return { kind, id: amount(fields.id, "reclaimed.id") };
      default:
        return wrong("the message", "of a kind that is known");
    }
  });
}

/** What the primary orders; the same for a child. */
export function readOrder(given: unknown): ReadMessage<Order> {
  return reading(() => {
    const { kind } = record({ kind: text })(given, "the message");
    const fields = given as Readonly<Record<string, unknown>>;
    switch (kind) {
      case "welcome":
      case "drain":
        return { kind, drainTimeoutMs: amount(fields.drainTimeoutMs, `${kind}.drainTimeoutMs`) };
      case "scrape":
        return { kind, id: amount(fields.id, "scrape.id") };
      case "reclaim":
        return { kind, predecessor: predecessor(fields.predecessor, "reclaim.predecessor") };
      default:
        return wrong("the message", "of a kind that is known");
    }
  });
}

const predecessor = record<Predecessor>({
  id: amount,
  tasks: list(heldTask, MAX_LEFT_TASKS),
  pollers: list(poller, MAX_WORKERS),
  ended,
  reason: text,
});

function reading<T>(read: (problems: string[]) => T): ReadMessage<T> {
  const problems: string[] = [];
  try {
    const message = read(problems);
    return { message, problem: problems[0] };
  } catch (error) {
    return { message: undefined, problem: (error as Error).message };
  }
}
