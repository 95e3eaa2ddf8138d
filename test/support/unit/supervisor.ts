import { safeLogger } from "../../../src/log/logger.js";
import type { RunnerStatus, TaskHandlerStatus } from "../../../src/status.js";
import type { Order, Report } from "../../../src/supervisor/messages.js";
import type { Child, ChildEvents, ForkChild } from "../../../src/supervisor/primary/fork.js";
import { DEFAULT_RESTART_LIMITS } from "../../../src/supervisor/primary/restart-policy.js";
import { Supervisor, type SupervisorOptions } from "../../../src/supervisor/primary/supervisor.js";
import { silentLogger } from "../log/loggers.js";
import { FakeClock } from "../time/fake-clock.js";

export const STATUS: TaskHandlerStatus = {
  state: "running",
  runners: [],
  inFlight: 0,
  resultsWaiting: 0,
  abandoned: 0,
  outboxFull: false,
  serverReachable: true,
};

/** A runner as a beat tells of it. */
export const RUNNER: RunnerStatus = {
  taskType: "t",
  domain: undefined,
  state: "polling",
  phase: "polling",
  concurrency: 1,
  running: 0,
  lastBeatAgoMs: 0,
  lastPollAgoMs: undefined,
  pollsFailing: undefined,
};

/** A child that does what the test says. */
export class FakeChild implements Child {
  readonly orders: Order[] = [];
  readonly signals: NodeJS.Signals[] = [];
  readonly place: number;
  readonly pid: number;
  readonly #events: ChildEvents;
  isGone = false;

  constructor(place: number, pid: number, events: ChildEvents) {
    this.place = place;
    this.pid = pid;
    this.#events = events;
  }

  send(order: Order): void {
    this.orders.push(order);
  }
  kill(signal: NodeJS.Signals): void {
    this.signals.push(signal);
    if (signal === "SIGKILL") this.exit(null, "SIGKILL");
  }

  tell(report: Report): void {
    this.#events.onReport(report);
  }
  stall(report: Parameters<ChildEvents["onStall"]>[0]): void {
    this.#events.onStall(report);
  }
  paused(): void {
    this.#events.onPaused();
  }
  /** `off`: stalls are not watched for. */
  ready(stall: number | "off" = 10_000, status: Partial<TaskHandlerStatus> = {}): void {
    const stallMs = stall === "off" ? undefined : stall;
    const poller = { taskType: "t", domain: undefined, workerId: `w${this.pid}`, isUnique: true };
    this.tell({ kind: "ready", stallMs, pollers: [poller] });
    this.beat([], status);
  }
  beat(tasks: Extract<Report, { kind: "beat" }>["tasks"] = [], status: Partial<TaskHandlerStatus> = {}): void {
    this.tell({ kind: "beat", status: { ...STATUS, ...status }, tasks });
  }
  /** As a child that drains well. */
  drained(): void {
    this.tell({ kind: "stopping" });
    this.tell({ kind: "stopped", leftInFlight: 0, metrics: [] });
    this.exit(0, null);
  }
  exit(code: number | null, signal: NodeJS.Signals | null = null, stderrTail = ""): void {
    if (this.isGone) return;
    this.isGone = true;
    this.#events.onExit(code, signal, stderrTail);
  }
}

/** A supervisor whose children are the test's. */
export function createSupervision(overrides: Partial<SupervisorOptions> = {}) {
  const clock = new FakeClock();
  const children: FakeChild[] = [];
  const fork: ForkChild = (place, events) => {
    const child = new FakeChild(place, 100 + children.length, events);
    children.push(child);
    return child;
  };
  const supervisor = new Supervisor({
    processes: 1,
    fork,
    clock,
    random: () => 0,
    log: safeLogger(silentLogger),
    drainTimeoutMs: 25_000,
    startTimeoutMs: 60_000,
    limits: DEFAULT_RESTART_LIMITS,
    ...overrides,
  });
  supervisor.start();
  /** The latest child of a place. */
  const child = (place = 0) => {
    const found = children.findLast((each) => each.place === place);
    if (found === undefined) throw new Error(`no process was started in place ${place}`);
    return found;
  };
  const states = () => supervisor.status.processes.map(({ state }) => state);
  return { supervisor, clock, children, child, states };
}
