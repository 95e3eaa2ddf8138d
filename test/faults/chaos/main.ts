import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { startPlayers } from "../../support/chaos/players.js";
import { search } from "../../support/chaos/search.js";

const USAGE = `Plays seeds: each is a plan of faults, tasks and orders to a worker, over real sockets. At the end the accounts of both
sides must balance. A plan that shows a problem is shrunk to what is needed for it, and told.

  --seeds N          how many (default 300)
  --from N           the first of them (default 1)
  --parallel N       how many are played at a time (default 12 for each core, as long as it has time)
  --without A,B+C    leaves out what has one of these tags, or all of those joined by +: kinds of requests (poll, v1, v2,
                     handBack, lease, look, sizes, listing, token), what happens (delay, cut, half, hang, repeat, answer), when
                     (before, after), how far (single, window, path, type), answers ("nginx 400", kong, 409, 4xx, stranger,
                     conductor), tasks, pause, concurrency, restart, kill, expiry
  --items 1,2,3      only these items of the plan
  --max-failures N   begin no other seed after so many that failed (default 5)
  --shrink-seconds N how long a plan is shrunk (default 120; 0: not at all)
  --help             this text`;

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: "string", default: "300" },
      from: { type: "string", default: "1" },
      parallel: { type: "string", default: String(12 * availableParallelism()) },
      without: { type: "string", default: "" },
      items: { type: "string" },
      "max-failures": { type: "string", default: "5" },
      "shrink-seconds": { type: "string", default: "120" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const number = (name: "seeds" | "from" | "parallel" | "max-failures" | "shrink-seconds", least: number): number => {
    const value = Number(values[name]);
    if (!(Number.isSafeInteger(value) && value >= least)) throw new RangeError(`--${name}: ${least} or more`);
    return value;
  };
  const listOf = (text: string) => text.split(",").filter((entry) => entry !== "");
  const players = startPlayers(number("parallel", 1));
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => process.exit(1));
  let done = 0;
  const startedAt = performance.now();
  const seeds = number("seeds", 1);
  try {
    const found = await search(players, {
      from: number("from", 0),
      seeds,
      without: listOf(values.without),
      places: values.items === undefined ? undefined : listOf(values.items).map(Number),
      maxFailures: number("max-failures", 1),
      shrinkMs: number("shrink-seconds", 0) * 1_000,
      onPlayed: ({ seed, problems, story }) => {
        done += 1;
        // At once: whoever stops the search early has it all the same.
        for (const { kind, text } of problems) console.log(`seed ${seed}: ${kind}: ${text}`);
        for (const line of story) console.log(`  ${line}`);
        if (done % 100 === 0)
          console.log(`${done} of ${seeds}, ${Math.round((performance.now() - startedAt) / 1_000)} s`);
      },
    });
    for (const failure of found.failures) console.log(`\n${failure}`);
    const { accounts, played, hits, runs, slowestMs, slowestSeed, failures } = found;
    console.log(
      `\n${played} seeds, ${accounts.handOuts} hand-outs, ${runs} runs, ${hits} requests disturbed, ${accounts.lost} lost; ` +
        `all done ${(slowestMs / 1_000).toFixed(1)} s after the chaos at the latest (seed ${slowestSeed}); ${failures.length} seeds with problems`,
    );
    return failures.length === 0 ? 0 : 1;
  } finally {
    await players.close();
  }
}

process.exitCode = await main(process.argv.slice(2));
