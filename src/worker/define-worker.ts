import type { Task, TaskResult } from "../conductor/types.js";
import { ConfigurationError } from "../errors.js";
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
}

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

/** A worker, checked and frozen. */
export interface WorkerDefinition extends Readonly<WorkerOptions> {
  readonly taskDefName: string;
  readonly execute: Execute<never, unknown>;
}

/** A worker as the official JavaScript SDK declares it: the whole task in, a task result out. */
export interface ConductorWorker extends WorkerOptions {
  taskDefName: string;
  execute: (task: Task) => Promise<Partial<TaskResult>>;
}

/** Declares a worker. Throws `ConfigurationError` when the name or the function is missing. */
export function defineWorker<Input = Record<string, unknown>, Output = unknown>(
  spec: WorkerSpec<Input, Output>,
): WorkerDefinition {
  const problems: string[] = [];
  if (typeof spec.taskDefName !== "string" || spec.taskDefName.trim() === "") {
    problems.push(`defineWorker: taskDefName must be the name of a task definition, got ${JSON.stringify(spec.taskDefName)}`);
  }
  if (typeof spec.execute !== "function") {
    problems.push(`defineWorker(${JSON.stringify(spec.taskDefName)}): execute must be a function, got ${typeof spec.execute}`);
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  const definition = { ...spec };
  Object.defineProperty(definition, brand, { value: true });
  return Object.freeze(definition) as unknown as WorkerDefinition;
}

/** True for what {@link defineWorker} made, in any copy of this package. */
export function isWorkerDefinition(value: unknown): value is WorkerDefinition {
  return typeof value === "object" && value !== null && brand in value;
}
