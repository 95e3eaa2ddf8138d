import { parseArgs, type ParseArgsConfig } from "node:util";
import { UsageError } from "./usage-error.js";

/** As Node's `parseArgs`; what it does not understand is a {@link UsageError}. */
export function parse<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    // Node's own advice about "--" is not ours: what comes after it belongs to the script.
    const said =
      error instanceof Error ? error.message.replace(/\. To specify a positional argument.*$/s, "") : String(error);
    throw new UsageError(`${said}; ostinato --help tells the options`);
  }
}

/** The words that are ours: what comes after -- is the script's, whatever it looks like. */
export function splitArguments(args: readonly string[]): { readonly own: string[]; readonly scripts: string[] } {
  const end = args.indexOf("--");
  return end === -1 ? { own: [...args], scripts: [] } : { own: args.slice(0, end), scripts: args.slice(end + 1) };
}

/** A whole number within limits; undefined when the option was not given. */
export function wholeNumber(
  name: string,
  given: string | undefined,
  min: number,
  max: number,
  or = "",
): number | undefined {
  if (given === undefined) return undefined;
  const value = /^\d+$/.test(given) ? Number(given) : NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(`--${name} must be a number from ${min} to ${max}${or}, got ${given === "" ? '""' : given}`);
  }
  return value;
}
