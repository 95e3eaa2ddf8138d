import { Buffer } from "node:buffer";
import type { Logger as Pino } from "pino";
import { ALL_THAT_IS_LEFT, ONLY_COPY, type Logger } from "./logger.js";
import { prettyLine } from "./pretty.js";
import { redacted } from "./redact.js";
import { shortened, shortFields } from "./shorten.js";
import { stdoutLines } from "./stdout-lines.js";

/** For people, or for machines. */
export type LogFormat = "pretty" | "json";

/** Of an ordinary line, in characters: what is longer has its long fields cut. */
const MAX_LINE_CHARACTERS = 1024 * 1024;

/** What pino adds to the fields of a line, at most, in bytes. */
const PINO_BYTES = 200;
/** Of a field of a line that is to reach a shared pipe in one piece. */
const MAX_SHARED_FIELD_CHARACTERS = 500;

/**
 * The logger of a process that was given none: pino to stdout, `name: "ostinato"`, errors under `err` in pino's standard
 * form, and no secrets (see `redacted`). `format` undefined: `pretty` if stdout is a terminal, `json` otherwise. Colours
 * only in a terminal, and not with `NO_COLOR`. Pino is loaded here and not before. `level` is one of pino's; any other
 * rejects.
 *
 * A line that is the only copy of something (`logOnlyCopy`) is written whole, also to a reader that is slow. A file of mode
 * 0600 has it, and a line names the file, where the reader does not read, where lines are cut for people, where secrets
 * were taken out of it, and where it is long and processes of a cluster write to one pipe, which would mix their lines. The
 * file is in `rescueDir`, if that is given and takes it, and else in the system's folder for temporary files.
 */
export async function createDefaultLogger(level: string, format?: LogFormat, rescueDir?: string): Promise<Logger> {
  const { pino, stdSerializers } = await import("pino");
  const isPretty = format === undefined ? process.stdout.isTTY : format === "pretty";
  const hasColours = process.stdout.isTTY && hasColourIn(process.env);
  const stdout = stdoutLines(rescueDir);
  let isOnlyCopy = false;
  const destination = {
    write(line: string) {
      const isWhole = isOnlyCopy;
      // What the writer has to say of this line is another one.
      isOnlyCopy = false;
      try {
        const text = isWhole || line.length <= MAX_LINE_CHARACTERS ? line : shortened(line);
        stdout.lines.write(isPretty ? prettyLine(text, hasColours) : text, isWhole);
      } catch {
        // A line is lost, not the process.
      }
    },
  };
  const err = (error: unknown) => {
    const serialised: unknown = stdSerializers.err(error as Error);
    return typeof serialised === "object" && serialised !== null ? redacted(serialised) : serialised;
  };
  const logger = pino({ name: "ostinato", level, serializers: { err }, formatters: { log: redacted } }, destination);
  // Pino's formatters do not see the bindings of children. Children inherit this method, and the next.
  const child = Reflect.get(logger, "child") as (this: unknown, bindings: object, options?: object) => unknown;
  Reflect.set(logger, "child", function (this: unknown, bindings: object, options?: object) {
    return child.call(this, redacted(bindings), options);
  });
  Reflect.set(logger, ONLY_COPY, function (this: Pino, fields: object, message: string) {
    if (!this.isLevelEnabled("error")) return;
    const isTooLong = stdout.isShared && recordOf(fields, message).length + PINO_BYTES > stdout.pieceBytes;
    const isCut = isPretty || redacted(fields) !== fields;
    if ((isCut || isTooLong) && stdout.rescue([recordOf(fields, message)])) {
      const shown = isTooLong ? shortFields(redacted(fields), MAX_SHARED_FIELD_CHARACTERS) : fields;
      this.error({ ...shown, file: stdout.file }, `${message}; the file has it whole`);
      return;
    }
    isOnlyCopy = true;
    try {
      this.error(fields, `${message}; ${ALL_THAT_IS_LEFT}${isCut ? ", and it does not show all of it" : ""}`);
    } finally {
      isOnlyCopy = false;
    }
  });
  stdout.tellBy(logger);
  return logger satisfies Logger;
}

/** A line for the file. */
function recordOf(fields: object, message: string): Buffer {
  const plain = (_key: string, value: unknown) => (value instanceof Error ? value.message : value);
  return Buffer.from(`${JSON.stringify({ time: Date.now(), msg: message, ...fields }, plain)}\n`);
}

/** See no-color.org. */
function hasColourIn({ NO_COLOR, TERM }: NodeJS.ProcessEnv): boolean {
  return (NO_COLOR ?? "") === "" && TERM !== "dumb";
}
