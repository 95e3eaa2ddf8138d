import cluster from "node:cluster";
import { availableParallelism } from "node:os";
import type { AdminServer } from "../../admin/admin-server.js";
import { systemClock } from "../../base/clock.js";
import { ConfigurationError } from "../../base/errors.js";
import { didYouMean } from "../../config/nearest.js";
import { find, integer, oneOf, quote, text } from "../../config/parse.js";
import { loggerProblem } from "../../config/resolve.js";
import { createDefaultLogger } from "../../log/default-logger.js";
import { safeLogger, type Logger } from "../../log/logger.js";
import { createForkChild } from "./fork.js";
import { DEFAULT_RESTART_LIMITS } from "./restart-policy.js";
import { currentConditions, findScript } from "./script.js";
import { obeySignals } from "./signals.js";
import { Supervisor, type SupervisorEnd, type SupervisorStatus } from "./supervisor.js";

/** The options of {@link superviseWorkers}. Where an environment variable is named, it wins over the option. */
export interface SuperviseOptions {
  /** The module that starts the workers, with `new TaskHandler({ … }).run()` or `start()`: its path or `file:` URL. */
  script: string | URL;
  /** The script's arguments. Default: none. */
  args?: readonly string[];
  /** Node's arguments for the script, as `--max-old-space-size=512`. Default: those of this process. */
  execArgv?: readonly string[];
  /** How many processes to run, or `"auto"`: one for each processor that is available. Default 1. */
  processes?: number | "auto";
  /** Added to this process's environment for the children. */
  env?: Readonly<Record<string, string | undefined>>;
  /** How long the tasks that run may take to finish when a process is to end, in ms. Default 25000. */
  drainTimeoutMs?: number;
  /** How long a process may take to start a handler, in ms; then it is replaced. Default 60000. */
  startTimeoutMs?: number;
  /**
   * Where `/livez`, `/readyz`, `/metrics` and `/status` are answered for all processes. 0: any free port. Default:
   * nowhere. `CONDUCTOR_WORKER_ADMIN_PORT`.
   */
  adminPort?: number;
  /** The address that `adminPort` listens on. Default `127.0.0.1`. `CONDUCTOR_WORKER_ADMIN_HOST`. */
  adminHost?: string;
  /** Default: as of a `TaskHandler`. */
  logger?: Logger;
  /**
   * Whether the signals of this process are orders: SIGTERM and SIGINT stop, a second one two seconds later cuts the
   * drain short, SIGHUP rolls. Default true.
   */
  signals?: boolean;
}

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
  const checked = check(options);
  if (!cluster.isPrimary)
    throw new ConfigurationError(["superviseWorkers: this process is itself a child of node:cluster"]);
  if (isInUse) throw new ConfigurationError(["superviseWorkers: a process can do this once"]);
  const log = safeLogger(options.logger ?? (await createDefaultLogger(checked.logLevel, checked.logFormat)));
  isInUse = true;

  const { file: script, processes, drainTimeoutMs, startTimeoutMs, admin: at } = checked;
  const { args = [], execArgv = process.execArgv, env = {}, signals = true } = options;
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

interface Checked {
  readonly file: string;
  readonly processes: number;
  readonly drainTimeoutMs: number;
  readonly startTimeoutMs: number;
  readonly admin: { readonly port: number; readonly host: string } | undefined;
  readonly logLevel: string;
  readonly logFormat: "pretty" | "json" | undefined;
}

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** The one list of the options; the compiler holds it to the interface. */
const OPTIONS = {
  script: true,
  args: true,
  execArgv: true,
  processes: true,
  env: true,
  drainTimeoutMs: true,
  startTimeoutMs: true,
  adminPort: true,
  adminHost: true,
  logger: true,
  signals: true,
} satisfies Record<keyof SuperviseOptions, true>;

function check(options: SuperviseOptions): Checked {
  const given: unknown = options;
  if (typeof given !== "object" || given === null)
    throw new ConfigurationError([`superviseWorkers must be given its options, { script: "…" }, got ${quote(given)}`]);
  const problems = new Set<string>();
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(OPTIONS, name))
      problems.add(`option ${name} does not exist${didYouMean(name, Object.keys(OPTIONS))}`);
  }
  checkShapes(options, problems);
  const { env } = process;
  const option = <K extends keyof SuperviseOptions>(name: K) => ({ option: `option ${name}`, code: options[name] });
  const auto = availableParallelism();
  const code = options.processes === "auto" ? auto : options.processes;
  const none = { env: {}, variables: [] };
  const processes = find(
    integer(1, 512, ' or "auto"'),
    { ...none, option: "option processes", code, fallback: 1 },
    problems,
  );
  const drainTimeout = find(
    integer(0, 86_400_000, " (ms)"),
    { ...none, ...option("drainTimeoutMs"), fallback: 25_000 },
    problems,
  );
  const startTimeout = find(
    integer(1, 86_400_000, " (ms)"),
    { ...none, ...option("startTimeoutMs"), fallback: 60_000 },
    problems,
  );
  const adminPort = find(
    integer(0, 65_535),
    { env, variables: ["CONDUCTOR_WORKER_ADMIN_PORT"], ...option("adminPort"), fallback: undefined },
    problems,
  );
  const adminHost = find(
    text,
    { env, variables: ["CONDUCTOR_WORKER_ADMIN_HOST"], ...option("adminHost"), fallback: "127.0.0.1" },
    problems,
  );
  const logLevel = find<string, string>(
    oneOf(LOG_LEVELS, { warning: "warn", critical: "fatal" }),
    { env, variables: ["CONDUCTOR_LOG_LEVEL"], option: "the log level", code: undefined, fallback: "info" },
    problems,
  );
  const logFormat = find<"pretty" | "json", undefined>(
    oneOf(["pretty", "json"]),
    { env, variables: ["CONDUCTOR_LOG_FORMAT"], option: "the log format", code: undefined, fallback: undefined },
    problems,
  );
  const nodeOptions = options.env?.NODE_OPTIONS ?? env.NODE_OPTIONS;
  const execArgv = isTexts(options.execArgv) ? options.execArgv : process.execArgv;
  const found = findScript(options.script, currentConditions(execArgv, nodeOptions));
  if ("problem" in found) problems.add(`script: ${found.problem}`);
  if (problems.size > 0 || "problem" in found) throw new ConfigurationError([...problems]);
  return {
    file: found.file,
    processes: processes.value,
    drainTimeoutMs: drainTimeout.value,
    startTimeoutMs: startTimeout.value,
    admin: adminPort.value === undefined ? undefined : { port: adminPort.value, host: adminHost.value },
    logLevel: logLevel.value,
    logFormat: logFormat.value,
  };
}

/** What `find` does not read. */
function checkShapes({ args, execArgv, env, logger, signals }: SuperviseOptions, problems: Set<string>): void {
  for (const [name, value] of Object.entries({ args, execArgv })) {
    if (value !== undefined && !isTexts(value))
      problems.add(`option ${name} must be an array of strings, got ${quote(value)}`);
  }
  const variables: unknown = env;
  if (variables !== undefined && (typeof variables !== "object" || variables === null || Array.isArray(variables)))
    problems.add(`option env must be an object of variables, got ${quote(variables)}`);
  if (signals !== undefined && typeof signals !== "boolean")
    problems.add(`option signals must be true or false, got ${quote(signals)}`);
  const problem = loggerProblem(logger);
  if (problem !== undefined) problems.add(problem);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === "string");
}

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`;
