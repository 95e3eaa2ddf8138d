import { Buffer } from "node:buffer";
import { writeSync } from "node:fs";
import { LinkedList, type Linked } from "../base/linked-list.js";

/** What is kept of ordinary lines while the descriptor takes none, in bytes; further lines are dropped, and counted. */
const MAX_WAITING_BYTES = 1024 * 1024;
/** A descriptor that takes nothing is tried again after this long, in ms; one that has just taken something sooner. */
const RETRY_MS = 100;
const RETRY_SOON_MS = 5;
/** A reader that takes nothing for this long is given up as far as only copies go, in ms. */
const PATIENCE_MS = 5_000;
/** At the exit of the process, which waits: the same, and for all that is left together, in ms. */
const EXIT_PATIENCE_MS = 500;
const EXIT_MS = 3_000;

export interface LineWriterOptions {
  readonly fd: number;
  /** Of only copies that wait, in bytes; beyond it they are rescued at once. */
  readonly maxOnlyCopyBytes: number;
  /** Puts only copies that nobody reads somewhere else. False: there is nowhere. Must not throw. */
  readonly rescue: (lines: readonly Buffer[]) => boolean;
  /** Lines were lost, only copies among them or not; told when lines are taken again. */
  readonly onLost: (lost: { readonly lines: number; readonly onlyCopies: number }) => void;
}

interface WaitingLine extends Linked<WaitingLine> {
  readonly bytes: Buffer;
  /** How many of them are written. */
  written: number;
  isOnlyCopy: boolean;
}

/**
 * Writes lines to a descriptor, in order, each at once where it is taken (a file, a pipe with room), and never waits for a
 * reader but at the exit of the process, within a bound. What is not taken waits: of ordinary lines a little, and the rest
 * is dropped; the only copies of something until they are taken, or rescued because the reader does not read.
 */
export class LineWriter {
  readonly #options: LineWriterOptions;
  readonly #waiting = new LinkedList<WaitingLine>();
  #ordinaryBytes = 0;
  #onlyCopyBytes = 0;
  #lostLines = 0;
  #lostOnlyCopies = 0;
  #timer: NodeJS.Timeout | undefined;
  /** When the descriptor has last taken something, or began not to. */
  #tookAt = 0;
  /** It is only full: whoever reads it may make room. */
  #hasReader = true;

  constructor(options: LineWriterOptions) {
    this.#options = options;
  }

  /** Takes a line with its line break. Never throws. */
  write(line: string, isOnlyCopy: boolean): void {
    let written = 0;
    if (this.#waiting.first === undefined) {
      const bytes = this.#take(line);
      if (bytes === Buffer.byteLength(line)) return;
      written = bytes;
      this.#tookAt = performance.now();
      this.#begin();
    } else if (!isOnlyCopy && this.#ordinaryBytes >= MAX_WAITING_BYTES) {
      this.#lostLines += 1;
      return;
    }
    this.#append({ bytes: Buffer.from(line), written, isOnlyCopy, previous: undefined, next: undefined });
    if (isOnlyCopy && this.#onlyCopyBytes > this.#options.maxOnlyCopyBytes && !this.#rescue()) this.#loseOldest();
  }

  /** How many bytes of it were taken. A full disk or a closed pipe takes none, now and perhaps for ever. */
  #take(line: string | Buffer): number {
    try {
      this.#hasReader = true;
      return typeof line === "string" ? writeSync(this.#options.fd, line) : writeSync(this.#options.fd, line);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      this.#hasReader = code === "EAGAIN" || code === "EBUSY";
      return 0;
    }
  }

  #append(line: WaitingLine): void {
    this.#waiting.append(line);
    this.#count(line, line.bytes.length);
  }

  #remove(line: WaitingLine): void {
    this.#waiting.remove(line);
    this.#count(line, -line.bytes.length);
  }

  #count({ isOnlyCopy }: WaitingLine, bytes: number): void {
    if (isOnlyCopy) this.#onlyCopyBytes += bytes;
    else this.#ordinaryBytes += bytes;
  }

  /** Whether anything was taken. */
  #flush(): boolean {
    let tookAny = false;
    for (let line; (line = this.#waiting.first) !== undefined;) {
      const bytes = this.#take(line.bytes.subarray(line.written));
      if (bytes > 0) tookAny = true;
      line.written += bytes;
      if (line.written < line.bytes.length) {
        if (bytes === 0) break;
      } else this.#remove(line);
    }
    if (tookAny) this.#tookAt = performance.now();
    return tookAny;
  }

  #begin(): void {
    process.on("exit", this.#atExit);
    this.#setTimer(RETRY_SOON_MS);
  }

  #end(): void {
    process.off("exit", this.#atExit);
    clearTimeout(this.#timer);
    const lost = { lines: this.#lostLines, onlyCopies: this.#lostOnlyCopies };
    this.#lostLines = 0;
    this.#lostOnlyCopies = 0;
    if (lost.lines > 0 || lost.onlyCopies > 0) this.#options.onLost(lost);
  }

  #setTimer(delayMs: number): void {
    this.#timer = setTimeout(() => {
      const tookAny = this.#flush();
      if (!tookAny && performance.now() - this.#tookAt >= PATIENCE_MS) this.#rescue();
      if (this.#waiting.first === undefined) this.#end();
      else this.#setTimer(tookAny ? RETRY_SOON_MS : RETRY_MS);
    }, delayMs).unref();
  }

  readonly #atExit = (): void => {
    const endAt = performance.now() + EXIT_MS;
    const sleeper = new Int32Array(new SharedArrayBuffer(4));
    this.#tookAt = performance.now();
    for (;;) {
      this.#flush();
      const now = performance.now();
      if (this.#waiting.first === undefined || !this.#hasReader) break;
      if (now >= endAt || now - this.#tookAt >= EXIT_PATIENCE_MS) break;
      Atomics.wait(sleeper, 0, 0, RETRY_SOON_MS);
    }
    this.#rescue();
  };

  /** False: only copies still wait, for there is nowhere to put them. */
  #rescue(): boolean {
    const lines = this.#waiting.toArray().filter(({ isOnlyCopy }) => isOnlyCopy);
    if (lines.length === 0) return true;
    if (!this.#options.rescue(lines.map(({ bytes }) => bytes))) return false;
    for (const line of lines) {
      this.#remove(line);
      if (line.written > 0) this.#keepRest(line);
    }
    return true;
  }

  /** The descriptor has taken the beginning of a line: without its end, the next one would be spoilt. */
  #keepRest(line: WaitingLine): void {
    line.isOnlyCopy = false;
    this.#waiting.prepend(line);
    this.#count(line, line.bytes.length);
  }

  /** So many that the process would run out of memory. */
  #loseOldest(): void {
    const lines = this.#waiting.toArray().filter(({ isOnlyCopy, written }) => isOnlyCopy && written === 0);
    for (const line of lines) {
      if (this.#onlyCopyBytes <= this.#options.maxOnlyCopyBytes) return;
      this.#remove(line);
      this.#lostOnlyCopies += 1;
    }
  }
}
