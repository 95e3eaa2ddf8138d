import { HANDLER_OPTIONS } from "./handler-options.js";
import type { OptionTable } from "./option.js";
import { LOG_SETTINGS } from "./process-settings.js";
import type { HandlerConfig, Source, WorkerConfig } from "./types.js";
import { WORKER_OPTIONS } from "./worker-options.js";

/**
 * One line that says how a worker was resolved and from where: `greet: concurrency=10 (env
 * CONDUCTOR_WORKER_ALL_CONCURRENCY) domain=none …`. Defaults are not marked.
 */
export function describeWorker(config: WorkerConfig): string {
  const values = { ...config, registerTaskDef: config.registerTaskDef ?? false };
  const options = pairs(WORKER_OPTIONS, values, config.sources);
  return `${plain(config.taskDefName)}: ${options}${config.takesTask ? " execute=takes-task" : ""}`;
}

/** One line that says how the process was resolved and from where, its workers only counted. */
export function describeHandler(config: HandlerConfig): string {
  const options = pairs({ ...HANDLER_OPTIONS, ...LOG_SETTINGS }, { ...config }, config.sources);
  return `ostinato: ${options} workers=${config.workers.length}`;
}

function pairs(
  table: OptionTable<never>,
  values: Readonly<Record<string, unknown>>,
  sources: Readonly<Record<string, Source>>,
): string {
  return Object.entries(table)
    .flatMap(([name, option]) => {
      const source = sources[name] ?? "default";
      const shown = option.show?.(values[name], source);
      if (shown === undefined) return [];
      return `${name}=${plain(String(shown))}${source === "default" ? "" : ` (${source})`}`;
    })
    .join(" ");
}

/** Quoted where it would not be one word on one line. */
function plain(value: string): string {
  return /^[^\s"()=\p{C}]+$/u.test(value) ? value : JSON.stringify(value);
}
