import { parseArgs } from "node:util";

export interface SoakOptions {
  readonly minutes: number;
  /** The real server's, or the embedded Conductor instead. */
  readonly queue: "sqlite" | "redis" | "embedded";
  readonly seed: number;
  /** Workflows started in a second, while not too many are open. */
  readonly rate: number;
}

export const USAGE = `Lets supervised workers work for a while under SIGKILL, SIGTERM, wedges and restarts of the server, and
checks that nothing was lost, nothing done again that was kept, and that the memory of an undisturbed process is flat.

  --minutes N       how long disturbances last (default 3; the start and the end take up to two minutes more)
  --queue sqlite    the real server on SQLite (the default)
  --queue redis     the real server on Redis
  --embedded        the embedded Conductor; it is stopped for some seconds instead of being killed
  --rate N          workflows started in a second (default 4)
  --seed N          repeats the choices of a run
  --help            this text`;

export function readOptions(args: readonly string[]): SoakOptions | "help" | { readonly problem: string } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        minutes: { type: "string", default: "3" },
        queue: { type: "string", default: "sqlite" },
        embedded: { type: "boolean", default: false },
        rate: { type: "string", default: "4" },
        seed: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) return "help";
    const minutes = Number(values.minutes);
    if (!(minutes >= 0.5 && minutes <= 1440)) return { problem: "--minutes must be a number from 0.5 to 1440" };
    const rate = Number(values.rate);
    if (!(rate > 0 && rate <= 100)) return { problem: "--rate must be a number up to 100" };
    const seed = values.seed === undefined ? Math.floor(Math.random() * 1e6) : Number(values.seed);
    if (!Number.isSafeInteger(seed)) return { problem: "--seed must be a whole number" };
    const queue = values.embedded ? "embedded" : values.queue;
    if (queue !== "sqlite" && queue !== "redis" && queue !== "embedded")
      return { problem: "--queue must be sqlite or redis" };
    return { minutes, queue, seed, rate };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}
