/**
 * How fast a worker drains a backlog of no-op tasks, next to a bare loop over the same HTTP client. See README.md.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { comparison, pairwiseRatio, progress, tableHead, tableRow, type Measurement, type Series } from "./report.js";
import { measure, startStub, type Stub } from "./run.js";

const BASE_CLIENT = "bare-loop";
const CLIENTS = [BASE_CLIENT, "ostinato"] as const;
/** Below this part of the bare loop's rate, the run fails. */
const LOWEST_RATIO = 0.75;
/** A ratio that is too low is measured again, this many times as long in all, before it counts: a drain's time may vary by half. */
const MAX_REPEATS = 3;

interface Options {
  readonly tasks: number;
  readonly rounds: number;
  readonly concurrencies: readonly number[];
  readonly clients: readonly string[];
  /** The same client of another checkout, by its path. */
  readonly against: string | undefined;
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      tasks: { type: "string", default: "60000" },
      rounds: { type: "string", default: "15" },
      concurrency: { type: "string", default: "10,100" },
      clients: { type: "string", default: CLIENTS.join(",") },
      against: { type: "string" },
    },
  });
  const clients = values.clients.split(",");
  const unknown = clients.find((client) => !(CLIENTS as readonly string[]).includes(client));
  if (unknown !== undefined) throw new TypeError(`--clients: ${unknown} is none of ${CLIENTS.join(", ")}`);
  const against = values.against === undefined ? undefined : path.resolve(values.against, "bench/clients/ostinato.mjs");
  if (against !== undefined && !existsSync(against))
    throw new TypeError(`--against: there is no ${against}; it takes the folder of a checkout that is built`);
  return {
    tasks: positive("--tasks", values.tasks),
    rounds: positive("--rounds", values.rounds),
    concurrencies: values.concurrency.split(",").map((text) => positive("--concurrency", text)),
    clients: against === undefined ? clients : [...clients, against],
    against,
  };
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new TypeError(`${option}: ${text} is not a whole number above 0`);
  return value;
}

/** One uncounted round, then the counted ones, and more of them while they do not suffice; who goes first alternates. */
async function runRounds(stub: Stub, options: Options, concurrency: number): Promise<Series[]> {
  const rounds = new Map<string, Measurement[]>(options.clients.map((client) => [client, []]));
  const all = () => options.clients.map((client) => ({ client, concurrency, rounds: rounds.get(client) ?? [] }));
  let count = options.rounds;
  for (let round = 0; round <= count; round++) {
    const order = round % 2 === 0 ? options.clients : [...options.clients].reverse();
    for (const client of order) {
      progress(`concurrency ${concurrency}, ${round === 0 ? "warm-up" : `round ${round}/${count}`}, ${client}`);
      const measurement = await measure(client, stub, options.tasks, concurrency);
      if (round > 0) rounds.get(client)?.push(measurement);
    }
    const isInDoubt = round === count && count < options.rounds * MAX_REPEATS && ratiosOf(all()).some(isTooLow);
    if (isInDoubt) count += options.rounds;
  }
  progress("");
  return all();
}

/** Our own clients' part of the bare loop's rate; none where that did not run. */
function ratiosOf(all: readonly Series[]): number[] {
  const base = all.find(({ client }) => client === BASE_CLIENT);
  if (base === undefined) return [];
  const ours = all.filter((series) => series !== base && !path.isAbsolute(series.client));
  return ours.map((series) => pairwiseRatio(series, base));
}

const isTooLow = (ratio: number) => ratio < LOWEST_RATIO;

export async function main(args: string[]): Promise<void> {
  const options = readOptions(args);
  const rounds = options.rounds === 1 ? "one round" : `medians of ${options.rounds} rounds`;
  console.log(`${options.tasks} no-op tasks, ${rounds}, Node ${process.version}\n`);
  console.log(tableHead());
  const ratios: number[] = [];
  const stub = await startStub();
  try {
    for (const concurrency of options.concurrencies) {
      const all = await runRounds(stub, options, concurrency);
      const base = all.find(({ client }) => client === BASE_CLIENT);
      ratios.push(...ratiosOf(all));
      for (const series of all) {
        console.log(tableRow(series.client === options.against ? { ...series, client: "against" } : series, base));
        if (series !== base && series.rounds.length > options.rounds)
          console.log(`      measured again: medians of ${series.rounds.length} rounds`);
        const repeated = series.rounds.reduce((sum, { repeatedUpdates }) => sum + repeatedUpdates, 0);
        if (repeated > 0) console.log(`      ${series.client}: ${repeated} repeated updates`);
      }
      const [ours, theirs] = ["ostinato", options.against].map((name) => all.find(({ client }) => client === name));
      if (ours !== undefined && theirs !== undefined) console.log(`      ${comparison(ours, theirs)}`);
    }
  } finally {
    progress("");
    await stub.close();
  }
  if (ratios.length === 0) return;
  const lowest = Math.min(...ratios);
  const failed = isTooLow(lowest);
  console.log(
    `\nminimum ratio ${lowest.toFixed(2)}: ${failed ? "below" : "at least"} ${LOWEST_RATIO}${failed ? ", FAILED" : ""}`,
  );
  if (failed) process.exitCode = 1;
}
