import type { HandlerConfig, Source, WorkerConfig } from "./types.js";

/**
 * One line that says how a worker was resolved and from where: `greet: concurrency=10 (env
 * CONDUCTOR_WORKER_ALL_CONCURRENCY) domain=none …`. Defaults are not marked.
 */
export function describeWorker(config: WorkerConfig): string {
  const values = {
    concurrency: config.concurrency,
    domain: config.domain ?? "none",
    workerId: config.workerId,
    executionTimeoutMs: config.executionTimeoutMs ?? "by-definition",
    longPollMs: config.longPollMs,
    paused: config.paused,
    onDrainDeadline: config.onDrainDeadline,
    ...(isSet(config, "registerTaskDef") ? { registerTaskDef: fieldsOf(config.registerTaskDef) } : {}),
  };
  return `${plain(config.taskDefName)}: ${pairs(values, config.sources)}${config.takesTask ? " execute=takes-task" : ""}`;
}

/** One line that says how the process was resolved and from where, its workers only counted. */
export function describeHandler(config: HandlerConfig): string {
  const values = {
    serverUrl: config.serverUrl,
    auth: config.auth === undefined ? "none" : "key",
    requestTimeoutMs: config.requestTimeoutMs,
    stallTimeoutSeconds: config.stallTimeoutSeconds === 0 ? "off" : config.stallTimeoutSeconds,
    watchdog: config.watchdog ?? "default",
    adminPort: config.adminPort ?? "none",
    logLevel: config.logLevel,
  };
  return `ostinato: ${pairs(values, config.sources)} workers=${config.workers.length}`;
}

function isSet({ sources }: WorkerConfig, option: string): boolean {
  return (sources[option] ?? "default") !== "default";
}

/** `true`, `false`, or which fields. */
function fieldsOf(registerTaskDef: WorkerConfig["registerTaskDef"]): string | boolean {
  if (registerTaskDef === undefined || registerTaskDef === true) return registerTaskDef ?? false;
  return Object.keys(registerTaskDef).join(",") || true;
}

function pairs(values: Record<string, string | number | boolean>, sources: Readonly<Record<string, Source>>): string {
  return Object.entries(values)
    .map(([name, value]) => {
      const source = sources[name] ?? "default";
      return `${name}=${plain(String(value))}${source === "default" ? "" : ` (${source})`}`;
    })
    .join(" ");
}

/** Quoted where it would not be one word on one line. */
function plain(value: string): string {
  return /^[^\s"()=\p{C}]+$/u.test(value) ? value : JSON.stringify(value);
}
