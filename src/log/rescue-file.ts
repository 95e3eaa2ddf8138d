import type { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { constants, ftruncateSync, openSync, writeSync } from "node:fs";
import path from "node:path";

/** What such a file may come to hold, in bytes: a disk is for others, too. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Not through a symbolic link, and not into a file that somebody has put there. */
const CREATE = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL;

/**
 * A file of this process for lines that must not be lost and that its log cannot take, or not whole:
 * `ostinato-undelivered-<pid>-….jsonl`, readable by its owner only. It is created with the first of them.
 */
export class RescueFile {
  readonly #dirs: readonly string[];
  #open: { readonly file: string; readonly fd: number } | undefined;
  #bytes = 0;

  /** In the first of these folders that takes it. */
  constructor(dirs: readonly string[]) {
    this.#dirs = dirs;
  }

  /** Its path, once it is there. */
  get file(): string | undefined {
    return this.#open?.file;
  }

  /** All of them, or none and an error. */
  append(lines: readonly Buffer[]): void {
    const bytes = lines.reduce((sum, line) => sum + line.length, 0);
    if (this.#bytes + bytes > MAX_BYTES)
      throw new Error(`${this.file ?? "the file"} would have over ${MAX_BYTES} bytes`);
    const { fd } = (this.#open ??= this.#create());
    try {
      for (const line of lines) {
        if (writeSync(fd, line) < line.length)
          throw Object.assign(new Error("ENOSPC: only a part was written"), { code: "ENOSPC" });
      }
      this.#bytes += bytes;
    } catch (error) {
      ftruncateSync(fd, this.#bytes);
      throw error;
    }
  }

  #create(): { readonly file: string; readonly fd: number } {
    const name = `ostinato-undelivered-${process.pid}-${randomBytes(6).toString("hex")}.jsonl`;
    let failure: unknown;
    for (const dir of this.#dirs) {
      const file = path.resolve(dir, name);
      try {
        return { file, fd: openSync(file, CREATE, 0o600) };
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  }
}
