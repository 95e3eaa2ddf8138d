#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { startEmbeddedConductor } from "../testing/index.js";

const HELP = `Usage: ostinato <command> [options]

Commands:
  dev          an embedded Conductor in memory, for developing workers against
                 --port <number>   where it listens on 127.0.0.1 (default 8080)
                 --queue <kind>    patient (as SQL, default), eager (as Redis)
                                   or instant (as MySQL)

Options:
  --help       this text
  --version    the version
`;

/** What a user got wrong; shown without a stack. */
class UsageError extends Error {}

const QUEUES = ["patient", "eager", "instant"] as const;

async function dev(args: string[]): Promise<void> {
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
  let values;
  try {
    ({ values } = parseArgs({ args, options: { port: { type: "string" }, queue: { type: "string" } } }));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const port = Number(values.port ?? "8080");
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new UsageError(`--port must be a number from 0 to 65535, got ${String(values.port)}`);
  }
  const queue = QUEUES.find((kind) => kind === (values.queue ?? "patient"));
  if (queue === undefined)
    throw new UsageError(`--queue must be one of ${QUEUES.join(", ")}, got ${String(values.queue)}`);
  return { port, queue };
}

async function main([command, ...args]: string[]): Promise<void> {
  switch (command) {
    case "dev":
      await dev(args);
      return;
    case "--version":
    case "-v": {
      const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
      console.log((JSON.parse(manifest) as { version: string }).version);
      return;
    }
    case "--help":
    case "-h":
      console.log(HELP);
      return;
    case undefined:
      throw new UsageError(`which command?\n\n${HELP}`);
    default:
      throw new UsageError(`there is no command ${command}\n\n${HELP}`);
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof UsageError ? `ostinato: ${error.message}` : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
