import { setTimeout as sleep } from "node:timers/promises";
import type { ClientProcess } from "./client-process.js";
import { spawnOf, type Client } from "./clients.js";
import { quantile } from "./numbers.js";
import type { BenchServer } from "./server.js";

const CONCURRENCY = 10;
const STEPS_OF_DRAIN = 3;
const STEPS_OF_TRICKLE = 5;
const IDLE_TASK_TYPES = 10;

/** Workflows arrive this far apart on the average, in ms; regular gaps would fall in step with a poll interval. */
const MEAN_GAP_MS = 200;
const SHORTEST_GAP_MS = 100;
/** Not counted before the counted time: connections are opened, code is compiled, strategies are learned. */
const LEAD_IN_MS = 3_000;
/** Between two measurements, for what the server still does about the last one. */
const PAUSE_MS = 1_000;
/** A load that is slower than this many tasks a second has gone wrong. */
const SLOWEST_TASKS_PER_SECOND = 10;

const CROWD_HANDLERS = 40;
const CROWD_PROCESSES = 4;
const CROWD_LEAD_IN_MS = 15_000;
const PROBE_EVERY_MS = 100;

export interface Drained {
  readonly tasksPerSecond: number;
  readonly serverMsPerTask: number;
  readonly clientMsPerTask: number;
}

/** All tasks wait before the worker begins. */
export async function drain(server: BenchServer, client: Client, workflows: number): Promise<Drained> {
  const [taskType = ""] = await server.newTaskTypes(1);
  const name = await server.newWorkflow(Array.from({ length: STEPS_OF_DRAIN }, () => taskType));
  const ids = await server.startMany(name, workflows);
  const tasks = workflows * STEPS_OF_DRAIN;
  await sleep(PAUSE_MS);
  await using worker = await spawnOf(client);
  const usage = await usageOf(server, worker);
  await begin(server, worker, client, [[taskType]]);
  await worker.executed(tasks, boundOf(tasks));
  const { serverMs, clientMs } = await usage();
  const all = await server.completed(ids);
  await worker.stop();
  const begun = Math.min(...all.flatMap(({ tasks: done }) => done.map(({ startTime }) => startTime)));
  const ended = Math.max(...all.map(({ endTime }) => endTime));
  return {
    tasksPerSecond: (tasks / (ended - begun)) * 1_000,
    serverMsPerTask: serverMs / tasks,
    clientMsPerTask: clientMs / tasks,
  };
}

export interface Trickled {
  readonly p50: number;
  readonly p99: number;
  readonly serverMsPerTask: number;
  readonly clientMsPerTask: number;
  readonly requestsPerTask: number;
}

/** Workflows arrive one by one, at the same moments for each client of a round. */
export async function trickle(server: BenchServer, client: Client, seconds: number, seed: number): Promise<Trickled> {
  const taskTypes = await server.newTaskTypes(STEPS_OF_TRICKLE);
  const name = await server.newWorkflow(taskTypes);
  await sleep(PAUSE_MS);
  await using worker = await spawnOf(client);
  await begin(server, worker, client, [taskTypes]);
  const random = seededRandom(seed);
  const arrive = async (forMs: number): Promise<string[]> => {
    const starts: Promise<string>[] = [];
    let at = performance.now();
    const until = at + forMs;
    for (; at < until; at += SHORTEST_GAP_MS + random() * 2 * (MEAN_GAP_MS - SHORTEST_GAP_MS)) {
      await sleep(Math.max(0, at - performance.now()));
      const start = server.start(name, starts.length);
      // Whoever fails first is reported; this must not become an unhandled rejection meanwhile.
      start.catch(() => undefined);
      starts.push(start);
    }
    return Promise.all(starts);
  };
  const early = await arrive(LEAD_IN_MS);
  const usage = await usageOf(server, worker);
  const before = await server.requestTotals();
  const ids = await arrive(seconds * 1_000);
  const tasks = ids.length * STEPS_OF_TRICKLE;
  await worker.executed((early.length + ids.length) * STEPS_OF_TRICKLE, boundOf(tasks));
  const { serverMs, clientMs } = await usage();
  const after = await server.requestTotals();
  const durations = (await server.completed(ids)).map(({ createTime, endTime }) => endTime - createTime);
  await worker.stop();
  return {
    p50: quantile(durations, 0.5),
    p99: quantile(durations, 0.99),
    serverMsPerTask: serverMs / tasks,
    clientMsPerTask: clientMs / tasks,
    // What is not a worker's is the start of each workflow.
    requestsPerTask: (after.count - before.count - ids.length) / tasks,
  };
}

export interface Idled {
  readonly requestsPerSecond: number;
  /** In % of a core. */
  readonly serverCpu: number;
  readonly clientCpu: number;
  /** Threads that the requests held, on the average. */
  readonly heldThreads: number;
}

