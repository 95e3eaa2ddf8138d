import type { Buffer } from "node:buffer";
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { memoryShare } from "../base/memory-share.js";
import { LineWriter } from "./line-writer.js";
import type { Logger } from "./logger.js";
import { RescueFile } from "./rescue-file.js";

/** Only copies that wait for a reader, in bytes, or less where there is little memory: as much as may wait for a server. */
const MAX_ONLY_COPY_BYTES = 64 * 1024 * 1024;

/**
 * The lines that this process writes to stdout, all loggers' in one order, and the file for those that nobody reads. There
 * is one for a process: two that write to a pipe with little room would mix their lines.
 */
export class StdoutLines {
  readonly lines: LineWriter;
  readonly #file: RescueFile;
  #logger: Pick<Logger, "warn" | "error"> | undefined;
  /** What was said last of the file, so that it is said once. */
  #said: "named" | "failed" | undefined;

  constructor(rescueDir: string | undefined) {
    this.#file = new RescueFile([...(rescueDir === undefined ? [] : [rescueDir]), tmpdir()]);
    this.lines = new LineWriter({
      fd: notBlocking(1),
      maxOnlyCopyBytes: memoryShare(MAX_ONLY_COPY_BYTES),
      rescue: (lines) => {
        const isSafe = this.rescue(lines);
        if (isSafe) this.#name(lines.length);
        return isSafe;
      },
      onLost: ({ lines, onlyCopies }) => {
        const text = "nobody read this log for a while, and lines of it were dropped";
        if (onlyCopies > 0)
          this.#logger?.error({ lines, results: onlyCopies }, `${text}, undelivered results among them`);
        else this.#logger?.warn({ lines }, text);
      },
    });
  }

  /** The file's path, once it is there. */
  get file(): string | undefined {
    return this.#file.file;
  }

  /** By which logger to tell what becomes of lines. */
  tellBy(logger: Pick<Logger, "warn" | "error">): void {
    this.#logger = logger;
  }

  /** Puts lines into the file. False: that is not possible, which is said once. */
  rescue(lines: readonly Buffer[]): boolean {
    try {
      this.#file.append(lines);
      return true;
    } catch (error) {
      if (this.#said !== "failed") this.#say({ err: error }, "undelivered results cannot be kept in a file either");
      this.#said = "failed";
      return false;
    }
  }

  #name(results: number): void {
    if (this.#said === "named") return;
    this.#said = "named";
    this.#say({ file: this.file, results }, "nobody reads this log: undelivered results are put into the file");
  }

  /** On stderr as well: whoever reads nothing of stdout reads nothing of this. */
  #say(fields: object, message: string): void {
    this.#logger?.error(fields, message);
    const { err, ...more } = fields as { err?: Error };
    const text = `ostinato: ${message} ${JSON.stringify({ ...more, ...(err === undefined ? {} : { error: err.message }) })}\n`;
    try {
      writeSync(notBlocking(2), text);
    } catch {
      // Nobody reads stderr, either.
    }
  }
}

let ofThisProcess: StdoutLines | undefined;

/** The one of this process; `rescueDir` counts where it is asked for first. */
export function stdoutLines(rescueDir: string | undefined): StdoutLines {
  return (ofThisProcess ??= new StdoutLines(rescueDir));
}

const pipes = new Map<number, number>();

/**
 * Whether a full pipe blocks who writes is a flag that all have in common who inherited it, and each Node that ends sets it
 * back: it would stop its supervisor. So a pipe is opened anew, where the system lets us.
 */
function notBlocking(fd: 1 | 2): number {
  const known = pipes.get(fd);
  if (known !== undefined) return known;
  let opened: number = fd;
  try {
    if (process.platform === "linux" && fstatSync(fd).isFIFO())
      opened = openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    // The pipe is another user's, or nobody reads it any more.
  }
  pipes.set(fd, opened);
  return opened;
}
