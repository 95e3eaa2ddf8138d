import type { Logger } from "./logger.js";
import { prettyLine } from "./pretty.js";
import { redacted } from "./redact.js";

/** For people, or for machines. */
export type LogFormat = "pretty" | "json";

/** Characters kept while stdout takes none (a full disk, a terminal that was closed); lines beyond are dropped. */
const MAX_WAITING = 1024 * 1024;

/**
 * The logger of a process that was given none: pino to stdout, `name: "ostinato"`, errors under `err` in pino's standard
 * form, and no secrets (see `redacted`). `format` undefined: `pretty` if stdout is a terminal, `json` otherwise. Colours
 * only in a terminal, and not with `NO_COLOR`. Pino is loaded here and not before. `level` is one of pino's; any other
 * rejects.
 */
export async function createDefaultLogger(level: string, format?: LogFormat): Promise<Logger> {
  const { destination, pino, stdSerializers } = await import("pino");
  const stdout = destination({ fd: 1, sync: true, maxLength: MAX_WAITING });
  // Without a listener a full disk behind stdout would be an uncaught exception: a line is lost, not the process.
  stdout.on("error", () => {});
  const isPretty = format === undefined ? process.stdout.isTTY : format === "pretty";
  const hasColours = process.stdout.isTTY && hasColourIn(process.env);
  const pretty = {
    write(line: string) {
      try {
        stdout.write(prettyLine(line, hasColours));
      } catch {
        // As above.
      }
    },
  };
  const err = (error: unknown) => {
    const serialised: unknown = stdSerializers.err(error as Error);
    return typeof serialised === "object" && serialised !== null ? redacted(serialised) : serialised;
  };
  const logger = pino(
    { name: "ostinato", level, serializers: { err }, formatters: { log: redacted } },
    isPretty ? pretty : stdout,
  );
  // Pino's formatters do not see the bindings of children. Children inherit this method.
  const child = Reflect.get(logger, "child") as (this: unknown, bindings: object, options?: object) => unknown;
  Reflect.set(logger, "child", function (this: unknown, bindings: object, options?: object) {
    return child.call(this, redacted(bindings), options);
  });
  return logger satisfies Logger;
}

/** See no-color.org. */
function hasColourIn({ NO_COLOR, TERM }: NodeJS.ProcessEnv): boolean {
  return (NO_COLOR ?? "") === "" && TERM !== "dumb";
}
