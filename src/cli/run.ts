import { ConfigurationError } from "../base/errors.js";
import { MAX_PROCESSES, MAX_WAIT_MS, type SuperviseOptions } from "../supervisor/primary/options.js";
import { superviseWorkers } from "../supervisor/primary/supervise.js";
import { parse, splitArguments, wholeNumber } from "./arguments.js";
import { UsageError } from "./usage-error.js";

/** Something may hold this process after its children have ended, in ms. */
const END_BOUND_MS = 2_000;

/** `ostinato run <script>`: supervises it until it is told to stop, and exits with how that went. */
export async function run(args: string[]): Promise<void> {
  const options = runOptions(args);
  // Elsewhere the environment wins over what is in code; here somebody has typed it.
  if (options.adminPort !== undefined) delete process.env.CONDUCTOR_WORKER_ADMIN_PORT;
  if (options.adminHost !== undefined) delete process.env.CONDUCTOR_WORKER_ADMIN_HOST;
  const supervisor = await superviseWorkers(options).catch((error: unknown) => {
    if (error instanceof ConfigurationError) throw new UsageError(error.problems.join("\n  "));
    throw error;
  });
  const { code, failure } = await supervisor.exited;
  if (failure !== undefined) console.error(`ostinato: ${failure}`);
  process.exitCode = code;
  setTimeout(() => process.exit(), END_BOUND_MS).unref();
}

/** What the words of the command line ask for. */
export function runOptions(args: readonly string[]): SuperviseOptions {
  const { own, scripts } = splitArguments(args);
  const { values, positionals } = parse({
    args: own,
    allowPositionals: true,
    options: {
      processes: { type: "string" },
      "admin-port": { type: "string" },
      "admin-host": { type: "string" },
      "drain-timeout-ms": { type: "string" },
      "start-timeout-ms": { type: "string" },
      "node-arg": { type: "string", multiple: true },
    },
  });
  const [script, ...more] = positionals;
  if (script === undefined) throw new UsageError("run: which script? ostinato run worker.js");
  if (more.length > 0) {
    throw new UsageError(`run: one script only; arguments of the script go after --: -- ${more.join(" ")}`);
  }
  const { processes } = values;
  const adminPort = wholeNumber("admin-port", values["admin-port"], 0, 65_535);
  const drainTimeoutMs = wholeNumber("drain-timeout-ms", values["drain-timeout-ms"], 0, MAX_WAIT_MS);
  const startTimeoutMs = wholeNumber("start-timeout-ms", values["start-timeout-ms"], 1, MAX_WAIT_MS);
  const adminHost = values["admin-host"];
  return {
    script,
    args: scripts,
    execArgv: [...process.execArgv, ...(values["node-arg"] ?? [])],
    processes:
      processes === "auto" ? "auto" : (wholeNumber("processes", processes, 1, MAX_PROCESSES, ", or auto") ?? 1),
    ...(adminPort === undefined ? {} : { adminPort }),
    ...(adminHost === undefined ? {} : { adminHost }),
    ...(drainTimeoutMs === undefined ? {} : { drainTimeoutMs }),
    ...(startTimeoutMs === undefined ? {} : { startTimeoutMs }),
  };
}
