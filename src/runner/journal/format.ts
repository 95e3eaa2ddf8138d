import { crc32 } from "node:zlib";
import { isObject, parseJson } from "../../conductor/reply.js";
import type { PollerIdentity } from "../poller-identity.js";

/**
 * A journal is lines, each `<kind> <bytes> <crc32> <payload>`, so that each can be judged by itself: whatever else was
 * torn or overwritten, a line that was written whole is found again.
 * - `h`: the header, first in the file, JSON.
 * - `p`: a result: what it belongs to as JSON, a tab, and the body as it goes over the wire.
 * - `s`: a result has left, by number.
 * - `e`: the owner is done with the file and has left results in it.
 *
 * JSON as it is written here has neither line breaks nor tabs in it.
 */
export const FORMAT = 1;

export type LineKind = "h" | "p" | "s" | "e";

/** Whose file it is. */
export interface JournalHeader {
  readonly format: number;
  /** The version of this package that wrote it. */
  readonly version: string;
  readonly workerIds: readonly string[];
  /** The address of the server that its results are for; undefined: nobody wrote it down. */
  readonly server?: string | undefined;
  readonly pid: number;
  readonly host: string;
  /** Of the machine's start, where that is known. */
  readonly bootId: string | undefined;
  /** Which process numbers `pid` is one of, where that is known. */
  readonly pidNamespace: string | undefined;
  /** Of the process, where that is known: tells it from a later one with its number. */
  readonly startTime: string | undefined;
  /** It ended in order, and had not found out what the server has under these names: whoever comes next is to look. */
  readonly owed?: readonly PollerIdentity[];
}

/** What a result belongs to. */
export interface ResultMeta {
  /** Its number in the file. */
  readonly n: number;
  readonly taskType: string;
  readonly taskId: string;
  readonly workflowInstanceId: string;
  readonly workerId: string;
  /** The hand-out that the result answers. */
  readonly pollCount: number;
  readonly retryCount: number;
}

/** More than the largest result there can be. A longer line is damage, and is not read into memory. */
export const MAX_LINE_BYTES = 32 * 1024 * 1024;

const NEWLINE = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;

export function encodeLine(kind: LineKind, text: string, body?: Buffer): Buffer {
  const textBytes = Buffer.byteLength(text);
  const bytes = textBytes + (body?.length ?? 0);
  const prefix = `${kind} ${bytes} `;
  const line = Buffer.allocUnsafe(prefix.length + 9 + bytes + 1);
  line.write(prefix, 0, "latin1");
  const start = prefix.length + 9;
  line.write(text, start, "utf8");
  body?.copy(line, start + textBytes);
  const sum = checksum(prefix, line.subarray(start, start + bytes));
  line.write(`${sum} `, prefix.length, "latin1");
  line[line.length - 1] = NEWLINE;
  return line;
}

export function encodeHeader(header: JournalHeader): Buffer {
  return encodeLine("h", JSON.stringify(header));
}

export function encodeResult(meta: ResultMeta, body: Buffer): Buffer {
  return encodeLine("p", `${JSON.stringify(meta)}\t`, body);
}

export function encodeSettled(n: number): Buffer {
  return encodeLine("s", String(n));
}

/** Always the same bytes: the end of a file can be compared with it. */
export const END_LINE: Buffer = encodeLine("e", "");

/** A line without its line break; undefined for what was not written whole, or was changed since. */
export function decodeLine(line: Buffer): { readonly kind: LineKind; readonly payload: Buffer } | undefined {
  const kind = line.toString("latin1", 0, 1);
  if (!isKind(kind) || line[1] !== SPACE) return undefined;
  const secondSpace = line.indexOf(SPACE, 2);
  if (secondSpace < 0 || secondSpace > 12 || line[secondSpace + 9] !== SPACE) return undefined;
  const payload = line.subarray(secondSpace + 10);
  const prefix = line.toString("latin1", 0, secondSpace + 1);
  if (prefix !== `${kind} ${payload.length} `) return undefined;
  const sum = line.toString("latin1", secondSpace + 1, secondSpace + 9);
  return sum === checksum(prefix, payload) ? { kind, payload } : undefined;
}

/** The header in a payload of kind `h`. Of another format's only `format` can be relied on. */
export function decodeHeader(payload: Buffer): JournalHeader | { readonly format: unknown } | undefined {
  const value = parseJson(payload.toString("utf8"));
  if (!isObject(value)) return undefined;
  if (value.format !== FORMAT) return { format: value.format };
  const { workerIds, pid, host, owed = [] } = value;
  const isWhole =
    Array.isArray(workerIds) && typeof pid === "number" && typeof host === "string" && Array.isArray(owed);
  return isWhole ? (value as unknown as JournalHeader) : undefined;
}

export function decodeMeta(payload: Buffer): ResultMeta | undefined {
  const tab = payload.indexOf(TAB);
  if (tab < 0) return undefined;
  const value = parseJson(payload.toString("utf8", 0, tab));
  if (!isObject(value)) return undefined;
  const texts = [value.taskType, value.taskId, value.workflowInstanceId, value.workerId];
  const numbers = [value.n, value.pollCount, value.retryCount];
  const isWhole =
    texts.every((text) => typeof text === "string") && numbers.every((number) => typeof number === "number");
  return isWhole ? (value as unknown as ResultMeta) : undefined;
}

/** The body in a payload of kind `p`. */
export function bodyOf(payload: Buffer): Buffer {
  return payload.subarray(payload.indexOf(TAB) + 1);
}

function checksum(prefix: string, payload: Buffer): string {
  return crc32(payload, crc32(prefix)).toString(16).padStart(8, "0");
}

function isKind(text: string): text is LineKind {
  return text === "h" || text === "p" || text === "s" || text === "e";
}
