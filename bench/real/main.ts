/**
 * Ostinato and the official SDK on a real server: a backlog, workflows that trickle in, idleness, a crowd. See README.md
 * beside this folder.
 */
import { startRealConductor, type RealQueue } from "../../test/support/servers/real-conductor/real-conductor.js";
import { progress } from "../report.js";
import { accept, verdictLine, type Verdict } from "./acceptance.js";
import { CLIENTS, installOfficial, type Client } from "./clients.js";
import { crowd, drain, idle, trickle } from "./loads.js";
import { medians } from "./numbers.js";
import { readOptions, type Options, type Part } from "./options.js";
import { NOBODY, type QueueResults } from "./results.js";
import { BenchServer } from "./server.js";
import { crowdTable, drainTable, idleTable, trickleTable } from "./tables.js";

/** The round that is not counted need not be as long. */
const WARM_UP_SHARE = 1 / 3;

type Run<T> = (client: Client | undefined, scale: number, round: number) => Promise<T>;

/** One uncounted round, then the counted ones; who goes first alternates. */
async function runRounds<T extends { readonly [K in keyof T]: number }>(
  label: string,
  clients: readonly (Client | undefined)[],
  rounds: number,
  run: Run<T>,
): Promise<ReadonlyMap<string, T>> {
  const measured = new Map<string, T[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const client of round % 2 === 0 ? clients : [...clients].reverse()) {
      const name = client?.name ?? NOBODY;
      progress(`${label}, ${round === 0 ? "warm-up" : `round ${round}/${rounds}`}, ${name}`);
      const row = await run(client, round === 0 ? WARM_UP_SHARE : 1, round);
      if (round > 0) measured.set(name, [...(measured.get(name) ?? []), row]);
    }
  }
  progress("");
  const order = clients.map((client) => client?.name ?? NOBODY);
  return new Map(order.map((name) => [name, medians(measured.get(name) ?? [])]));
}

async function measureOn(queue: RealQueue, options: Options): Promise<QueueResults> {
  progress(`starting Conductor on ${queue}`);
  const stop = new AbortController();
  const conductor = await startRealConductor({
    queue,
    onDeath: (error) => {
      stop.abort(error);
    },
  });
  await using server = new BenchServer(conductor);
  const clientsOf = (part: Part) =>
    CLIENTS.filter(({ name, parts }) => options.clients.includes(name) && parts.includes(part));
  const scaled = (value: number, scale: number) => Math.max(1, Math.ceil(value * scale));
  const orDead =
    <T>(run: Run<T>): Run<T> =>
    async (...args) => {
      stop.signal.throwIfAborted();
      return run(...args);
    };
  const some = (client: Client | undefined): Client => {
    if (client === undefined) throw new TypeError("a load without a client");
    return client;
  };
  const { rounds, seconds, workflows } = options;
  const results: QueueResults = { queue };
  for (const part of options.parts) {
    const label = `${queue}, (${part})`;
    if (part === "a") {
      const run = orDead((client, scale) => drain(server, some(client), scaled(workflows, scale)));
      results.drained = await runRounds(label, clientsOf(part), rounds, run);
      console.log(drainTable(queue, workflows, results.drained));
    } else if (part === "b") {
      const run = orDead((client, scale, round) => trickle(server, some(client), scaled(seconds, scale), round + 1));
      results.trickled = await runRounds(label, clientsOf(part), rounds, run);
      console.log(trickleTable(queue, seconds, results.trickled));
    } else if (part === "c") {
      const run = orDead((client, scale) => idle(server, client, scaled(seconds, scale)));
      results.idled = await runRounds(label, [undefined, ...clientsOf(part)], rounds, run);
      console.log(idleTable(queue, seconds, results.idled));
    } else {
      const run = orDead((client, scale) => crowd(server, client, scaled(seconds, scale)));
      results.crowded = await runRounds(label, [undefined, ...clientsOf(part)], rounds, run);
      console.log(crowdTable(queue, seconds, results.crowded));
    }
  }
  return results;
}

export async function main(args: string[]): Promise<void> {
  const options = readOptions(
    args,
    CLIENTS.map(({ name }) => name),
  );
  await installOfficial(progress);
  const rounds = options.rounds === 1 ? "one round" : `medians of ${options.rounds} rounds`;
  console.log(`A real server, ${rounds}, Node ${process.version}\n`);
  const verdicts: Verdict[] = [];
  for (const queue of options.queues) verdicts.push(...accept(await measureOn(queue, options)));
  if (verdicts.length === 0) return;
  console.log("Acceptance: Ostinato's value, or its ratio, and the bound");
  for (const verdict of verdicts) console.log(verdictLine(verdict));
  const missed = verdicts.filter(({ isMet }) => !isMet).length;
  console.log(missed === 0 ? "\nall met" : `\n${missed} of ${verdicts.length} missed, FAILED`);
  if (missed > 0) process.exitCode = 1;
}
