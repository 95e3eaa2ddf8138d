import cluster from "node:cluster";
import type { AdminServer } from "../../admin/admin-server.js";
import { systemClock } from "../../base/clock.js";
import { ConfigurationError } from "../../base/errors.js";
import { createDefaultLogger } from "../../log/default-logger.js";
import { safeLogger } from "../../log/logger.js";
import { createForkChild } from "./fork.js";
import { checkOptions, type SuperviseOptions } from "./options.js";
import { DEFAULT_RESTART_LIMITS } from "./restart-policy.js";
import { obeySignals } from "./signals.js";
import { Supervisor, type SupervisorEnd, type SupervisorStatus } from "./supervisor.js";

/** A supervisor at work. */
export interface SupervisorHandle {
  /** Where health and metrics are answered; undefined: nowhere. */
  readonly adminUrl: string | undefined;
  /** What the supervisor and its processes are doing now. */
  readonly status: SupervisorStatus;
  /** Resolves when no process is left and none will be started; never rejects. */
  readonly exited: Promise<SupervisorEnd>;
  /** Lets every process finish what runs; kills what does not end. Called again it can only shorten the drain. */
  stop(options?: { drainTimeoutMs?: number }): Promise<SupervisorEnd>;
  /** Replaces every process, one after the other. Resolves when all are new, or it stops. */
  roll(): Promise<void>;
}

let isInUse = false;

/**
 * Runs a script in processes of its own, by `node:cluster`, and replaces what dies. A process can do this once. Throws
 * `ConfigurationError`, naming everything that is wrong, before anything is started.
 */
export async function superviseWorkers(options: SuperviseOptions): Promise<SupervisorHandle> {
  const { script, args, execArgv, env, admin: at, signals, ...checked } = checkOptions(options);
  if (!cluster.isPrimary)
    throw new ConfigurationError(["superviseWorkers: this process is itself a child of node:cluster"]);
  if (isInUse) throw new ConfigurationError(["superviseWorkers: a process can do this once"]);
  const log = safeLogger(checked.logger ?? (await createDefaultLogger(checked.logLevel, checked.logFormat)));
  isInUse = true;

  const { processes, drainTimeoutMs, startTimeoutMs } = checked;
  const supervisor = new Supervisor({
    processes,
    fork: createForkChild({ script, args, execArgv, env }),
    clock: systemClock,
    random: Math.random,
    log,
    drainTimeoutMs,
    startTimeoutMs,
    limits: DEFAULT_RESTART_LIMITS,
  });
  let admin: AdminServer | undefined;
  if (at !== undefined) {
    const { startSupervisorAdmin } = await import("./admin.js");
    admin = await startSupervisorAdmin(supervisor, at).catch((error: unknown) => {
      isInUse = false; // nothing was started: it may be tried again
      throw error;
    });
    log.info({ adminUrl: admin.url }, "health and metrics of all processes are answered");
  }
  const orders = {
    stop: () => void supervisor.stop(),
    hurry: () => void supervisor.stop(0),
    roll: () => void supervisor.roll(),
  };
  // One of the two is often a pipe, to `tee` or to what makes the log pretty.
  const isTerminal = process.stdout.isTTY || process.stderr.isTTY;
  const deafen = signals ? obeySignals(orders, systemClock, isTerminal) : () => {};
  log.info({ script, processes }, `running ${script} in ${count(processes, "process", "processes")}`);
  supervisor.start();
  const exited = supervisor.exited.then(async (end) => {
    await admin?.close();
    deafen();
    if (end.failure === undefined) log.info({}, "all processes have ended");
    else log.error({}, end.failure);
    return end;
  });
  return {
    adminUrl: admin?.url,
    exited,
    get status() {
      return supervisor.status;
    },
    async stop({ drainTimeoutMs: within } = {}) {
      if (within !== undefined && !(within >= 0 && Number.isFinite(within))) {
        throw new RangeError(`drainTimeoutMs must be a number of milliseconds, 0 or more, got ${String(within)}`);
      }
      void supervisor.stop(within);
      return exited;
    },
    roll: () => supervisor.roll(),
  };
}

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`;
