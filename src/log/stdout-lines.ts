import type { Buffer } from "node:buffer";
import cluster from "node:cluster";
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
  /** Processes of a cluster have one stdout; what is longer than a pipe takes in one piece may be mixed with others' lines. */
  readonly isShared = cluster.isWorker && !isFile(1);
  /** What a pipe takes in one piece, whoever else writes to it (PIPE_BUF). */
  readonly pieceBytes = process.platform === "linux" ? 4_096 : 512;
  readonly #file: RescueFile;
  #logger: Pick<Logger, "warn" | "error"> | undefined;
  /** What is said once: that nobody reads, and that the last attempt to write to the file failed. */
  #isUnread = false;
  #hasFailed = false;

  constructor(rescueDir: string | undefined) {
    this.#file = new RescueFile([...(rescueDir === undefined ? [] : [rescueDir]), tmpdir()]);
    this.lines = new LineWriter({
      fd: notBlocking(1),
      maxOnlyCopyBytes: memoryShare(MAX_ONLY_COPY_BYTES),
      rescue: (lines) => this.rescue(lines) && this.#tellUnread(lines.length),
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
    const before = this.file;
    try {
      this.#file.append(lines);
    } catch (error) {
      if (!this.#hasFailed) {
        this.#hasFailed = true;
        this.#logger?.error({ err: error }, "undelivered results cannot be kept in a file either");
        sayOnStderr(`undelivered results cannot be kept in a file: ${(error as Error).message}`);
      }
      return false;
    }
    this.#hasFailed = false;
    // Each line about one of them names it as well; but perhaps nobody reads those.
    if (before === undefined) sayOnStderr(`undelivered results are kept in ${this.file ?? ""}`);
    return true;
  }

  #tellUnread(results: number): true {
    if (!this.#isUnread) {
      this.#isUnread = true;
      this.#logger?.error(
        { file: this.file, results },
        "nobody reads this log: undelivered results are put into the file",
      );
    }
    return true;
  }
}

function sayOnStderr(text: string): void {
  try {
    writeSync(notBlocking(2), `ostinato: ${text}\n`);
  } catch {
    // Nobody reads that, either.
  }
}

/** Each write goes into a file in one piece. */
function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false;
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
