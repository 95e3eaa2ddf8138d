import { parseArgs } from "node:util";

export interface Options {
  readonly workflows: number;
}

const DEFAULT_WORKFLOWS = 300;
const MAX_WORKFLOWS = 100_000;

export const USAGE = `Runs ${DEFAULT_WORKFLOWS} orders through a Conductor in a process of its own,
or through the one at CONDUCTOR_SERVER_URL if that is set.

  --workflows N   how many orders
  --help          this text

Exit code: 0 all completed and nothing lost, 1 not so, 2 wrong options,
130 after Ctrl-C, 143 after SIGTERM (what runs is finished first).`;

/** The options, or why there are none to go by. */
export function readOptions(args: readonly string[]): Options | "help" | { readonly problem: string } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { workflows: { type: "string" }, help: { type: "boolean", short: "h" } },
    });
    if (values.help === true) return "help";
    const workflows = Number(values.workflows ?? DEFAULT_WORKFLOWS);
    if (!Number.isInteger(workflows) || workflows < 1 || workflows > MAX_WORKFLOWS) {
      return { problem: `--workflows must be a whole number from 1 to ${MAX_WORKFLOWS}` };
    }
    return { workflows };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}
