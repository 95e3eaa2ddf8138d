import cluster, { type Worker } from "node:cluster";
import { systemClock } from "../../base/clock.js";
import { DEFAULT_DRAIN_TIMEOUT_MS, obeyStopSignals } from "../../base/stop-signals.js";
import type { WorkerConfig } from "../../config/types.js";
import type { SafeLogger } from "../../log/logger.js";
import type { MetricsRegistry } from "../../metrics/registry.js";
import type { EndedHandOut } from "../../runner/ended-hand-outs.js";
import type { PollerIdentity } from "../../runner/poller-identity.js";
import type { Predecessor, HeldTask } from "../../runner/recovery/held-task.js";
import type { TaskHandlerStatus } from "../../status.js";
import { BEAT_MS, MAX_NAMED_TASKS, unwrap, wrap, type MetricJson, type Order, type Report } from "../messages.js";
import { readOrder } from "../read-message.js";
import { mergeStatus } from "./merge-status.js";
import { metricsOf } from "./scrape-registry.js";

/** One handler of a supervised process, from its start to its stop. */
export interface SupervisedHandler {
  readonly log: SafeLogger;
  readonly workers: readonly WorkerConfig[];
  /** What its watchdog allows, in ms; undefined: nobody watches for stalls. */
  readonly stallMs: number | undefined;
  /** Undefined: no metrics. */
  readonly registry: MetricsRegistry | undefined;
  /** Settles when it has stopped, whoever asked for it. */
  readonly stopped: Promise<void>;
  status(): TaskHandlerStatus;
  /** The tasks that it has in its hands, at most `max`. */
  tasks(max: number): HeldTask[];
  /** How many tasks it had not ended when it had stopped. */
  left(): number;
  /** Asked again it can only shorten the drain. */
  stop(drainTimeoutMs: number): Promise<void>;
  /** Once it has stopped: under which names the server may have handed out tasks that never reached it. */
  owed(): readonly PollerIdentity[];
  /** What it has ended last, at most `max`. */
  ended(max: number): readonly EndedHandOut[];
  /** Ends what a process that died has left: true when that is done or given up, false when it has stopped before. */
  takeOver(predecessor: Predecessor): Promise<boolean>;
  endProcess(code: number): void;
}

/** Without a primary nobody kills a process that does not end: it ends itself so long after its drain, in ms. */
const ORPHAN_MARGIN_MS = 8_000;
/** What reading the last metrics may take, in ms. */
const LAST_METRICS_MS = 500;

/**
 * A child's end of the channel to its supervisor, one for a process: tells the primary once a second how all handlers of
 * the process are, and does what it orders. `TaskHandler` attaches each handler that has started. From the first one on
 * the signals of the process are heard here; when the primary is gone, the process drains and ends.
 */
class ChildEnd {
  readonly #worker: Worker;
  readonly #handlers = new Set<SupervisedHandler>();
  /** The handler that has started last: its log, and its way to end the process, are used when none runs any more. */
  #latest: SupervisedHandler;
  /** How long a drain takes that nobody gives a length; the primary says it in its `welcome`. */
  #drainTimeoutMs = DEFAULT_DRAIN_TIMEOUT_MS;
  /** When the drain ends, by `performance.now()`; undefined: nobody has asked for one. */
  #drainUntil: number | undefined;
  /** Tasks that handlers which have stopped had not ended, and searches. */
  #left = 0;
  #owed: readonly PollerIdentity[] = [];
  #ended: readonly EndedHandOut[] = [];
  #isBeatUnderWay = false;
  /** Something the primary told could not be read, which is said once. */
  #hasMisunderstood = false;
  /** The dead whose tasks this process was asked to end. */
  readonly #predecessors: Predecessor[] = [];

