import { fstatSync, readSync } from "node:fs";
import type { EndedHandOut } from "../ended-hand-outs.js";
import {
  decodeHeader,
  decodeLine,
  decodeMeta,
  END_LINE,
  MAX_LINE_BYTES,
  type JournalHeader,
  type ResultMeta,
} from "./format.js";

/** Where in a file a result is. */
export interface Place {
  readonly meta: ResultMeta;
  readonly offset: number;
  /** Without the line break. */
  readonly length: number;
}

/** What a journal is known to hold. */
export interface Scan {
  /** Undefined: it was damaged. */
  readonly header: JournalHeader | undefined;
  /** Results that were not settled, by number, in the order they were written. */
  readonly live: Map<number, Place>;
  /** Lines that were torn or changed. */
  readonly damagedLines: number;
}

/** Fills `buffer` from `position` on; the number of bytes, 0 at the end. */
export type ReadAt = (buffer: Buffer, position: number) => number;

/** What is read of a journal before the event loop turns, in bytes: some ten milliseconds. */
export const SLICE_BYTES = 2 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;
const NEWLINE = 0x0a;
/** So many results are known of at most: whoever has dealt with them takes them out, and reads on. */
const MAX_LIVE = 100_000;
/** So many hand-outs that have ended are remembered, and up to twice that. */
const MAX_ENDED = 1_000;

/** Reads a journal from its beginning to its end. */
export function scan(read: ReadAt): Scan {
  const reading = new JournalScan(read);
  while (reading.readOn(Infinity) === "more");
  return reading;
}

/**
 * Reads a journal from its beginning, as much at a time as it is told to: a dead process may have left gigabytes, and the
 * event loop has to turn meanwhile. Bodies are only checked, not kept. At the end it may be told again, for what was
 * written since.
 */
export class JournalScan implements Scan {
  header: JournalHeader | undefined;
  readonly live = new Map<number, Place>();
  /** The last hand-outs that there was a result of, settled or not. */
  readonly ended: EndedHandOut[] = [];
  readonly #read: ReadAt;
  #damagedLines = 0;
  #position = 0;
  /** The line that is being read: where it begins, its bytes so far unless they are too many, and their number. */
  #lineStart = 0;
  #parts: Buffer[] = [];
  #lineBytes = 0;
  /** The file ends in the middle of a line. */
  #hasTornEnd = false;

  constructor(read: ReadAt) {
    this.#read = read;
  }

  get damagedLines(): number {
    return this.#damagedLines + (this.#hasTornEnd ? 1 : 0);
  }

  /** Reads on for about `maxBytes`. `more`: it is not at the end yet. `full`: so many results are {@link live}. */
  readOn(maxBytes: number): "more" | "full" | "end" {
    const until = this.#position + maxBytes;
    this.#hasTornEnd = false;
    while (this.#position < until) {
      if (this.live.size >= MAX_LIVE) return "full";
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      const count = this.#read(buffer, this.#position);
      if (count === 0) {
        this.#endOfFile();
        return "end";
      }
      this.#take(buffer.subarray(0, count));
    }
    return "more";
  }

  #take(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#append(chunk.subarray(from, at));
      const line = this.#line();
      if (this.#lineBytes > 0 && (line === undefined || !this.#understand(line))) this.#damagedLines += 1;
      from = at + 1;
      this.#beginLine(this.#position + from);
    }
    this.#append(chunk.subarray(from));
    this.#position += chunk.length;
  }

  #append(part: Buffer): void {
    this.#lineBytes += part.length;
    if (this.#lineBytes <= MAX_LINE_BYTES) this.#parts.push(part);
    else this.#parts = [];
  }

  /** Undefined: it is too long to be any of ours. */
  #line(): Buffer | undefined {
    if (this.#lineBytes > MAX_LINE_BYTES) return undefined;
    const [only] = this.#parts;
    return this.#parts.length === 1 && only !== undefined ? only : Buffer.concat(this.#parts, this.#lineBytes);
  }

  #beginLine(position: number): void {
    this.#lineStart = position;
    this.#parts = [];
    this.#lineBytes = 0;
  }

  /** The last line may be whole. Otherwise its owner may be writing it: it is read again from its beginning. */
  #endOfFile(): void {
    if (this.#lineBytes === 0) return;
    const line = this.#line();
    if (line !== undefined) {
      this.#hasTornEnd = !this.#understand(line);
      if (this.#hasTornEnd) this.#position = this.#lineStart;
      this.#beginLine(this.#position);
    } else this.#hasTornEnd = true;
  }

  #note({ taskId, pollCount }: ResultMeta): void {
    // When it was handed out is not written down: its count alone has to tell.
    this.ended.push({ taskId, pollCount, updateTime: Number.MAX_SAFE_INTEGER });
    if (this.ended.length >= 2 * MAX_ENDED) this.ended.splice(0, MAX_ENDED);
  }

  /** False: it is damaged. */
  #understand(line: Buffer): boolean {
    const decoded = decodeLine(line);
    if (decoded === undefined) return false;
    if (decoded.kind === "h") {
      const found = decodeHeader(decoded.payload);
      if (found !== undefined && "workerIds" in found) this.header = found;
    } else if (decoded.kind === "p") {
      const meta = decodeMeta(decoded.payload);
      if (meta === undefined) return false;
      this.live.set(meta.n, { meta, offset: this.#lineStart, length: line.length });
      this.#note(meta);
    } else if (decoded.kind === "s") {
      this.live.delete(Number(decoded.payload.toString("latin1")));
    }
    return true;
  }
}

export function readAtOf(fd: number): ReadAt {
  return (buffer, position) => readSync(fd, buffer, 0, buffer.length, position);
}

/** What the first line says; undefined when it is damaged, or not there. */
export function readHeader(fd: number): ReturnType<typeof decodeHeader> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  const count = readSync(fd, buffer, 0, buffer.length, 0);
  const end = buffer.subarray(0, count).indexOf(NEWLINE);
  const decoded = end < 0 ? undefined : decodeLine(buffer.subarray(0, end));
  return decoded?.kind === "h" ? decodeHeader(decoded.payload) : undefined;
}

/** The owner has written that it is done with the file. */
export function hasEnd(fd: number): boolean {
  const { size } = fstatSync(fd);
  if (size < END_LINE.length) return false;
  const tail = Buffer.alloc(END_LINE.length);
  readSync(fd, tail, 0, tail.length, size - tail.length);
  return tail.equals(END_LINE);
}