/** Nothing to do. Without a client: what the server does on its own. */
export async function idle(server: BenchServer, client: Client | undefined, seconds: number): Promise<Idled> {
  const taskTypes = await server.newTaskTypes(IDLE_TASK_TYPES);
  await sleep(PAUSE_MS);
  await using worker = client === undefined ? undefined : await spawnOf(client);
  if (client !== undefined && worker !== undefined) await begin(server, worker, client, [taskTypes]);
  await sleep(LEAD_IN_MS);
  const before = await server.requestTotals();
  const usage = await usageOf(server, worker);
  const begun = performance.now();
  await sleep(seconds * 1_000);
  const { serverMs, clientMs } = await usage();
  const elapsedMs = performance.now() - begun;
  const after = await server.requestTotals();
  await worker?.stop();
  return {
    requestsPerSecond: ((after.count - before.count) / elapsedMs) * 1_000,
    serverCpu: (serverMs / elapsedMs) * 100,
    clientCpu: (clientMs / elapsedMs) * 100,
    heldThreads: (after.threadMs - before.threadMs) / elapsedMs,
  };
}

export interface Crowded {
  readonly p50: number;
  readonly p90: number;
  readonly heldThreads: number;
  readonly requestsPerSecond: number;
  readonly serverCpu: number;
}

/** How long anybody else waits for an answer, beside many idle processes. Without a client: beside nobody. */
export async function crowd(server: BenchServer, client: Client | undefined, seconds: number): Promise<Crowded> {
  const handlers: string[][] = [];
  for (let index = 0; index < CROWD_HANDLERS; index++) handlers.push(await server.newTaskTypes(IDLE_TASK_TYPES));
  const taskTypes = await server.newTaskTypes(1);
  const workflowId = await server.start(await server.newWorkflow(taskTypes), 1);
  const running: ClientProcess[] = [];
  try {
    const each = CROWD_HANDLERS / CROWD_PROCESSES;
    for (let first = 0; client !== undefined && first < CROWD_HANDLERS; first += each) {
      const worker = await spawnOf(client);
      running.push(worker);
      await begin(server, worker, client, handlers.slice(first, first + each));
    }
    await sleep(client === undefined ? PAUSE_MS : CROWD_LEAD_IN_MS);
    const crowded = await probed(server, `${server.serverUrl}/workflow/${workflowId}`, seconds);
    await Promise.all(running.map((worker) => worker.stop()));
    return crowded;
  } finally {
    for (const worker of running) await worker[Symbol.asyncDispose]();
  }
}

async function probed(server: BenchServer, url: string, seconds: number): Promise<Crowded> {
  const before = await server.requestTotals();
  const usage = await usageOf(server, undefined);
  const begun = performance.now();
  const probes: Promise<number>[] = [];
  for (let at = begun; at < begun + seconds * 1_000; at += PROBE_EVERY_MS) {
    await sleep(Math.max(0, at - performance.now()));
    // Not waited for: a slow answer must not hide how slow the next one would be.
    const answered = probe(url);
    answered.catch(() => undefined);
    probes.push(answered);
  }
  const durations = await Promise.all(probes);
  const { serverMs } = await usage();
  const elapsedMs = performance.now() - begun;
  const after = await server.requestTotals();
  return {
    p50: quantile(durations, 0.5),
    p90: quantile(durations, 0.9),
    heldThreads: (after.threadMs - before.threadMs) / elapsedMs,
    requestsPerSecond: ((after.count - before.count) / elapsedMs) * 1_000,
    serverCpu: (serverMs / elapsedMs) * 100,
  };
}

async function probe(url: string): Promise<number> {
  const begun = performance.now();
  const answer = await fetch(url);
  await answer.text();
  if (!answer.ok) throw new Error(`GET /workflow/{id}: HTTP ${answer.status}`);
  return performance.now() - begun;
}

function begin(server: BenchServer, worker: ClientProcess, client: Client, handlers: string[][]): Promise<void> {
  const taskTypes = handlers[0]?.length ?? 0;
  const settings = client.settings(taskTypes * CONCURRENCY);
  return worker.start({
    serverUrl: server.serverUrl,
    handlers,
    concurrency: CONCURRENCY,
    ...(settings === undefined ? {} : { settings }),
  });
}

/** CPU time from now on, of the server and of a client. */
async function usageOf(server: BenchServer, worker: ClientProcess | undefined) {
  const client = (await worker?.cpuMs()) ?? 0;
  const own = server.cpuMs();
  return async (): Promise<{ readonly serverMs: number; readonly clientMs: number }> => {
    const serverMs = server.cpuMs() - own;
    return { serverMs, clientMs: ((await worker?.cpuMs()) ?? 0) - client };
  };
}

const boundOf = (tasks: number): number => 30_000 + (tasks / SLOWEST_TASKS_PER_SECOND) * 1_000;

/** 0 up to 1, the same sequence for the same seed. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
