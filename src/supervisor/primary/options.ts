import { availableParallelism } from "node:os";
import { ConfigurationError } from "../../base/errors.js";
import { DEFAULT_DRAIN_TIMEOUT_MS } from "../../base/stop-signals.js";
import { unknownOptions } from "../../config/nearest.js";
import { asGiven, setting, valuesOf, type Option } from "../../config/option.js";
import { integer, quote, type Kind } from "../../config/parse.js";
import { PROCESS_OPTIONS, readProcessOptions } from "../../config/process-settings.js";
import type { LogFormat } from "../../log/default-logger.js";
import type { Logger } from "../../log/logger.js";
import { DEFAULT_START_TIMEOUT_MS } from "./restart-policy.js";
import { currentConditions, findScript } from "./script.js";

/** The options of `superviseWorkers`. Where an environment variable is named, it wins over the option. */
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

/** The options of a supervisor, each with the value that was given, or its default. */
export interface CheckedOptions extends Readonly<
  Required<Omit<SuperviseOptions, "script" | "processes" | "adminPort" | "adminHost" | "logger">>
> {
  /** Its absolute path. */
  readonly script: string;
  readonly processes: number;
  /** Undefined: health and metrics are answered nowhere. */
  readonly admin: { readonly port: number; readonly host: string } | undefined;
  /** Undefined: the default logger, of `logLevel` and `logFormat`. */
  readonly logger: Logger | undefined;
  readonly logLevel: string;
  /** Undefined: by whether stdout is a terminal. */
  readonly logFormat: LogFormat | undefined;
}

/** How many processes a supervisor runs at most. */
export const MAX_PROCESSES = 512;
/** The longest drain and the longest start, in ms: a day, longer than anybody waits. */
export const MAX_WAIT_MS = 86_400_000;

const inLimits = integer(1, MAX_PROCESSES, ' or "auto"');
/** A number of processes, or `"auto"` in code. */
const processCount: Kind<number> = {
  ...inLimits,
  fromCode: (value) => inLimits.fromCode(value === "auto" ? availableParallelism() : value),
};

/** The one table of the options, in the order in which they are checked; the compiler holds it to the interface. */
const OPTIONS = {
  /** The script is looked for last, by `findScript`: whether Node can run it depends on `execArgv`. */
  script: asGiven<unknown>(() => undefined),
  args: asGiven<readonly string[]>(textsProblem),
  execArgv: asGiven<readonly string[]>(textsProblem),
  env: asGiven<NonNullable<SuperviseOptions["env"]>>((env, option) =>
    typeof env === "object" && env !== null && !Array.isArray(env)
      ? undefined
      : `${option} must be an object of variables, got ${quote(env)}`,
  ),
  signals: asGiven<boolean>((signals, option) =>
    typeof signals === "boolean" ? undefined : `${option} must be true or false, got ${quote(signals)}`,
  ),
  processes: setting(processCount, { fallback: 1 }),
  drainTimeoutMs: setting(integer(0, MAX_WAIT_MS, " (ms)"), { fallback: DEFAULT_DRAIN_TIMEOUT_MS }),
  startTimeoutMs: setting(integer(1, MAX_WAIT_MS, " (ms)"), { fallback: DEFAULT_START_TIMEOUT_MS }),
  ...PROCESS_OPTIONS,
} satisfies Record<keyof SuperviseOptions, Option<unknown>>;

/** Reads the options and the environment. Throws one `ConfigurationError` that names everything that is wrong. */
export function checkOptions(options: SuperviseOptions): CheckedOptions {
  const given: unknown = options;
  if (typeof given !== "object" || given === null)
    throw new ConfigurationError([`superviseWorkers must be given its options, { script: "…" }, got ${quote(given)}`]);
  const problems = new Set(unknownOptions(options, OPTIONS));
  const found = readProcessOptions(OPTIONS, options, process.env, problems);
  const { script, args = [], execArgv = process.execArgv, env = {}, signals = true, ...values } = valuesOf(found);
  const conditions = currentConditions(
    isTexts(execArgv) ? execArgv : process.execArgv,
    options.env?.NODE_OPTIONS ?? process.env.NODE_OPTIONS,
  );
  const file = findScript(script, conditions);
  if ("problem" in file) problems.add(`script: ${file.problem}`);
  if (problems.size > 0 || "problem" in file) throw new ConfigurationError([...problems]);
  const { adminPort: port, adminHost: host } = values;
  const admin = port === undefined ? undefined : { port, host };
  return { ...values, script: file.file, args, execArgv, env, signals, admin };
}

function textsProblem(value: unknown, option: string): string | undefined {
  return isTexts(value) ? undefined : `${option} must be an array of strings, got ${quote(value)}`;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === "string");
}