  constructor(worker: Worker, first: SupervisedHandler) {
    this.#worker = worker;
    this.#latest = first;
    // A handler holds its process while it runs; when none does, the channel must not.
    process.channel?.unref();
    process.on("message", (message: unknown) => {
      const given = unwrap(message);
      if (given === undefined) return;
      const { message: order, problem } = readOrder(given);
      if (problem !== undefined) this.#misunderstood(problem);
      if (order !== undefined) this.#obey(order);
    });
    worker.on("disconnect", () => {
      this.#primaryIsGone();
    });
    obeyStopSignals(
      {
        stop: () => {
          if (this.#drainUntil === undefined) this.#drain(this.#drainTimeoutMs);
        },
        hurry: () => {
          this.#drain(0);
        },
      },
      systemClock,
    );
    // A terminal that closes, or who signals the whole group, sends it to all; what it means is for the primary to say.
    process.on("SIGHUP", () => {});
    setInterval(() => {
      this.#beat();
    }, BEAT_MS).unref();
  }

  attach(handler: SupervisedHandler): void {
    if (this.#handlers.size === 0) {
      this.#left = 0;
      this.#owed = [];
      this.#ended = [];
    }
    this.#handlers.add(handler);
    this.#latest = handler;
    void handler.stopped.then(() => this.#stopped(handler));
    this.#tell({
      kind: "ready",
      stallMs: mostLenient([...this.#handlers]),
      pollers: [...this.#handlers].flatMap(({ workers }) => workers.map(identity)),
    });
    this.#beat();
    void this.#takeOverLate(handler);
    if (this.#drainUntil !== undefined) void handler.stop(Math.max(0, this.#drainUntil - performance.now()));
  }

  #obey(order: Order): void {
    switch (order.kind) {
      case "welcome":
        this.#drainTimeoutMs = order.drainTimeoutMs;
        return;
      case "drain":
        this.#drain(order.drainTimeoutMs);
        return;
      case "scrape":
        void this.#metrics().then((metrics) => {
          this.#tell({ kind: "metrics", id: order.id, metrics });
        });
        return;
      case "reclaim":
        void this.#takeOver(order.predecessor);
        return;
    }
  }

  /** The primary may be of another version. */
  #misunderstood(problem: string): void {
    if (this.#hasMisunderstood) return;
    this.#hasMisunderstood = true;
    const text =
      "the supervisor tells what this process does not understand; do both have the same version of ostinato?";
    this.#latest.log.warn({ problem }, text);
  }

  #drain(drainTimeoutMs: number): void {
    const until = performance.now() + drainTimeoutMs;
    if (this.#drainUntil === undefined) this.#tell({ kind: "stopping" });
    else if (until >= this.#drainUntil) return;
    this.#drainUntil = until;
    for (const handler of this.#handlers) void handler.stop(drainTimeoutMs);
  }

  /** Cluster would exit this process at once, with everything it has in its hands. */
  #primaryIsGone(): void {
    this.#worker.exitedAfterDisconnect = true;
    const { log } = this.#latest;
    if (this.#handlers.size > 0) log.warn({}, "the supervisor is gone; finishing what runs, and ending");
    this.#drain(this.#drainTimeoutMs);
    setTimeout(() => {
      log.error({}, "the supervisor is gone, and the process does not end by itself; ending it");
      this.#latest.endProcess(1);
    }, this.#drainTimeoutMs + ORPHAN_MARGIN_MS).unref();
  }

  async #stopped(handler: SupervisedHandler): Promise<void> {
    const metrics = this.#handlers.size === 1 ? await this.#lastMetrics() : [];
    this.#handlers.delete(handler);
    this.#left += handler.left();
    this.#owed = [...this.#owed, ...handler.owed()];
    this.#ended = [...this.#ended, ...handler.ended(MAX_NAMED_TASKS - this.#ended.length)];
    if (this.#handlers.size > 0) return;
    this.#tell({ kind: "stopped", leftInFlight: this.#left, metrics, owed: this.#owed, ended: this.#ended });
  }

  /** Each handler takes what is of its task types, none waits for another one's server, and one may start later. */
  async #takeOver(predecessor: Predecessor): Promise<void> {
    this.#predecessors.push(predecessor);
    const areTaken = await Promise.all([...this.#handlers].map((handler) => takeOver(handler, predecessor)));
    if (areTaken.every(Boolean)) this.#tellIfTaken(predecessor);
  }

  async #takeOverLate(handler: SupervisedHandler): Promise<void> {
    const takeOne = async (predecessor: Predecessor) => {
      if (await takeOver(handler, predecessor)) this.#tellIfTaken(predecessor);
    };
    await Promise.all(this.#predecessors.map(takeOne));
  }

  /** What nobody here has taken care of is told to the next process again. */
  #tellIfTaken(predecessor: Predecessor): void {
    const handlers = [...this.#handlers];
    if (!predecessor.pollers.every(({ taskType }) => handlers.some((handler) => isOf(handler, taskType)))) return;
    const at = this.#predecessors.indexOf(predecessor);
    if (at >= 0) this.#predecessors.splice(at, 1);
    this.#tell({ kind: "reclaimed", id: predecessor.id });
  }

  #beat(): void {
    // A primary that does not read must not make us keep what it has not read.
    if (this.#isBeatUnderWay || this.#handlers.size === 0) return;
    const handlers = [...this.#handlers];
    const tasks: HeldTask[] = [];
    for (const handler of handlers) tasks.push(...handler.tasks(MAX_NAMED_TASKS - tasks.length));
    this.#isBeatUnderWay = true;
    this.#tell({ kind: "beat", status: mergeStatus(handlers.map((handler) => handler.status())), tasks }, () => {
      this.#isBeatUnderWay = false;
    });
  }

  async #metrics(): Promise<readonly MetricJson[]> {
    const registries = new Set([...this.#handlers].map(({ registry }) => registry));
    const all: MetricJson[] = [];
    for (const registry of registries) all.push(...(await metricsOf(registry)));
    return all;
  }

  /** What was counted since the last scrape would be lost with the process. */
  async #lastMetrics(): Promise<readonly MetricJson[]> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<readonly MetricJson[]>((resolve) => {
      timer = setTimeout(resolve, LAST_METRICS_MS, []);
    });
    const metrics = await Promise.race([this.#metrics(), late]);
    clearTimeout(timer);
    return metrics;
  }

  #tell(report: Report, onSent: () => void = () => {}): void {
    // Through the process's own function: the worker's refuses when the channel has just closed.
    if (!process.connected) return;
    process.send?.(wrap(report), undefined, {}, onSent);
  }
}

function isOf({ workers }: SupervisedHandler, taskType: string): boolean {
  return workers.some(({ taskDefName }) => taskDefName === taskType);
}

function takeOver(handler: SupervisedHandler, predecessor: Predecessor): Promise<boolean> {
  return handler.takeOver({
    ...predecessor,
    tasks: predecessor.tasks.filter(({ taskType }) => isOf(handler, taskType)),
    pollers: predecessor.pollers.filter(({ taskType }) => isOf(handler, taskType)),
  });
}

/** The primary sees the process as one: it must not kill it for what one of its handlers may lawfully do. */
function mostLenient(handlers: readonly SupervisedHandler[]): number | undefined {
  const all = handlers.map(({ stallMs }) => stallMs ?? Infinity);
  const longest = Math.max(...all);
  return longest === Infinity ? undefined : longest;
}

function identity({ taskDefName, domain, workerId, isWorkerIdUnique }: WorkerConfig): PollerIdentity {
  return { taskType: taskDefName, domain, workerId, isUnique: isWorkerIdUnique };
}

/** A process has one channel. */
let end: ChildEnd | undefined;

/** Puts a handler that has started under the supervisor of this process. False, and nothing happens: there is none. */
export function attachToSupervisor(handler: SupervisedHandler): boolean {
  if (cluster.worker === undefined || process.send === undefined) return false;
  end ??= new ChildEnd(cluster.worker, handler);
  end.attach(handler);
  return true;
}
