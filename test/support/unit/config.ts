import { ConfigurationError } from "../../../src/base/errors.js";
import { resolveConfig } from "../../../src/config/resolve.js";
import type { HandlerConfig, TaskHandlerOptions, WorkerConfig } from "../../../src/config/types.js";
import { defineWorker, type WorkerDefinition, type WorkerOptions } from "../../../src/worker/define-worker.js";

export const identity = { hostname: "host", pid: 42, random: "x7f3" };

export type Environment = Readonly<Record<string, string | undefined>>;

/** A worker that does nothing. */
export function worker(taskDefName = "greet", options: WorkerOptions = {}): WorkerDefinition {
  return defineWorker({ taskDefName, execute: () => ({}), ...options });
}

/** Options as JavaScript may pass them. */
export function resolve(options: object = {}, env: Environment = {}): HandlerConfig {
  return resolveConfig({ workers: [worker()], ...options }, env, identity);
}

/** The one worker `greet`, resolved. */
export function resolveGreet(options: WorkerOptions = {}, env: Environment = {}): WorkerConfig {
  return resolve({ workers: [worker("greet", options)] }, env).workers[0]!;
}

/** What is wrong; fails when nothing is. */
export function problemsOf(options: unknown, env: Environment = {}): readonly string[] {
  try {
    resolveConfig(options as TaskHandlerOptions, env, identity);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  throw new Error("nothing was wrong");
}

/** What is wrong with options beside one good worker. */
export function problemsWith(options: object, env: Environment = {}): readonly string[] {
  return problemsOf({ workers: [worker()], ...options }, env);
}
