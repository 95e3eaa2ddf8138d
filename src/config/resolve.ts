import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { ConfigurationError } from "../base/errors.js";
import type { TaskDefFields } from "../conductor/task-def-rules.js";
import { isMetricsRegistry } from "../metrics/registry.js";
import { envToken, warnOfVariables } from "./env-names.js";
import { checkHandlerOptionNames } from "./option-names.js";
import { decimal, find, flag, integer, oneOf, quote, text, type Env, type Kind } from "./parse.js";
import { resolveAuth } from "./resolve-auth.js";
import { resolveJournal } from "./resolve-journal.js";
import { resolveWorker, type ResolvedWorker } from "./resolve-worker.js";
import { resolveServerUrl } from "./server-url.js";
import type { HandlerConfig, Sourced, TaskHandlerOptions, WorkerConfig } from "./types.js";

/** Who this process is; the default `workerId` is made of it. */
export interface ProcessIdentity {
  readonly hostname: string;
  readonly pid: number;
  /** A few characters that no other process has. */
  readonly random: string;
}

/** What a loop needs beyond a poll's deadline to be seen alive. */
const STALL_MARGIN_MS = 1000;

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

const requestTimeoutKind = integer(100, 600_000, " (ms)");
const stallTimeoutKind = decimal((value) => value >= 0, "a number of seconds, 0 (off) or more");
const maxHeldPollsKind = integer(1, 1000);
const portKind = integer(0, 65_535);
const logFormatKind = oneOf(["pretty", "json"]);
const logLevelKind = oneOf(LOG_LEVELS, { warning: "warn", critical: "fatal" });

/**
 * Resolves options and environment into what a process runs by: the environment wins over code, code over the default,
 * and a blank value is not set. Pure. Throws one {@link ConfigurationError} that names everything that is wrong; what is
 * only odd goes to `warnings`.
 */
