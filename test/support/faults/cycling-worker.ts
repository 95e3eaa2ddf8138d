import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Registry } from "prom-client";
import { defineWorker, TaskHandler } from "../../../src/index.js";
import { silentLogger } from "../log/loggers.js";
import { EVENT_MARK, watchEvents } from "./event-log.js";
import type { WorkerProcessSettings } from "./worker-process.js";
import { REQUEST_TIMEOUT_MS } from "./world.js";

/** A worker process that starts and stops again and again, and prints what it holds; then it runs until SIGTERM. */
export interface CyclingSettings extends WorkerProcessSettings {
  readonly cycles: number;
  readonly journalDir: string;
}

export const CYCLING_WORKER = fileURLToPath(import.meta.url);
export const HOLDINGS_MARK = "@holdings ";

/** What must not grow. */
export interface Holdings {
  readonly cycle: number;
  readonly heapMb: number;
  readonly externalMb: number;
  /** Open file descriptors, sockets among them. */
  readonly descriptors: number;
  readonly threads: number;
  /** What keeps the event loop alive. */
  readonly resources: number;
  /** Listeners on the process itself. */
  readonly listeners: number;
}

/** Holdings are taken at these: the first ones include what is loaded when first needed. */
const COUNTED_EVERY = 50;

async function holdings(cycle: number): Promise<Holdings> {
  // Threads and sockets are let go of a little after their end.
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { heapUsed, external } = process.memoryUsage();
  return {
    cycle,
    heapMb: heapUsed / 2 ** 20,
    externalMb: external / 2 ** 20,
    descriptors: readdirSync("/proc/self/fd").length,
    threads: readdirSync("/proc/self/task").length,
    resources: process.getActiveResourcesInfo().length,
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
  };
}

async function main({ serverUrl, cycles, journalDir }: CyclingSettings): Promise<void> {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const registry = new Registry();
  const create = (isSeen: boolean) => {
    const handler = new TaskHandler({
      serverUrl,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      logger: silentLogger,
      registry,
      adminPort: 0,
      watchdog: true,
      journal: { dir: journalDir },
      workers: [defineWorker({ taskDefName: "work", concurrency: 5, longPollMs: 20, execute: () => ({ done: true }) })],
    });
    if (isSeen) watchEvents(handler, "worker", (event) => say(EVENT_MARK + JSON.stringify(event)));
    return handler;
  };
  say("polling");
  let handler = create(true);
  for (let cycle = 1; cycle <= cycles; cycle++) {
    // One in two is started again, the other ones are new; and one in two was run, which has listeners on the process.
    if (cycle % 2 === 0) handler = create(true);
    if (cycle % 4 < 2) {
      const running = handler.run();
      await handler.start();
      await handler.stop();
      await running;
    } else {
      await handler.start();
      await handler.stop();
    }
    if (cycle % COUNTED_EVERY === 0) say(HOLDINGS_MARK + JSON.stringify(await holdings(cycle)));
  }
  say("cycled");
  await create(true).run();
}

if (process.argv[1] === CYCLING_WORKER) await main(JSON.parse(process.argv[2]!) as CyclingSettings);
