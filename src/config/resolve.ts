import { isDeepStrictEqual } from "node:util";
import { ConfigurationError } from "../base/errors.js";
import type { TaskDefFields } from "../conductor/task-def-rules.js";
import { envToken, warnOfVariables } from "./env-names.js";
import { HANDLER_OPTIONS } from "./handler-options.js";
import { sourcesOf, valuesOf } from "./option.js";
import { checkHandlerOptionNames } from "./option-names.js";
import { quote, type Env, type Found } from "./parse.js";
import { LOG_SETTINGS, readProcessOptions } from "./process-settings.js";
import { resolveWorker, type ResolvedWorker } from "./resolve-worker.js";
import type { HandlerConfig, TaskHandlerOptions, WorkerConfig } from "./types.js";

/** Who this process is; the default `workerId` is made of it. */
export interface ProcessIdentity {
  readonly hostname: string;
  readonly pid: number;
  /** A few characters that no other process has. */
  readonly random: string;
}

/** What a loop needs beyond a poll's deadline to be seen alive. */
const STALL_MARGIN_MS = 1000;

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

  const found = readProcessOptions(HANDLER_OPTIONS, options, env, problems);
  if (found.adminPort.value === undefined && options.adminHost !== undefined)
    warnings.add("option adminHost does nothing without adminPort: set adminPort to have an admin endpoint");

  const resolved = resolveWorkers(found.workers.value, env, identity, problems, warnings);
  const workers = resolved.map(({ config }) => config);
  checkNames(workers, problems, warnings);
  checkTaskDefs(workers, problems);
  checkStallTimeout(found.stallTimeoutSeconds, found.requestTimeoutMs, longestPoll(resolved), problems);
  const names = workers.map(({ taskDefName }) => taskDefName);
  for (const warning of warnOfVariables(env, names)) warnings.add(warning);

  if (problems.size > 0) throw new ConfigurationError([...problems]);
  const sources = sourcesOf({ ...HANDLER_OPTIONS, ...LOG_SETTINGS }, found);
  return { ...valuesOf(found), workers, sources, warnings: [...warnings] };
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
  stallTimeout: Found<number>,
  requestTimeout: Found<number>,
  longest: WorkerConfig | undefined,
  problems: Set<string>,
): void {
  if (stallTimeout.wrong || requestTimeout.wrong || longest === undefined) return;
  const { taskDefName, longPollMs } = longest;
  const neededMs = longPollMs + requestTimeout.value + STALL_MARGIN_MS;
  if (stallTimeout.value === 0 || stallTimeout.value * 1000 >= neededMs) return;
  problems.add(
    `stallTimeoutSeconds ${stallTimeout.value} (${stallTimeout.source}) is too short: a poll of ${taskDefName} may lawfully ` +
      `take longPollMs ${longPollMs} + requestTimeoutMs ${requestTimeout.value}, and ${STALL_MARGIN_MS} ms are the margin; ` +
      `set at least ${Math.ceil(neededMs / 1000)}, or lower longPollMs or requestTimeoutMs, or set 0 to switch it off`,
  );
}