export function resolveConfig(options: TaskHandlerOptions, env: Env, identity: ProcessIdentity): HandlerConfig {
  const given: unknown = options;
  if (typeof given !== "object" || given === null) {
    throw new ConfigurationError([`the handler must be given its options, { workers: […] }, got ${quote(given)}`]);
  }
  const problems = new Set(checkHandlerOptionNames(options));
  const warnings = new Set<string>();

  const serverUrl = resolveServerUrl(options.serverUrl, env, problems);
  const auth = resolveAuth(options.auth, env, problems);
  const option = <T, F extends T | undefined>(
    name: keyof TaskHandlerOptions,
    kind: Kind<T>,
    { fallback, variables = [] }: { readonly fallback: F; readonly variables?: readonly string[] },
  ) => find(kind, { env, variables, option: `option ${name}`, code: options[name], fallback }, problems);

  const requestTimeout = option("requestTimeoutMs", requestTimeoutKind, {
    variables: ["CONDUCTOR_REQUEST_TIMEOUT_MS"],
    fallback: 10_000,
  });
  const stallTimeout = option("stallTimeoutSeconds", stallTimeoutKind, {
    variables: ["CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS"],
    fallback: 300,
  });
  const logLevel = find<string, string>(
    logLevelKind,
    { env, variables: ["CONDUCTOR_LOG_LEVEL"], option: "the log level", code: undefined, fallback: "info" },
    problems,
  );
  const logFormat = find(
    logFormatKind,
    { env, variables: ["CONDUCTOR_LOG_FORMAT"], option: "the log format", code: undefined, fallback: undefined },
    problems,
  );
  const maxHeldPolls = option("maxHeldPolls", maxHeldPollsKind, { fallback: 16 });
  const followWorkflows = option("followWorkflows", flag, { fallback: true });
  const watchdog = option("watchdog", flag, { fallback: undefined });
  const stallReportFile = option("stallReportFile", text, { fallback: undefined });
  const adminPort = option("adminPort", portKind, {
    variables: ["CONDUCTOR_WORKER_ADMIN_PORT"],
    fallback: undefined,
  });
  const adminHost = option<string, string>("adminHost", text, {
    variables: ["CONDUCTOR_WORKER_ADMIN_HOST"],
    fallback: "127.0.0.1",
  });
  if (adminPort.value === undefined && options.adminHost !== undefined)
    warnings.add("option adminHost does nothing without adminPort: set adminPort to have an admin endpoint");
  const journal = resolveJournal(options.journal, problems);
  checkLogger(options.logger, problems);
  checkRegistry(options.registry, problems);
  if (options.onStall !== undefined && typeof options.onStall !== "function")
    problems.add(`option onStall must be a function, got ${quote(options.onStall)}`);

  const workers = resolveWorkers(options.workers, env, identity, problems, warnings);
  const configs = workers.map(({ config }) => config);
  checkNames(configs, problems, warnings);
  checkTaskDefs(configs, problems);
  if (!requestTimeout.wrong && !stallTimeout.wrong) {
    const longest = longestPoll(workers);
    if (longest !== undefined) checkStallTimeout(stallTimeout, requestTimeout, longest, problems);
  }
  const names = configs.map(({ taskDefName }) => taskDefName);
  for (const warning of warnOfVariables(env, names)) warnings.add(warning);

  if (problems.size > 0) throw new ConfigurationError([...problems]);
  return {
    serverUrl: serverUrl.value,
    ...(auth.value === undefined ? {} : { auth: auth.value }),
    requestTimeoutMs: requestTimeout.value,
    stallTimeoutSeconds: stallTimeout.value,
    logLevel: logLevel.value,
    logFormat: logFormat.value,
    watchdog: watchdog.value,
    // Where that is now: a function may change the working directory.
    stallReportFile: stallReportFile.value === undefined ? undefined : path.resolve(stallReportFile.value),
    adminPort: adminPort.value,
    adminHost: adminHost.value,
    maxHeldPolls: maxHeldPolls.value,
    followWorkflows: followWorkflows.value,
    journal: journal.value,
    workers: configs,
    sources: {
      serverUrl: serverUrl.source,
      auth: auth.source,
      requestTimeoutMs: requestTimeout.source,
      stallTimeoutSeconds: stallTimeout.source,
      logLevel: logLevel.source,
      logFormat: logFormat.source,
      watchdog: watchdog.source,
      stallReportFile: stallReportFile.source,
      adminPort: adminPort.source,
      adminHost: adminHost.source,
      maxHeldPolls: maxHeldPolls.source,
      followWorkflows: followWorkflows.source,
      journal: journal.source,
    },
    warnings: [...warnings],
  };
}

function resolveWorkers(
  workers: unknown,
  env: Env,
  identity: ProcessIdentity,
  problems: Set<string>,
  warnings: Set<string>,
): ResolvedWorker[] {
  if (!Array.isArray(workers)) {
    const hint = typeof workers === "object" && workers !== null ? "; put it in brackets: workers: [worker]" : "";
    problems.add(`option workers must be an array of workers, got ${quote(workers)}${hint}`);
    return [];
  }
  if (workers.length === 0) {
    problems.add("option workers is empty: there is nothing to run; pass at least one worker");
    return [];
  }
  const workerId = `${identity.hostname}:${identity.pid}:${identity.random}`;
  return Array.from(workers as unknown[], (entry, index) =>
    resolveWorker(entry, index, env, workerId, problems, warnings),
  ).filter((worker) => worker !== undefined);
}

