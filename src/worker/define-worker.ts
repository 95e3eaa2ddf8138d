import { inspect, types } from "node:util";

import type { Task, TaskDef, TaskResult } from "../conductor/types.js";
import { ConfigurationError } from "../base/errors.js";
import type { InProgress } from "./in-progress.js";
import type { TaskContext } from "./task-context.js";

const brand = Symbol.for("ostinato.worker");

/** The options of a worker. Each can be overridden from the environment: see `CONDUCTOR_WORKER_<TASK>_<PROP>`. */
export interface WorkerOptions {
  /** How many tasks of this type run at once in this process. Default 1. `CONCURRENCY`. */
  concurrency?: number;
  /** Poll only this domain. Default: none. `DOMAIN`. */
  domain?: string;
  /** Who we are to the server. Default `host:pid:random`, unique to this process. `WORKER_ID`. */
  workerId?: string;
  /**
   * How long one execution may take, in ms. Beyond the response timeout the lease is extended until then. At the
   * deadline the signal aborts, the slot is freed and the task is reported failed (retryable). Default: the
   * definition's `timeoutSeconds`, else its `responseTimeoutSeconds` less a margin for delivery. `EXECUTION_TIMEOUT_MS`.
   */
  executionTimeoutMs?: number;
  /** How long an idle poll is held by the server, in ms: 0 to 5000, the server's limit. Default 2000. `POLL_TIMEOUT`. */
  longPollMs?: number;
  /** Start without polling, until `resume()`. Default false. `PAUSED`. */
  paused?: boolean;
  /**
   * What becomes of a task that still runs at the end of a drain: `handBack` puts it in the queue again and uses no
   * retry; `fail` reports it failed (retryable). A task whose definition has `retryCount: 0` is always failed.
   * Default `handBack`. `ON_DRAIN_DEADLINE`.
   */
  onDrainDeadline?: "handBack" | "fail";
  /**
   * Register the task definition at start, in the background. `true`: create it with Conductor's defaults if there is
   * none. An object: write these fields over the definition where they differ, and keep the rest. Default false.
   * `REGISTER_TASK_DEF` switches it on or off.
   */
  registerTaskDef?: boolean | Readonly<Partial<TaskDef>>;
}

/** A generator would be called, and not a line of it would run: each task would complete, with an empty output. */
export const IS_GENERATOR = "execute must be a function that runs when it is called, got a generator: take the * away";

/** The function of a worker: input in, output out. */
export type Execute<Input, Output> = (
  input: Input,
  ctx: TaskContext,
) => Output | InProgress | Promise<Output | InProgress>;

/** What a worker is made of. */
export interface WorkerSpec<Input, Output> extends WorkerOptions {
  /** The task type: the name of the task definition. Without `/`, which the server cannot serve. */
  taskDefName: string;
  /**
   * Returns the task's output (an object; anything else becomes `{ result: … }`), or `inProgress(…)`, or throws. A
   * thrown `NonRetryableError` ends the task for good; anything else is a failure that the server may retry.
   */
  execute: Execute<Input, Output>;
}

/** The one list of what a worker is made of; the compiler holds it to {@link WorkerSpec}. */
const WORKER_OPTIONS = {
  taskDefName: true,
  execute: true,
  concurrency: true,
  domain: true,
  workerId: true,
  executionTimeoutMs: true,
  longPollMs: true,
  paused: true,
  onDrainDeadline: true,
  registerTaskDef: true,
} satisfies Record<keyof WorkerSpec<never, unknown>, true>;

/** The names of all that a worker is made of. */
export const WORKER_OPTION_NAMES = Object.keys(WORKER_OPTIONS) as readonly (keyof typeof WORKER_OPTIONS)[];

/** A worker, checked and frozen. */
export interface WorkerDefinition extends Readonly<WorkerOptions> {
  readonly taskDefName: string;
  readonly execute: Execute<never, unknown>;
}

/** A worker as the official JavaScript SDK declares it: the whole task in, a task result out. */
export interface ConductorWorker extends WorkerOptions {
  taskDefName: string;
  /** Takes the whole task; what it returns is the result. What it throws is a failure that the server may retry. */
  execute: (task: Task) => Promise<Partial<TaskResult>>;
}

/**
 * Declares a worker. `this` of `execute` is the object that was passed, which may be an instance of a class. Throws
 * `ConfigurationError` when the name or the function is missing; the other options are checked when the process starts,
 * together with the environment.
 */
export function defineWorker<Input = Record<string, unknown>, Output = unknown>(
  spec: WorkerSpec<Input, Output>,
): WorkerDefinition {
  const given: unknown = spec;
  if (typeof given !== "object" || given === null) {
    throw new ConfigurationError([`defineWorker: pass { taskDefName, execute }, got ${show(given)}`]);
  }
  // Read once, and not by spreading: a method of a class is not an own property.
  const { taskDefName, execute } = spec;
  const problems: string[] = [];
  if (typeof taskDefName !== "string" || taskDefName.trim() === "") {
    problems.push(`defineWorker: taskDefName must be the name of a task definition, got ${show(taskDefName)}`);
  }
  if (typeof execute !== "function") {
    problems.push(`defineWorker(${show(taskDefName)}): execute must be a function, got ${show(execute)}`);
  } else if (types.isGeneratorFunction(execute)) {
    problems.push(`defineWorker(${show(taskDefName)}): ${IS_GENERATOR}`);
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  // Other fields of an instance are its own business; those of a plain object are options, and checked at start.
  const definition: Record<string | symbol, unknown> = isPlainObject(spec) ? { ...spec } : {};
  for (const name of WORKER_OPTION_NAMES) {
    if (spec[name] !== undefined) definition[name] = spec[name];
  }
  definition.execute = execute.bind(spec);
  Object.defineProperty(definition, brand, { value: true });
  return Object.freeze(definition) as unknown as WorkerDefinition;
}

/** True for what {@link defineWorker} made, in any copy of this package. */
export function isWorkerDefinition(value: unknown): value is WorkerDefinition {
  return typeof value === "object" && value !== null && brand in value;
}

/** True for `{ … }`, false for an instance of a class. */
export function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** A value that should not be there, short, whatever it is (`JSON.stringify` throws for some). */
function show(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 100 });
}
