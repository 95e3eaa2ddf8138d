import { fstatSync, readSync } from "node:fs";
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

const CHUNK_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

/** Reads a journal from its beginning. Bodies are only checked, not kept. */
export function scan(read: ReadAt): Scan {
  let header: JournalHeader | undefined;
  const live = new Map<number, Place>();
  let damagedLines = 0;
  forEachLine(read, (line, offset) => {
    const decoded = line === undefined ? undefined : decodeLine(line);
    if (decoded?.kind === "h") {
      const found = decodeHeader(decoded.payload);
      if (found !== undefined && "workerIds" in found) header = found;
    } else if (decoded?.kind === "p") {
      const meta = decodeMeta(decoded.payload);
      if (meta === undefined) damagedLines += 1;
      else live.set(meta.n, { meta, offset, length: line?.length ?? 0 });
    } else if (decoded?.kind === "s") {
      live.delete(Number(decoded.payload.toString("latin1")));
    } else if (decoded === undefined) {
      damagedLines += 1;
    }
  });
  return { header, live, damagedLines };
}

/** Calls back for each line that is not empty; with undefined for one too long to be any of ours. */
function forEachLine(read: ReadAt, onLine: (line: Buffer | undefined, offset: number) => void): void {
  let parts: Buffer[] = [];
  let partBytes = 0;
  let lineStart = 0;
  let position = 0;
  const end = () => {
    if (partBytes > 0) onLine(partBytes > MAX_LINE_BYTES ? undefined : Buffer.concat(parts, partBytes), lineStart);
    parts = [];
    partBytes = 0;
  };
  for (;;) {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    const count = read(buffer, position);
    if (count === 0) break;
    let from = 0;
    while (from < count) {
      const at = buffer.subarray(0, count).indexOf(NEWLINE, from);
      const to = at < 0 ? count : at;
      partBytes += to - from;
      if (partBytes <= MAX_LINE_BYTES) parts.push(buffer.subarray(from, to));
      else parts = [];
      if (at < 0) break;
      end();
      from = at + 1;
      lineStart = position + from;
    }
    position += count;
  }
  end();
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
