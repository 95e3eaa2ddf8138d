import { startEmbeddedConductor } from "../testing/index.js";
import { parse, wholeNumber } from "./arguments.js";
import { UsageError } from "./usage-error.js";

const QUEUES = ["patient", "eager", "instant"] as const;

/** `ostinato dev`: an embedded Conductor until Ctrl-C. */
export async function dev(args: string[]): Promise<void> {
  const { port, queue } = devOptions(args);
  const server = await startEmbeddedConductor({ port, queue }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new UsageError(`port ${port} is in use; choose another with --port`);
  });
  console.log(`Conductor (in memory, nothing is kept) at ${server.serverUrl}`);
  console.log(`  CONDUCTOR_SERVER_URL=${server.serverUrl}`);
  const stop = () => void server.close();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
}

function devOptions(args: string[]): { port: number; queue: (typeof QUEUES)[number] } {
  const { values } = parse({ args, options: { port: { type: "string" }, queue: { type: "string" } } });
  const port = wholeNumber("port", values.port, 0, 65_535) ?? 8080;
  const queue = QUEUES.find((kind) => kind === (values.queue ?? "patient"));
  if (queue === undefined)
    throw new UsageError(`--queue must be one of ${QUEUES.join(", ")}, got ${String(values.queue)}`);
  return { port, queue };
}