/** Two workers for the same tasks are a mistake, and so are two task types that share their variables. */
function checkNames(workers: readonly WorkerConfig[], problems: Set<string>, warnings: Set<string>): void {
  const keys = new Set<string>();
  const byToken = new Map<string, string>();
  for (const { taskDefName, domain, sources } of workers) {
    const key = JSON.stringify([taskDefName, domain]);
    if (keys.has(key)) {
      const where =
        domain === undefined ? "without a domain" : `in the domain ${quote(domain)} (${sources.domain ?? ""})`;
      problems.add(
        `two workers have the taskDefName ${quote(taskDefName)} ${where}: keep one, and raise its concurrency`,
      );
    }
    keys.add(key);

    const token = envToken(taskDefName);
    const other = byToken.get(token) ?? taskDefName;
    byToken.set(token, other);
    if (other !== taskDefName) {
      problems.add(
        `the task types ${quote(other)} and ${quote(taskDefName)} would share the variables CONDUCTOR_WORKER_${token}_…: ` +
          "rename one, or run them in separate processes",
      );
    }
  }
  const all = byToken.get("ALL");
  if (all !== undefined && byToken.size > 1) {
    warnings.add(
      `the variables of the task type ${quote(all)} are those of all workers, CONDUCTOR_WORKER_ALL_…: rename it to set it apart`,
    );
  }
}

/** Workers of one task type in several domains share its definition. */
function checkTaskDefs(workers: readonly WorkerConfig[], problems: Set<string>): void {
  const byName = new Map<string, TaskDefFields>();
  for (const { taskDefName, registerTaskDef } of workers) {
    if (registerTaskDef === undefined || registerTaskDef === true) continue;
    const other = byName.get(taskDefName) ?? registerTaskDef;
    byName.set(taskDefName, other);
    if (isDeepStrictEqual(other, registerTaskDef)) continue;
    problems.add(
      `two workers for the task type ${quote(taskDefName)} have a different registerTaskDef, and there is one definition: ` +
        "give it to one of them",
    );
  }
}

function longestPoll(workers: readonly ResolvedWorker[]): WorkerConfig | undefined {
  return workers
    .filter(({ hasLongPoll }) => hasLongPoll)
    .map(({ config }) => config)
    .reduce<WorkerConfig | undefined>((a, b) => (a === undefined || b.longPollMs > a.longPollMs ? b : a), undefined);
}

/** A stall timeout that a lawful poll can outlast would kill a healthy process. */
function checkStallTimeout(
  stallTimeout: Sourced<number>,
  requestTimeout: Sourced<number>,
  { taskDefName, longPollMs }: WorkerConfig,
  problems: Set<string>,
): void {
  const neededMs = longPollMs + requestTimeout.value + STALL_MARGIN_MS;
  if (stallTimeout.value === 0 || stallTimeout.value * 1000 >= neededMs) return;
  problems.add(
    `stallTimeoutSeconds ${stallTimeout.value} (${stallTimeout.source}) is too short: a poll of ${taskDefName} may lawfully ` +
      `take longPollMs ${longPollMs} + requestTimeoutMs ${requestTimeout.value}, and ${STALL_MARGIN_MS} ms are the margin; ` +
      `set at least ${Math.ceil(neededMs / 1000)}, or lower longPollMs or requestTimeoutMs, or set 0 to switch it off`,
  );
}

function checkRegistry(registry: unknown, problems: Set<string>): void {
  if (registry === undefined || registry === false) return;
  if (!isMetricsRegistry(registry))
    problems.add(`option registry must be a prom-client Registry, or false for no metrics, got ${quote(registry)}`);
}

function checkLogger(logger: unknown, problems: Set<string>): void {
  const problem = loggerProblem(logger);
  if (problem !== undefined) problems.add(problem);
}

/** What is wrong with the option `logger`, if anything is. */
export function loggerProblem(logger: unknown): string | undefined {
  if (logger === undefined) return undefined;
  const missing =
    typeof logger === "object" && logger !== null
      ? ["debug", "info", "warn", "error"].filter((level) => typeof Reflect.get(logger, level) !== "function")
      : ["debug", "info", "warn", "error"];
  return missing.length === 0
    ? undefined
    : `option logger must be a pino logger or of its shape; it lacks ${missing.join(", ")}`;
}
