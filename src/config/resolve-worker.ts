import { types } from "node:util";
import {
  IS_GENERATOR,
  isWorkerDefinition,
  type ConductorWorker,
  type WorkerDefinition,
} from "../worker/define-worker.js";
import { variablesOf, type WORKER_PROPS } from "./env-names.js";
import { checkWorkerOptionNames } from "./option-names.js";
import { decimal, find, flag, integer, oneOf, quote, text, type Env, type Found, type Kind } from "./parse.js";
import { resolveRegisterTaskDef } from "./resolve-task-def.js";
import type { WorkerConfig } from "./types.js";

/** Of one task type in one process. Far more would not even fit into the server's `count`, and every poll would fail. */
export const MAX_CONCURRENCY = 10_000;

export const DEFAULT_LONG_POLL_MS = 2000;

/** Node's timers cannot be longer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const concurrencyKind = integer(1, MAX_CONCURRENCY);
const longPollKind = integer(0, 5000, " (ms; the server refuses to hold a poll for longer)");
const executionTimeoutKind = decimal(
  (value) => value > 0 && value <= MAX_TIMER_MS,
  `a number above 0 and up to ${MAX_TIMER_MS} (ms, 24 days)`,
);
const drainKind = oneOf(["handBack", "fail"] as const, { hand_back: "handBack" });

/** What was found out about one entry of `workers`. */
export interface ResolvedWorker {
  readonly config: WorkerConfig;
  /** False when `longPollMs` could not be read. */
  readonly hasLongPoll: boolean;
}

/**
 * Resolves one entry of `workers`. Undefined when it is no worker at all, or has no name to go by; what is wrong is
 * added to `problems`, what is odd to `warnings`.
 */
export function resolveWorker(
  entry: unknown,
  index: number,
  env: Env,
  defaultWorkerId: string,
  problems: Set<string>,
  warnings: Set<string>,
): ResolvedWorker | undefined {
  const shape = shapeProblem(entry, index);
  if (shape !== undefined) {
    problems.add(shape);
    return undefined;
  }
  const isOurs: boolean = isWorkerDefinition(entry);
  const worker = entry as WorkerDefinition | ConductorWorker;
  const { taskDefName } = worker;
  const wrongName = nameProblem(taskDefName, index);
  if (wrongName !== undefined) problems.add(wrongName);
  if (typeof taskDefName !== "string" || taskDefName.trim() === "") return undefined;

  const label = `workers[${index}] (${taskDefName})`;
  if (typeof worker.execute !== "function") {
    problems.add(`${label}: execute must be a function, got ${quote(worker.execute)}`);
    return undefined;
  }
  if (types.isGeneratorFunction(worker.execute)) problems.add(`${label}: ${IS_GENERATOR}`);

  const names = checkWorkerOptionNames(worker, label, isOurs);
  for (const problem of names.problems) problems.add(problem);
  for (const warning of names.warnings) warnings.add(warning);

  const prop = <T, F extends T | undefined>(
    name: keyof typeof WORKER_PROPS,
    kind: Kind<T>,
    fallback: F,
  ): Found<T | F> =>
    find(
      kind,
      {
        env,
        variables: variablesOf(taskDefName, name),
        option: `${label}: ${name}`,
        code: Reflect.get(worker, name),
        fallback,
      },
      problems,
    );
  const found = {
    concurrency: prop("concurrency", concurrencyKind, 1),
    domain: prop("domain", text, undefined),
    workerId: prop("workerId", text, defaultWorkerId),
    executionTimeoutMs: prop("executionTimeoutMs", executionTimeoutKind, undefined),
    longPollMs: prop("longPollMs", longPollKind, DEFAULT_LONG_POLL_MS),
    paused: prop("paused", flag, false),
    onDrainDeadline: prop<"handBack" | "fail", "handBack">("onDrainDeadline", drainKind, "handBack"),
    registerTaskDef: resolveRegisterTaskDef(taskDefName, worker.registerTaskDef, label, env, problems),
  };
  const { value: registerTaskDef } = found.registerTaskDef;
  // `this` of a worker that is an instance of a class is that instance, as it is when called directly.
  const execute = isOurs ? worker.execute : worker.execute.bind(worker);
  const config: WorkerConfig = {
    taskDefName,
    concurrency: found.concurrency.value,
    domain: found.domain.value,
    workerId: found.workerId.value,
    executionTimeoutMs: found.executionTimeoutMs.value,
    longPollMs: found.longPollMs.value,
    paused: found.paused.value,
    onDrainDeadline: found.onDrainDeadline.value,
    takesTask: !isOurs,
    execute,
    ...(registerTaskDef === false ? {} : { registerTaskDef }),
    sources: Object.fromEntries(Object.entries(found).map(([name, { source }]) => [name, source])),
  };
  return { config, hasLongPoll: !found.longPollMs.wrong };
}

function shapeProblem(entry: unknown, index: number): string | undefined {
  const label = `workers[${index}]`;
  if (entry === undefined) return `${label} is undefined: is its import misspelt or circular?`;
  if (typeof entry === "function") {
    const name = entry.name || "fn";
    return (
      `${label} is a function: wrap it, defineWorker({ taskDefName: "…", execute: ${name} }), ` +
      `or { taskDefName: "…", execute: ${name} } if it takes the whole task, as with the official SDK`
    );
  }
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) {
    return `${label} must be made by defineWorker({ taskDefName, execute }), got ${quote(entry)}`;
  }
  return undefined;
}

function nameProblem(name: unknown, index: number): string | undefined {
  const label = `workers[${index}]: taskDefName`;
  if (typeof name !== "string" || name.trim() === "") {
    return `${label} must be the name of a task definition, got ${quote(name)}`;
  }
  if (name !== name.trim()) return `${label} must not begin or end with a blank, got ${quote(name)}`;
  if (/\p{Surrogate}/u.test(name)) return `${label} ${quote(name)} has half a surrogate pair and cannot be polled`;
  if (/[/\\]/.test(name) || /^\.\.?$/.test(name)) {
    return `${label} ${quote(name)} cannot be polled: the server refuses / and \\ in the path of a poll; rename the task`;
  }
  return undefined;
}
