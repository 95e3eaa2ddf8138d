import type { WorkerDefinition, ConductorWorker } from "../worker/define-worker.js";
import type { Logger } from "../telemetry/logger.js";

/** The options of a `TaskHandler`. Where an environment variable is named, it wins over the option. */
export interface TaskHandlerOptions {
  /**
   * Where Conductor's API is. Default `http://localhost:8080/api`. `/api` is added unless the path ends in it; no
   * credentials, query or hash. `CONDUCTOR_SERVER_URL`.
   */
  serverUrl?: string;
  /** What to run. At least one; a task type (in one domain) once. */
  workers: readonly (WorkerDefinition | ConductorWorker)[];
  /**
   * The time the network and the server may take for one request, in ms, beyond what we ask the server to hold it.
   * 100 to 600000, default 10000. `CONDUCTOR_REQUEST_TIMEOUT_MS`.
   */
  requestTimeoutMs?: number;
  /**
   * A loop that does not iterate for this long is stuck, in seconds. Default 300, 0 = off. Must leave room for the
   * longest poll: `longPollMs` + `requestTimeoutMs` + 1 s.
   * `CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS`.
   */
  stallTimeoutSeconds?: number;
  /** A pino logger, or anything of its shape. Default: pino, JSON to stdout, level `CONDUCTOR_LOG_LEVEL` or `info`. */
  logger?: Logger;
}

/** Where a value came from, for the line that is printed at start. */
export type Source = `env ${string}` | "code" | "default";

export interface Sourced<T> {
  readonly value: T;
  readonly source: Source;
}

/** One worker, resolved: no field is left open. */
export interface WorkerConfig {
  readonly taskDefName: string;
  readonly concurrency: number;
  readonly domain: string | undefined;
  readonly workerId: string;
  readonly executionTimeoutMs: number | undefined;
  readonly longPollMs: number;
  readonly paused: boolean;
  readonly onDrainDeadline: "handBack" | "fail";
  /** The input is the task's `inputData` for `defineWorker`; the whole task for a worker of the official SDK's shape. */
  readonly takesTask: boolean;
  readonly execute: WorkerDefinition["execute"];
  readonly sources: Readonly<Record<string, Source>>;
}

/** A whole process, resolved. */
export interface HandlerConfig {
  /** Ends in `/api`, without a slash after it. */
  readonly serverUrl: string;
  readonly requestTimeoutMs: number;
  readonly stallTimeoutSeconds: number;
  readonly logLevel: string;
  readonly workers: readonly WorkerConfig[];
  readonly sources: Readonly<Record<string, Source>>;
  /** Things that are odd but not wrong (an unknown variable of a known worker): one log line each. */
  readonly warnings: readonly string[];
}
