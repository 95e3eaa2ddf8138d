/**
 * Starts the bench that the first word names, and the price of a task without a word. See README.md.
 *
 *     npm run bench -- real --seconds 5
 */
import { progress } from "./report.js";

interface Bench {
  /** What it measures, for the list. */
  readonly measures: string;
  /** Imported only when it runs: each needs other things to be there. */
  readonly load: () => Promise<{ main(args: string[]): Promise<void> }>;
}

const DRAIN: Bench = { measures: "the price of a task, next to a bare loop", load: () => import("./drain.js") };

const BENCHES: ReadonlyMap<string, Bench> = new Map([
  ["real", { measures: "a real server, beside the official SDK", load: () => import("./real/main.js") }],
  ["faults", { measures: "the same faults, beside the official SDK", load: () => import("./faults/main.js") }],
  ["cost", { measures: "what watchdog and metrics cost", load: () => import("./cost.js") }],
  ["metrics", { measures: "what counting an event costs, and a scrape", load: () => import("./metrics.js") }],
]);

const EXIT_FAILED = 1;
const EXIT_WRONG_USAGE = 2;

function usage(): string {
  const line = (word: string, { measures }: Bench) => `  npm run bench${word.padEnd(12)}${measures}`;
  return [line("", DRAIN), ...[...BENCHES].map(([word, bench]) => line(` -- ${word}`, bench))].join("\n");
}

async function run(bench: Bench, args: string[]): Promise<void> {
  try {
    const program = await bench.load();
    await program.main(args);
  } catch (error) {
    progress("");
    console.error(`bench failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = EXIT_FAILED;
  }
}

const [first, ...rest] = process.argv.slice(2);
const named = first === undefined ? undefined : BENCHES.get(first);
if (first === "--help") {
  console.log(`${usage()}\n\nOptions follow the word; bench/README.md lists them.`);
} else if (named !== undefined) {
  await run(named, rest);
} else if (first === undefined || first.startsWith("-")) {
  await run(DRAIN, process.argv.slice(2));
} else {
  console.error(`there is no bench "${first}"; there are:\n\n${usage()}`);
  process.exitCode = EXIT_WRONG_USAGE;
}
