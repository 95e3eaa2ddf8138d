import type { EndedHandOut } from "../runner/ended-hand-outs.js";
import type { PollerIdentity } from "../runner/poller-identity.js";
import type { Predecessor, HeldTask } from "../runner/recovery/held-task.js";
import type { TaskHandlerStatus } from "../status.js";

/** Set in the environment of a supervised process: its number, 0 to N−1. */
export const SUPERVISED_VARIABLE = "OSTINATO_SUPERVISED";
/**
 * On which of a child's descriptors the watchdog's thread tells the primary why it ends the process: the one after the
 * standard ones and the channel. The child is told by the variable `REPORT_FD_VARIABLE`.
 */
export const REPORT_FD = 4;
/** How often a child tells that it is there, and the primary looks, in ms. */
export const BEAT_MS = 1_000;
/** Tasks that a beat names. */
export const MAX_NAMED_TASKS = 1_000;

/** One metric as prom-client's `getMetricsAsJSON` gives it. */
export interface MetricJson {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly SampleJson[];
}

export interface SampleJson {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string | number>>;
  /** Set where the sample's name differs from the metric's: `x_bucket`, `x_sum`, `x_count`. */
  readonly metricName?: string;
}

/** Primary to child. */
export type Order =
  /** The answer to `ready`: how long to drain when nobody is there to say it. */
  | { readonly kind: "welcome"; readonly drainTimeoutMs: number }
  /** Finish what runs, and end. Sent again, it can only shorten the drain. */
  | { readonly kind: "drain"; readonly drainTimeoutMs: number }
  | { readonly kind: "scrape"; readonly id: number }
  | { readonly kind: "reclaim"; readonly predecessor: Predecessor };

/** Child to primary. */
export type Report =
  /** A handler polls. `stallMs`: what its own watchdog allows; undefined where stalls are not watched for. */
  | { readonly kind: "ready"; readonly stallMs: number | undefined; readonly pollers: readonly PollerIdentity[] }
  | { readonly kind: "beat"; readonly status: TaskHandlerStatus; readonly tasks: readonly HeldTask[] }
  /** The child has begun to stop, by whosever order. */
  | { readonly kind: "stopping" }
  /**
   * The child's handlers have stopped; nothing of ours keeps the process any more. `metrics`: the last ones. `owed`: the
   * names under which the server may have handed out tasks that never reached the child. `ended`: the hand-outs that it
   * has ended last. Both are none where they are left out.
   */
  | {
      readonly kind: "stopped";
      readonly leftInFlight: number;
      readonly metrics: readonly MetricJson[];
      readonly owed?: readonly PollerIdentity[];
      readonly ended?: readonly EndedHandOut[];
    }
  | { readonly kind: "metrics"; readonly id: number; readonly metrics: readonly MetricJson[] }
  | { readonly kind: "reclaimed"; readonly id: number };

/** Users may talk over the same channel. */
interface Envelope<T> {
  readonly ostinato: T;
}

export const wrap = <T extends Order | Report>(message: T): Envelope<T> => ({ ostinato: message });

/**
 * The message of ours in what came over the channel, unchecked: see `read-message.ts`. Undefined when it is somebody
 * else's.
 */
export function unwrap(message: unknown): { readonly kind: string } | undefined {
  if (typeof message !== "object" || message === null) return undefined;
  const inner = (message as Partial<Envelope<{ kind?: unknown } | null>>).ostinato;
  return typeof inner === "object" && typeof inner?.kind === "string" ? (inner as { kind: string }) : undefined;
}
