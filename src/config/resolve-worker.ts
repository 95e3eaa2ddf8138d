import { types } from "node:util";
import {
  IS_GENERATOR,
  isWorkerDefinition,
  type ConductorWorker,
  type WorkerDefinition,
} from "../worker/define-worker.js";
import { variablesOf } from "./env-names.js";
import { readOptions, sourcesOf, valuesOf } from "./option.js";
import { checkWorkerOptionNames } from "./option-names.js";
import { quote, type Env } from "./parse.js";
import type { WorkerConfig } from "./types.js";
import { WORKER_OPTIONS } from "./worker-options.js";

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

  const give = (name: string, spellings: readonly string[]) => ({
    env,
    variables: variablesOf(taskDefName, spellings),
    option: `${label}: ${name}`,
    code: Reflect.get(worker, name) as unknown,
    taskDefName,
  });
  const found = readOptions(WORKER_OPTIONS, give, problems);
  const { workerId, registerTaskDef, ...values } = valuesOf(found);
  const config: WorkerConfig = {
    ...values,
    taskDefName,
    workerId: workerId ?? defaultWorkerId,
    isWorkerIdUnique: found.workerId.source === "default",
    takesTask: !isOurs,
    // `this` of a worker that is an instance of a class is that instance, as it is when called directly.
    execute: isOurs ? worker.execute : worker.execute.bind(worker),
    ...(registerTaskDef === false ? {} : { registerTaskDef }),
    sources: sourcesOf(WORKER_OPTIONS, found),
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
