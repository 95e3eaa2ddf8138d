import { Buffer } from "node:buffer";
import type { HttpRequest } from "./exchange.js";

const NO_HEADERS: readonly string[] = [];
const JSON_HEADERS: readonly string[] = ["content-type", "application/json"];

const NOT_IN_A_PATH = /[^\x21-\x7e]/;
const NOT_IN_A_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** What the transport sets itself, or what would change how the connection is used. */
const RESERVED = new Set([
  "connection",
  "content-length",
  "content-type",
  "expect",
  "host",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);

/** Thrown by {@link headersOf}; the message is the whole explanation and quotes no value. */
export class InvalidRequest extends Error {}

/** Says what is wrong with a request before it costs anything; `undefined` when nothing is. */
export function problemOf(request: HttpRequest): string | undefined {
  const { lane, deadlineMs, path, body, method } = request;
  if (lane !== "poll" && lane !== "main") return "the lane must be poll or main";
  if (!(Number.isFinite(deadlineMs) && deadlineMs > 0))
    return `deadlineMs must be a finite number above 0, not ${deadlineMs}`;
  if (typeof path !== "string" || !path.startsWith("/") || NOT_IN_A_PATH.test(path))
    return "the path must start with a slash and be percent-encoded";
  if (typeof method !== "string" || !TOKEN.test(method)) return "the method must be a token";
  if (body !== undefined && typeof body !== "string" && !Buffer.isBuffer(body))
    return "the body must be a string or a Buffer";
  return undefined;
}

/**
 * The headers of a request, as undici's flat list of names and values.
 *
 * They are checked here and not left to undici's own check: a request that undici refuses leaves one client of its pool
 * marked as busy for good, and as many refusals as there are connections stop the pool.
 *
 * @throws {InvalidRequest} a name or value that HTTP does not allow, or that is reserved
 */
export function headersOf(
  request: HttpRequest,
  extra: (() => Readonly<Record<string, string>>) | undefined,
): readonly string[] {
  const { body, contentType, token } = request;
  if (extra === undefined && token === undefined) {
    if (body === undefined) return NO_HEADERS;
    if (contentType === undefined) return JSON_HEADERS;
  }
  const headers: string[] = [];
  if (body !== undefined) push(headers, "content-type", contentType ?? "application/json");
  if (token !== undefined) push(headers, "x-authorization", token);
  if (extra !== undefined) {
    const record = extra();
    for (const name of Object.keys(record)) {
      if (!TOKEN.test(name)) throw new InvalidRequest("a header name is not allowed in HTTP");
      if (RESERVED.has(name.toLowerCase())) throw new InvalidRequest(`the header ${name} is set by the transport`);
      push(headers, name, record[name]);
    }
  }
  return headers;
}

function push(headers: string[], name: string, value: unknown): void {
  if (typeof value !== "string" || NOT_IN_A_VALUE.test(value))
    throw new InvalidRequest(`the value of the header ${name} is not allowed in HTTP`);
  headers.push(name, value);
}
