import { constants, fstatSync, openSync } from "node:fs";
import type { Logger } from "./logger.js";
import { prettyLine } from "./pretty.js";
import { redacted } from "./redact.js";

/** For people, or for machines. */
export type LogFormat = "pretty" | "json";

/** Characters kept while stdout takes none (a full disk, a reader that does not read); lines beyond are dropped. */
const MAX_WAITING = 1024 * 1024;
/** Lines that wait for a reader are offered again after this long, in ms, also when nobody logs. */
const RETRY_MS = 100;
/** Lines that still wait when the process exits get this long, in ms. */
const LAST_WRITE_MS = 500;

/**
 * The logger of a process that was given none: pino to stdout, `name: "ostinato"`, errors under `err` in pino's standard
 * form, and no secrets (see `redacted`). `format` undefined: `pretty` if stdout is a terminal, `json` otherwise. Colours
 * only in a terminal, and not with `NO_COLOR`. Pino is loaded here and not before. `level` is one of pino's; any other
 * rejects.
 */
export async function createDefaultLogger(level: string, format?: LogFormat): Promise<Logger> {
  const { destination, pino, stdSerializers } = await import("pino");
  let waitUntil = -Infinity;
  // By default a destination sleeps, and the whole process with it, until a full pipe is read.
  const retryEAGAIN = () => performance.now() < waitUntil;
  const stdout = destination({ fd: stdoutOfOurs(), sync: true, maxLength: MAX_WAITING, retryEAGAIN });
  let timer: NodeJS.Timeout | undefined;
  const atExit = () => {
    waitUntil = performance.now() + LAST_WRITE_MS;
    stdout.write("");
  };
  // Without a listener a full disk behind stdout would be an uncaught exception: a line is lost, not the process.
  stdout.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (code !== "EAGAIN" || timer !== undefined) return;
    process.once("exit", atExit);
    timer = setTimeout(() => {
      timer = undefined;
      process.off("exit", atExit);
      stdout.write("");
    }, RETRY_MS).unref();
  });
  const isPretty = format === undefined ? process.stdout.isTTY : format === "pretty";
  const hasColours = process.stdout.isTTY && hasColourIn(process.env);
  const pretty = {
    write(line: string) {
      try {
        stdout.write(prettyLine(line, hasColours));
      } catch {
        // A line is lost, not the process.
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

let pipe: number | undefined;

/**
 * Whether a full pipe blocks who writes is a flag that all have in common who inherited it, and each Node that ends sets it
 * back: it would stop its supervisor. So a pipe is opened anew, where the system lets us.
 */
function stdoutOfOurs(): number {
  if (pipe !== undefined) return pipe;
  try {
    if (process.platform === "linux" && fstatSync(1).isFIFO())
      pipe = openSync("/proc/self/fd/1", constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    // The pipe is another user's, or nobody reads it any more.
  }
  return pipe ?? 1;
}

/** See no-color.org. */
function hasColourIn({ NO_COLOR, TERM }: NodeJS.ProcessEnv): boolean {
  return (NO_COLOR ?? "") === "" && TERM !== "dumb";
}
