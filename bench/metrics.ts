/**
 * What counting costs: nanoseconds per event, from the emitter through the listener to the numbers, and how long a scrape
 * takes. `npm run bench -- metrics [rounds]`.
 */
import { Registry } from "prom-client";
import { ConductorError } from "../src/conductor/errors.js";
import type { GroupStatus } from "../src/status.js";
import { createEmitter, type Topic, type WorkerEmitter } from "../src/events/emitter.js";
import type { WorkerEventName, WorkerEvents } from "../src/events/events.js";
import { attachMetrics } from "../src/metrics/metrics.js";

const TASK_TYPES = 20;
const EVENTS_PER_ROUND = 100_000;

const taskTypes = Array.from({ length: TASK_TYPES }, (_, i) => `order_step_${i}`);
const taskId = "7d3f0c1e-0b58-4c4e-a0f5-5f6f1c2b3a4d";
const workflowInstanceId = "wf";
const error = new ConductorError({
  code: "CONNECT_FAILED",
  message: "refused",
  method: "POST",
  pathTemplate: "/tasks",
  retryable: true,
});

type Samples = { [K in WorkerEventName]?: (taskType: string, i: number) => WorkerEvents[K] };
const samples: Samples = {
  pollCompleted: (taskType, i) => ({ taskType, requested: 10, received: 10, durationMs: i % 3000 }),
  pollFailed: (taskType, i) => ({ taskType, durationMs: i % 3000, error }),
  pollSkipped: (taskType) => ({ taskType, reason: "full" }),
  taskStarted: (taskType, i) => ({ taskType, taskId, workflowInstanceId, queueWaitMs: i % 60_000 }),
  taskExecuted: (taskType, i) => ({ taskType, taskId, workflowInstanceId, durationMs: i % 3000, status: "COMPLETED" }),
  taskFailed: (taskType, i) => ({
    taskType,
    taskId,
    workflowInstanceId,
    durationMs: i % 3000,
    terminal: false,
    reason: "no",
    error,
  }),
  taskUpdated: (taskType, i) => ({
    taskId,
    workflowInstanceId,
    taskType,
    durationMs: i % 100,
    attemptMs: i % 100,
    attempts: 1,
    status: "COMPLETED",
    resultBytes: i % 100_000,
  }),
  taskHandedBack: (taskType) => ({ taskType, taskId, workflowInstanceId, reason: "surplus" }),
  requestEnded: (_taskType, i) => ({
    lane: "main",
    method: i % 2 === 0 ? "GET" : "POST",
    pathTemplate: i % 2 === 0 ? "/tasks/poll/batch/{taskType}" : "/tasks/update-v2",
    status: 200,
    durationMs: i % 3000,
  }),
};

const status: GroupStatus = {
  runners: taskTypes.map((taskType) => ({
    taskType,
    domain: undefined,
    state: "polling",
    phase: "polling",
    concurrency: 10,
    running: 5,
    lastBeatAgoMs: 100,
    lastPollAgoMs: 200,
    pollsFailing: undefined,
  })),
  inFlight: 1,
  resultsWaiting: 0,
  abandoned: 0,
  outboxFull: false,
  serverReachable: true,
};

/** The best of the rounds: what else the machine did is not the event's cost. */
function nsPerEvent(name: WorkerEventName, emitter: WorkerEmitter, rounds: number): number {
  const make = samples[name] as (taskType: string, i: number) => WorkerEvents[typeof name];
  // Events are made beforehand: the runner makes them whoever listens.
  const events = Array.from({ length: 1_000 }, (_, i) => make(taskTypes[i % TASK_TYPES] ?? "", i * 37));
  const topic = emitter.topics[name] as Topic<unknown>;
  let best = Infinity;
  for (let round = 0; round < rounds + 10; round += 1) {
    const startedAt = process.hrtime.bigint();
    for (let i = 0; i < EVENTS_PER_ROUND; i += 1) topic.emit(events[i % 1_000]);
    const ns = Number(process.hrtime.bigint() - startedAt) / EVENTS_PER_ROUND;
    if (round >= 10) best = Math.min(best, ns);
  }
  return best;
}

export async function main(args: string[]): Promise<void> {
  const rounds = Number(args[0] ?? 50);
  if (!Number.isInteger(rounds) || rounds < 1) throw new TypeError("rounds must be a whole number above 0");

  const registry = new Registry();
  const counted = createEmitter((_event, thrown) => {
    throw thrown;
  });
  await attachMetrics({ events: counted, status: () => status }, registry);
  const heard = createEmitter(() => undefined);
  for (const name of Object.keys(samples) as WorkerEventName[]) heard.on(name, () => undefined);

  console.log(`ns per event, best of ${rounds} rounds of ${EVENTS_PER_ROUND}; "listener": one that does nothing\n`);
  console.log("event".padEnd(18), "counted".padStart(8), "listener".padStart(9), "counting".padStart(9));
  for (const name of Object.keys(samples) as WorkerEventName[]) {
    const all = nsPerEvent(name, counted, rounds);
    const bare = nsPerEvent(name, heard, rounds);
    console.log(
      name.padEnd(18),
      all.toFixed(1).padStart(8),
      bare.toFixed(1).padStart(9),
      (all - bare).toFixed(1).padStart(9),
    );
  }

  const startedAt = performance.now();
  let text = "";
  for (let i = 0; i < 20; i += 1) text = await registry.metrics();
  const scrapeMs = (performance.now() - startedAt) / 20;
  console.log(`\na scrape of ${TASK_TYPES} task types: ${scrapeMs.toFixed(1)} ms, ${text.split("\n").length} lines`);
}
