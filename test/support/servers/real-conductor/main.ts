import { parseArgs } from "node:util";
import { createProgressLine } from "./progress-line.js";
import { startRealConductor, type RealConductor, type RealQueue } from "./real-conductor.js";
import { SERVER_VERSION } from "./server-jar.js";

const USAGE = `Starts a Conductor server (${SERVER_VERSION}) on 127.0.0.1 with a database of its own, and ends both on Ctrl-C.
Needs Java 21 or later, and Maven to fetch the server once (440 MB, into .cache/conductor).

  --port N          default 8080; 0: any that is free
  --queue sqlite    the default
  --queue redis     needs redis-server 6.2 or later, and starts one of its own
  --help            this text

JAVA_HOME names the Java to try first, CONDUCTOR_SERVER_JAR a server that need not be fetched.`;

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const EXIT_FAILED = 1;
const EXIT_WRONG_OPTIONS = 2;

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (options === "help") {
    console.log(USAGE);
    return 0;
  }
  if ("problem" in options) {
    console.error(`${options.problem}\n\n${USAGE}`);
    return EXIT_WRONG_OPTIONS;
  }

  const progress = createProgressLine(process.stdout);
  const stop = new AbortController();
  let death: Error | undefined;
  // A second signal finds the same order given already: stopping has a bound of its own.
  const onSignal = (name: NodeJS.Signals): void => {
    stop.abort(name);
  };
  for (const name of SIGNALS) process.on(name, onSignal);

  let conductor: RealConductor | undefined;
  try {
    conductor = await startRealConductor({
      ...options,
      signal: stop.signal,
      onProgress: (step) => {
        progress.step(step);
      },
      onDeath: (error) => {
        death ??= error;
        stop.abort();
      },
    });
    progress.clear();
    const { serverUrl, queue, pid } = conductor;
    console.log(`Conductor ${SERVER_VERSION} on ${queue === "redis" ? "Redis" : "SQLite"} at ${serverUrl}`);
    console.log(`  CONDUCTOR_SERVER_URL=${serverUrl}`);
    console.log(`  process ${pid}; Ctrl-C ends it, and nothing is kept`);
    await aborted(stop.signal);
    if (death === undefined) progress.step("stopping");
  } catch (error) {
    // Stopped while it was starting: that is what was asked for.
    if (!stop.signal.aborted) death = error instanceof Error ? error : new Error(String(error));
  } finally {
    await conductor?.close();
    progress.clear();
    for (const name of SIGNALS) process.off(name, onSignal);
  }
  if (death === undefined) return 0;
  console.error(death.message);
  return EXIT_FAILED;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else {
      // A signal alone does not hold the process; the server's pipe does.
      signal.addEventListener("abort", () => {
        resolve();
      });
    }
  });
}

function readOptions(args: string[]): { port: number; queue: RealQueue } | "help" | { readonly problem: string } {
  try {
    const { values } = parseArgs({
      args,
      options: { port: { type: "string" }, queue: { type: "string" }, help: { type: "boolean", short: "h" } },
    });
    if (values.help === true) return "help";
    const { port = "8080", queue = "sqlite" } = values;
    if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) return { problem: "--port must be a number from 0 to 65535" };
    if (queue !== "sqlite" && queue !== "redis") return { problem: "--queue must be sqlite or redis" };
    return { port: Number(port), queue };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}
