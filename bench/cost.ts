/**
 * What watchdog and metrics cost: the same drain with both and with neither, in alternating pairs. See README.md.
 */
import { parseArgs } from "node:util";
import { createHeartbeatBoard } from "../dist/liveness/board.js";
import { median, rate, type Measurement } from "./report.js";
import { measure, startStub } from "./run.js";

/** Watched and counted may differ by this much from neither. */
const LARGEST_DIFFERENCE = 0.03;
const BEATS = 20_000_000;

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

const { values } = parseArgs({
  options: {
    pairs: { type: "string", default: "20" },
    tasks: { type: "string", default: "40000" },
    concurrency: { type: "string", default: "10" },
  },
});
const pairs = Number(values.pairs);
const tasks = Number(values.tasks);
const concurrency = Number(values.concurrency);
if (![pairs, tasks, concurrency].every((value) => Number.isInteger(value) && value > 0))
  throw new TypeError("--pairs, --tasks and --concurrency are whole numbers above 0");

console.log(`${pairs} pairs of ${tasks} no-op tasks at concurrency ${concurrency}, Node ${process.version}`);
const stub = await startStub();
const watched: Measurement[] = [];
const unwatched: Measurement[] = [];
try {
  for (let pair = 0; pair <= pairs; pair++) {
    const order =
      pair % 2 === 0
        ? (["ostinato-watched", "ostinato-unwatched"] as const)
        : (["ostinato-unwatched", "ostinato-watched"] as const);
    for (const client of order) {
      const measurement = await measure(client, stub, tasks, concurrency);
      // The first pair warms up.
      if (pair > 0) (client === "ostinato-watched" ? watched : unwatched).push(measurement);
    }
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[Kpair ${pair}/${pairs}`);
  }
} finally {
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
  await stub.close();
}

const differences = (of: (measurement: Measurement) => number) =>
  medianInterval(watched.map((measurement, index) => of(measurement) / of(unwatched[index]!) - 1));
const speed = differences(rate);
const cpu = differences(({ cpuUs }) => cpuUs / tasks);
const memoryMb = median(watched.map(({ peakRssMb }, index) => peakRssMb - unwatched[index]!.peakRssMb));
console.log(`tasks/s with watchdog and metrics: ${shown(speed)}`);
console.log(`CPU a task with watchdog and metrics: ${shown(cpu)}`);
console.log(`memory of both: ${memoryMb.toFixed(1)} MB`);
console.log(`a beat: ${nanosecondsPerBeat().toFixed(1)} ns`);
const tooMuch = -speed.middle >= LARGEST_DIFFERENCE || cpu.middle >= LARGEST_DIFFERENCE;
console.log(`${tooMuch ? "FAILED: " : ""}a difference of less than ${LARGEST_DIFFERENCE * 100} % is wanted`);
if (tooMuch) process.exitCode = 1;
