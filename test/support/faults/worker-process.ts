import { fileURLToPath } from "node:url";
import { defineWorker, TaskHandler } from "../../../src/index.js";
import { silentLogger } from "../log/loggers.js";
import { startProcess, type RunningProcess, type StartProcessOptions } from "../process/process-harness.js";
import { EVENT_MARK, eventsIn, watchEvents, type SeenEvent } from "./event-log.js";
import { LONG_POLL_MS, REQUEST_TIMEOUT_MS } from "./world.js";

/** A worker of task type `work` in a process of its own. */
export interface WorkerProcessSettings {
  readonly serverUrl: string;
  /** What its events call it. Default `worker`. */
  readonly name?: string;
  readonly concurrency?: number;
  /** How long a task takes, in ms. Default 0. */
  readonly taskMs?: number;
  readonly requestTimeoutMs?: number;
  readonly longPollMs?: number;
}

export interface WorkerProcess extends RunningProcess {
  /** What it has told so far. */
  readonly events: readonly SeenEvent[];
}

export interface StartWorkerOptions extends Pick<StartProcessOptions, "under" | "nodeArgs" | "env"> {
  /** Another program, which takes the settings as its first argument and prints `polling`. Default: this file. */
  readonly script?: string;
}

/** Starts it, and waits until it polls. */
export async function startWorkerProcess(
  settings: WorkerProcessSettings,
  { script = fileURLToPath(import.meta.url), ...options }: StartWorkerOptions = {},
): Promise<WorkerProcess> {
  const child = startProcess({ script, args: [JSON.stringify(settings)], ...options });
  await child.waitForLine(/^polling$/, 30_000);
  return Object.defineProperty(child as RunningProcess & { events: SeenEvent[] }, "events", {
    get: () => eventsIn(child.stdout),
  });
}

/** The process itself. */
async function main(settings: WorkerProcessSettings): Promise<void> {
  const { serverUrl, name = "worker", concurrency = 5, taskMs = 0 } = settings;
  const handler = new TaskHandler({
    serverUrl,
    requestTimeoutMs: settings.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    logger: silentLogger,
    registry: false,
    workers: [
      defineWorker({
        taskDefName: "work",
        concurrency,
        longPollMs: settings.longPollMs ?? LONG_POLL_MS,
        execute: async () => {
          if (taskMs > 0) await new Promise((resolve) => setTimeout(resolve, taskMs));
          return { done: true };
        },
      }),
    ],
  });
  watchEvents(handler, name, (event) => process.stdout.write(`${EVENT_MARK}${JSON.stringify(event)}\n`));
  const running = handler.run();
  process.stdout.write("polling\n");
  await running;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main(JSON.parse(process.argv[2]!) as WorkerProcessSettings);
