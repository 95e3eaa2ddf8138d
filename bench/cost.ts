/**
 * What watchdog and metrics cost: the same drains with both and with neither, in turns. See README.md.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createHeartbeatBoard } from "../dist/liveness/board.js";
import { quantile } from "./real/numbers.js";
import { median, progress, TASK_TYPE_NAME } from "./report.js";
import { startClient, startStub, type Client, type Stub } from "./run.js";

/** Watched and counted may differ by this much from neither. */
const LARGEST_DIFFERENCE = 0.03;
/** Drained by each of the two before anything is counted: what is slow while a process is young is over then. */
const WARM_UP_TASKS = 40_000;
/** A machine's other work can only add: of the slices of a process the quietest tenth is looked at. */
const QUIETEST = 0.1;
const MEMORY_ROUNDS = 5;
const IDLE_MS = 5_000;
const BEATS = 20_000_000;

const VARIANTS = ["watched", "unwatched"] as const;
type Variant = (typeof VARIANTS)[number];

interface Slice {
  readonly elapsedMs: number;
  readonly cpuUs: number;
}

interface Interval {
  readonly middle: number;
  readonly low: number;
  readonly high: number;
}

/** The median of the differences, and the interval that holds the true one in 95 of 100 runs (by order statistics). */
function medianInterval(values: readonly number[]): Interval {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  const reach = Math.ceil(0.98 * Math.sqrt(n));
  const low = sorted[Math.max(0, Math.floor(n / 2) - reach)] ?? NaN;
  const high = sorted[Math.min(n - 1, Math.ceil(n / 2) - 1 + reach)] ?? NaN;
  return { middle: median(values), low, high };
}

function shown({ middle, low, high }: Interval): string {
  const percent = (value: number) => `${value >= 0 ? "+" : ""}${(value * 100).toFixed(1)} %`;
  return `${percent(middle)} (95 %: ${percent(low)} to ${percent(high)})`;
}

function nanosecondsPerBeat(): number {
  const cell = createHeartbeatBoard(1).cell("bench");
  const time = () => {
    const startedAt = performance.now();
    for (let i = 0; i < BEATS; i++) cell.beat();
    return ((performance.now() - startedAt) * 1e6) / BEATS;
  };
  time();
  return median([time(), time(), time()]);
}

async function drainSlice(client: Client, variant: Variant, tasks: number): Promise<Slice> {
  const before = await client.cost();
  const { elapsedMs } = await client.drain(tasks, `${TASK_TYPE_NAME}_${variant}`);
  const after = await client.cost();
  return { elapsedMs, cpuUs: after.cpuUs - before.cpuUs };
}

/** All slices of one process, in pairs; who goes first alternates. */
async function runProcess(stub: Stub, first: 0 | 1, options: Options): Promise<Record<Variant, Slice[]>> {
  const { pairs, tasks, concurrency } = options;
  const slices: Record<Variant, Slice[]> = { watched: [], unwatched: [] };
  const client = await startClient("ostinato-side-by-side", stub, TASK_TYPE_NAME, concurrency);
  try {
    for (let half = 0; half < 2; half++)
      for (const variant of VARIANTS) await drainSlice(client, variant, WARM_UP_TASKS / 2);
    for (let pair = 0; pair < pairs; pair++) {
      const order = pair % 2 === first ? VARIANTS : [...VARIANTS].reverse();
      for (const variant of order) slices[variant].push(await drainSlice(client, variant, tasks));
    }
  } finally {
    await client.end();
  }
  return slices;
}

/** What a process of its own takes: the most memory, and CPU while it has nothing to do, in µs a second. */
async function measureAlone(stub: Stub, name: string, options: Options) {
  const client = await startClient(name, stub, TASK_TYPE_NAME, options.concurrency);
  try {
    await client.drain(WARM_UP_TASKS);
    const before = await client.cost();
    await sleep(IDLE_MS);
    const { cpuUs, peakRssMb } = await client.cost();
    return { peakRssMb, idleUsPerSecond: ((cpuUs - before.cpuUs) / IDLE_MS) * 1_000 };
  } finally {
    await client.end();
  }
}

interface Options {
  readonly processes: number;
  readonly pairs: number;
  readonly tasks: number;
  readonly concurrency: number;
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      processes: { type: "string", default: "20" },
      pairs: { type: "string", default: "40" },
      tasks: { type: "string", default: "5000" },
      concurrency: { type: "string", default: "10" },
    },
  });
  const options = {
    processes: Number(values.processes),
    pairs: Number(values.pairs),
    tasks: Number(values.tasks),
    concurrency: Number(values.concurrency),
  };
  if (!Object.values(options).every((value) => Number.isInteger(value) && value > 0))
    throw new TypeError("--processes, --pairs, --tasks and --concurrency are whole numbers above 0");
  return options;
}

export async function main(args: string[]): Promise<void> {
  const options = readOptions(args);
  const { processes, pairs, tasks, concurrency } = options;
  console.log(
    `${processes} processes, in each ${pairs} pairs of ${tasks} no-op tasks at concurrency ${concurrency}, Node ${process.version}`,
  );
  const speed: number[] = [];
  const cpu: number[] = [];
  const memoryMb: number[] = [];
  const idleUsPerSecond: number[] = [];
  const stub = await startStub();
  try {
    for (let n = 0; n < processes; n++) {
      progress(`process ${n + 1}/${processes}`);
      const { watched, unwatched } = await runProcess(stub, n % 2 === 0 ? 0 : 1, options);
      const ratio = (of: (slice: Slice) => number) =>
        quantile(watched.map(of), QUIETEST) / quantile(unwatched.map(of), QUIETEST);
      speed.push(1 / ratio(({ elapsedMs }) => elapsedMs) - 1);
      cpu.push(ratio(({ cpuUs }) => cpuUs) - 1);
    }
    for (let round = 0; round < MEMORY_ROUNDS; round++) {
      progress(`memory ${round + 1}/${MEMORY_ROUNDS}`);
      const watched = await measureAlone(stub, "ostinato", options);
      const unwatched = await measureAlone(stub, "ostinato-unwatched", options);
      memoryMb.push(watched.peakRssMb - unwatched.peakRssMb);
      idleUsPerSecond.push(watched.idleUsPerSecond - unwatched.idleUsPerSecond);
    }
  } finally {
    progress("");
    await stub.close();
  }

  const speedInterval = medianInterval(speed);
  const cpuInterval = medianInterval(cpu);
  console.log(`tasks/s with watchdog and metrics: ${shown(speedInterval)}`);
  console.log(`CPU a task with watchdog and metrics: ${shown(cpuInterval)}`);
  console.log(`CPU of both while there is nothing to do: ${median(idleUsPerSecond).toFixed(0)} µs a second`);
  console.log(`memory of both: ${median(memoryMb).toFixed(1)} MB`);
  console.log(`a beat: ${nanosecondsPerBeat().toFixed(1)} ns`);
  const tooMuch = -speedInterval.middle >= LARGEST_DIFFERENCE || cpuInterval.middle >= LARGEST_DIFFERENCE;
  console.log(`${tooMuch ? "FAILED: " : ""}a difference of less than ${LARGEST_DIFFERENCE * 100} % is wanted`);
  if (tooMuch) process.exitCode = 1;
}
