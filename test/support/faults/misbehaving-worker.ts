import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { defineWorker, TaskHandler, type TaskContext } from "../../../src/index.js";
import { silentLogger } from "../log/loggers.js";
import { EVENT_MARK, watchEvents } from "./event-log.js";
import type { StartWorkerOptions, WorkerProcessSettings } from "./worker-process.js";
import { LONG_POLL_MS, REQUEST_TIMEOUT_MS, type Input } from "./world.js";

/**
 * A worker process whose functions do what their input's `mode` says: nothing (default), `block` (computes for `data`
 * ms), `tellsTime` (by the wall clock) and, at the first attempt only, `slow` (takes `data` ms), `large` (returns `data`
 * characters), `secret` (the same, and a secret), `fails`, `rejects`, `throwsLater` and `wedges`.
 */
export interface MisbehavingSettings extends WorkerProcessSettings {
  /** A second task type. */
  readonly otherType?: string;
  readonly executionTimeoutMs?: number;
  /** With it the watchdog watches. Default: none. */
  readonly stallTimeoutSeconds?: number;
  readonly stallReportFile?: string;
  readonly journalDir?: string;
  /** Use the SDK's own logger, to stdout. Default: none. */
  readonly logs?: boolean;
  /** The file descriptor that gets the events. Default 1, stdout. */
  readonly eventsFd?: number;
}

/** What a process world's `startWorker` takes to start one. */
export function misbehaving(
  settings: Partial<MisbehavingSettings> = {},
  options: Omit<StartWorkerOptions, "script"> = {},
): [settings: Partial<MisbehavingSettings>, options: StartWorkerOptions] {
  return [settings, { ...options, script: fileURLToPath(import.meta.url) }];
}

const HOUR_MS = 3_600_000;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function compute(ms: number): void {
  const endAt = performance.now() + ms;
  while (performance.now() < endAt);
}

async function execute({ mode, data, n }: Input, { retryCount }: TaskContext) {
  const done = { done: true, n };
  if (mode === "slow" && retryCount === 0) await sleep(Number(data));
  if (mode === "block") compute(Number(data));
  if (mode === "tellsTime") return { wallMs: Date.now() };
  if (retryCount > 0) return done;
  if (mode === "large") return { ...done, precious: "x".repeat(Number(data)) };
  if (mode === "secret") return { ...done, precious: "x".repeat(Number(data)), token: "hush" };
  if (mode === "fails") throw new Error("as it was told");
  if (mode === "rejects") {
    void Promise.reject(new Error("nobody catches this"));
    await sleep(HOUR_MS);
  } else if (mode === "throwsLater") {
    setTimeout(() => {
      throw new Error("nobody catches this");
    }, 1_000);
    await sleep(HOUR_MS);
  } else if (mode === "wedges") compute(HOUR_MS);
  return done;
}

async function main(settings: MisbehavingSettings): Promise<void> {
  const { serverUrl, name = "worker", concurrency = 5, eventsFd = 1, otherType } = settings;
  const { executionTimeoutMs, stallTimeoutSeconds, stallReportFile, journalDir } = settings;
  const worker = (taskDefName: string) =>
    defineWorker({
      taskDefName,
      concurrency,
      longPollMs: settings.longPollMs ?? LONG_POLL_MS,
      ...(executionTimeoutMs === undefined ? {} : { executionTimeoutMs }),
      execute,
    });
  const handler = new TaskHandler({
    serverUrl,
    requestTimeoutMs: settings.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    registry: false,
    watchdog: stallTimeoutSeconds !== undefined,
    workers: ["work", ...(otherType === undefined ? [] : [otherType])].map(worker),
    ...(settings.logs === true ? {} : { logger: silentLogger }),
    ...(stallTimeoutSeconds === undefined ? {} : { stallTimeoutSeconds }),
    ...(stallReportFile === undefined ? {} : { stallReportFile }),
    ...(journalDir === undefined ? {} : { journal: { dir: journalDir } }),
  });
  const say = (line: string) => void fs.writeSync(eventsFd, `${line}\n`);
  watchEvents(handler, name, (event) => {
    say(EVENT_MARK + JSON.stringify(event));
  });
  const running = handler.run();
  say("polling");
  await running;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(JSON.parse(process.argv[2]!) as MisbehavingSettings);
