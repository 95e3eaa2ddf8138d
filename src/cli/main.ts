#!/usr/bin/env node
import { packageVersion } from "../base/package-version.js";
import { splitArguments } from "./arguments.js";
import { HELP } from "./help.js";
import { UsageError } from "./usage-error.js";

async function main([command, ...args]: string[]): Promise<void> {
  if ((command === "run" || command === "dev") && asksForHelp(args)) {
    console.log(HELP);
    return;
  }
  switch (command) {
    case "run":
      await (await import("./run.js")).run(args);
      return;
    case "dev":
      await (await import("./dev.js")).dev(args);
      return;
    case "--version":
    case "-v":
      console.log(packageVersion());
      return;
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

/** `ostinato run --help`. */
function asksForHelp(args: readonly string[]): boolean {
  const { own } = splitArguments(args);
  return own.includes("--help") || own.includes("-h");
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof UsageError ? `ostinato: ${error.message}` : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
