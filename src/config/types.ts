import type { TaskDefFields } from "../conductor/task-def-rules.js";
import type { Credentials } from "../http/token.js";
import type { StallReport } from "../liveness/stall-report.js";
import type { LogFormat } from "../log/default-logger.js";
import type { Logger } from "../log/logger.js";
import type { MetricsRegistry } from "../metrics/registry.js";
import type { ConductorWorker, WorkerDefinition, WorkerOptions } from "../worker/define-worker.js";

/** An access key, for servers that want a token (Orkes). */
export interface AuthOptions {
  /** `CONDUCTOR_AUTH_KEY`. */
  keyId: string;
  /** Shown in no log, error or inspection. `CONDUCTOR_AUTH_SECRET`. */
  keySecret: string;
}

/** Where finished results are kept until they are delivered, so that the death of the process does not lose them. */
export interface JournalOptions {
  /**
   * A folder that outlives the process, and in a container the container. Created if it is not there, readable by its
   * owner only. Processes may share it.
   */
  dir: string;
  /**
   * Whether each result is on the disk before it is delivered, and not only with the operating system. Only a power cut
   * or the end of the whole machine makes a difference; it costs as long as the disk takes. Default false.
   */
  fsync?: boolean;
}

/** The options of a `TaskHandler`. Where an environment variable is named, it wins over the option. */
export interface TaskHandlerOptions {
  /**
   * Where Conductor's API is. Default `http://localhost:8080/api`. `/api` is added unless the path ends in it; no
   * credentials, query or hash. `CONDUCTOR_SERVER_URL`.
   */
  serverUrl?: string;
  /**
   * The access key that tokens are asked for with. Default: none, and requests go without a token. The environment's
   * `CONDUCTOR_AUTH_KEY` and `CONDUCTOR_AUTH_SECRET` win, both together.
   */
  auth?: AuthOptions;
  /** What to run. At least one; a task type (in one domain) once. */
  workers: readonly (WorkerDefinition | ConductorWorker)[];
  /**
   * The time the network and the server may take for one request, in ms, beyond the time that the server is asked to
   * hold it. 100 to 600000, default 10000. `CONDUCTOR_REQUEST_TIMEOUT_MS`.
   */
  requestTimeoutMs?: number;
  /**
   * A loop that does not iterate for this long is stuck, in seconds. Default 300, 0 = off. Must leave room for the
   * longest poll: `longPollMs` + `requestTimeoutMs` + 1 s. `CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS`.
   */
  stallTimeoutSeconds?: number;
  /**
   * How many polls the server may hold for this process at once, 1 to 1000. Each occupies one of its threads (200 by
   * default); with more task types than that, those without work lately are watched by the sizes of their queues.
   * Default 16.
   */
  maxHeldPolls?: number;
  /**
   * Whether the task types that usually come next in a workflow look for their task as soon as one is acknowledged.
   * Default true.
   */
  followWorkflows?: boolean;
  /**
   * Whether a thread watches the loops, and ends the process with exit code 70 and a report when one is stuck for
   * `stallTimeoutSeconds`. Default true; under a test runner, false.
   */
  watchdog?: boolean;
  /**
   * Called with the report of a stall before the process ends, where the event loop still turns; the end waits for it
   * no longer than for the results that are delivered meanwhile (2 s at most).
   */
  onStall?: (report: StallReport) => unknown;
  /** A file that gets the report of a stall, readable by its owner only (`0600`). It is written anew each time. */
  stallReportFile?: string;
  /**
   * Where `/livez`, `/readyz`, `/metrics` and `/status` are answered. 0: any free port. Default: nowhere.
   * `CONDUCTOR_WORKER_ADMIN_PORT`.
   */
  adminPort?: number;
  /**
   * The address that `adminPort` listens on. Default `127.0.0.1`; for probes from outside of a container, `0.0.0.0`.
   * `CONDUCTOR_WORKER_ADMIN_HOST`.
   */
  adminHost?: string;
  /**
   * The prom-client registry that gets the metrics; of any copy of prom-client. Default: the default registry of the
   * copy that Ostinato has. `false`: no metrics.
   */
  registry?: MetricsRegistry | false;
  /**
   * Keeps finished results in a file until the server has them; the next process with this folder delivers what a killed
   * one left, and their functions are not run again. Default: none, and results are in memory only.
   */
  journal?: JournalOptions;
  /**
   * A pino logger, or anything of its shape. Default: pino to stdout, level `CONDUCTOR_LOG_LEVEL` or `info`, for people
   * in a terminal and JSON otherwise (`CONDUCTOR_LOG_FORMAT`: `pretty` or `json`).
   */
  logger?: Logger;
}

/** Where a value came from, for the line that is printed at start. */
export type Source = `env ${string}` | "code" | "default";

/** A value, and where it came from. */
export interface Sourced<T> {
  readonly value: T;
  readonly source: Source;
}

/** The options of a worker that need no value. */
interface OpenWorkerOptions {
  readonly domain: string | undefined;
  /** Undefined: what the task's definition says. */
  readonly executionTimeoutMs: number | undefined;
  /** What is registered at start: a definition if there is none (`true`), or these fields of it. Absent: nothing. */
  readonly registerTaskDef?: true | TaskDefFields;
}

/** One worker, resolved: each of its options has the value that was set, or its default. */
export interface WorkerConfig
  extends Readonly<Required<Omit<WorkerOptions, keyof OpenWorkerOptions>>>, OpenWorkerOptions {
  readonly taskDefName: string;
  /** Nobody has set the `workerId`: it is made of what only this process has, and no other process polls under it. */
  readonly isWorkerIdUnique: boolean;
  /** The input is the task's `inputData` for `defineWorker`; the whole task for a worker of the official SDK's shape. */
  readonly takesTask: boolean;
  readonly execute: WorkerDefinition["execute"];
  /** Where each option's value came from. */
  readonly sources: Readonly<Record<string, Source>>;
}

/** The options of a handler that need no value, or get one of another type. */
interface OpenHandlerOptions {
  /** Undefined: requests go without a token. */
  readonly auth: Credentials | undefined;
  readonly workers: readonly WorkerConfig[];
  /** Undefined: on, except under a test runner. */
  readonly watchdog: boolean | undefined;
  readonly onStall: TaskHandlerOptions["onStall"];
  /** An absolute path. Undefined: the report goes to no file. */
  readonly stallReportFile: string | undefined;
  /** Undefined: health and metrics are answered nowhere. */
  readonly adminPort: number | undefined;
  /** Undefined: the default registry of the prom-client that Ostinato has. */
  readonly registry: MetricsRegistry | false | undefined;
  /** Undefined: results are in memory only. */
  readonly journal: Required<JournalOptions> | undefined;
  /** Undefined: the default logger, of `logLevel` and `logFormat`. */
  readonly logger: Logger | undefined;
}

/** A whole process, resolved: each option has the value that was set, or its default. `serverUrl` ends in `/api`. */
export interface HandlerConfig
  extends Readonly<Required<Omit<TaskHandlerOptions, keyof OpenHandlerOptions>>>, OpenHandlerOptions {
  readonly logLevel: string;
  /** Undefined: by whether stdout is a terminal. */
  readonly logFormat: LogFormat | undefined;
  /** Where the values came from that are told at start. */
  readonly sources: Readonly<Record<string, Source>>;
  /** Things that are odd but not wrong (an unknown variable of a known worker): one log line each. */
  readonly warnings: readonly string[];
}
