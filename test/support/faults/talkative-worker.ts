import cluster from "node:cluster";
import { fileURLToPath } from "node:url";
import { defineWorker, TaskHandler } from "../../../src/index.js";
import { superviseWorkers } from "../../../src/supervisor/index.js";
import { silentLogger } from "../log/loggers.js";
import { EVENT_MARK, watchEvents } from "./event-log.js";
import type { StartWorkerOptions, WorkerProcessSettings } from "./worker-process.js";
import { LONG_POLL_MS, REQUEST_TIMEOUT_MS } from "./world.js";

/** How often the child sends all of it, in ms. */
const EVERY_MS = 100;
const TASK = { taskId: 5, workflowInstanceId: {}, taskType: null, workerId: [], pollCount: "1", state: "?" };
const RUNNER = { taskType: { toString: 1 }, state: "polling", phase: 7, concurrency: "9", lastBeatAgoMs: null };
const STATUS = { state: "running", runners: [], inFlight: 0, resultsWaiting: 0, abandoned: 0, outboxFull: false };
const beat = (status: unknown, tasks: unknown = []) => ({ kind: "beat", status, tasks });

/** What looks like messages to a supervisor, and is none. */
const NONSENSE: readonly unknown[] = [
  { kind: "later" },
  { kind: "ready" },
  { kind: "ready", stallMs: "never", pollers: [null] },
  { kind: "ready", stallMs: -1, pollers: "all" },
  beat(undefined),
  beat(null, null),
  beat({}),
  beat({ runners: null }),
  beat({ ...STATUS, serverReachable: true, runners: [null] }),
  beat({ ...STATUS, serverReachable: true, runners: [RUNNER] }),
  beat({ ...STATUS, serverReachable: true, runners: {} }),
  beat({ ...STATUS, serverReachable: 0 }, [TASK]),
  { kind: "stopped", leftInFlight: {}, metrics: [{}] },
  { kind: "metrics", id: {}, metrics: 5 },
  { kind: "metrics", id: -1, metrics: [null] },
  { kind: "reclaimed", id: "all" },
];

/** What a scrape is answered with, in addition to what the process has counted. */
const METRICS: readonly unknown[] = [
  null,
  { name: "a\nb", help: "h", type: "counter", values: [] },
  { name: "no_help", type: "counter", values: [{ value: 1 }] },
  { name: "no_values", help: "h", type: "gauge", values: { length: 1 } },
  {
    name: "odd_labels",
    help: "h",
    type: "gauge",
    values: [
      { value: 1, labels: null },
      { value: 1, labels: 'x="1"' },
    ],
  },
  { name: "odd_value", help: "h", type: "gauge", values: [{ value: { valueOf: 1 }, labels: {} }] },
];

/**
 * A supervisor with one process whose script sends what it likes over the channel to its supervisor, among what the
 * process has to tell: what a process world's `startWorker` takes to start it. It prints `admin <url>`.
 */
export function talkative(): [settings: object, options: StartWorkerOptions] {
  return [{}, { script: fileURLToPath(import.meta.url) }];
}

async function supervise(): Promise<void> {
  const { adminUrl, exited } = await superviseWorkers({
    script: fileURLToPath(import.meta.url),
    args: process.argv.slice(2),
    adminPort: 0,
  });
  console.log(`admin ${adminUrl ?? ""}`);
  process.exitCode = (await exited).code;
}

async function work({ serverUrl, name = "worker" }: WorkerProcessSettings): Promise<void> {
  const handler = new TaskHandler({
    serverUrl,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    logger: silentLogger,
    workers: [
      defineWorker({ taskDefName: "work", concurrency: 5, longPollMs: LONG_POLL_MS, execute: () => ({ done: true }) }),
    ],
  });
  watchEvents(handler, name, (event) => process.stdout.write(`${EVENT_MARK}${JSON.stringify(event)}\n`));
  const running = handler.run();
  const send = process.send?.bind(process);
  setInterval(() => {
    for (const ostinato of NONSENSE) send?.({ ostinato });
    for (const id of Array(20).keys()) send?.({ ostinato: { kind: "metrics", id, metrics: METRICS } });
  }, EVERY_MS).unref();
  process.stdout.write("polling\n");
  await running;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (cluster.isPrimary) await supervise();
  else await work(JSON.parse(process.argv[2]!) as WorkerProcessSettings);
}
