import type { OstinatoErrorCode } from "../base/errors.js";
import type { Exchange, HttpFault } from "./exchange.js";

/** `{ kind: "notSent" }` with its fault. */
export function notSent(code: OstinatoErrorCode, message: string, cause?: unknown): Exchange {
  return { kind: "notSent", fault: fault(code, message, cause) };
}

/** `{ kind: "maybeApplied" }` with its fault. */
export function maybeApplied(code: OstinatoErrorCode, message: string, cause?: unknown): Exchange {
  return { kind: "maybeApplied", fault: fault(code, message, cause) };
}

function fault(code: OstinatoErrorCode, message: string, cause: unknown): HttpFault {
  return cause === undefined ? { code, message } : { code, message, cause };
}

/**
 * What a failure says, for people. An `AggregateError` (a host name with several addresses, none of which answers) has
 * an empty message of its own: the messages of its parts are given instead. Never throws.
 */
export function messageOf(error: unknown): string {
  try {
    if (error instanceof AggregateError) {
      const parts = new Set(error.errors.map(messageOf));
      if (parts.size > 0) return [...parts].join("; ");
    }
    if (error instanceof Error) return error.message || codeOf(error) || error.name;
    return String(error);
  } catch {
    return "unknown error";
  }
}

/** The `code` of a Node or undici error; `""` if it has none. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "";
}

/**
 * True when bytes came that are not HTTP/1.1; a cut in the middle of an answer is not that, it is a lost connection.
 * undici gives its parser's errors a name; their code is missing more often than not.
 */
export function isMalformed(error: unknown): boolean {
  if (codeOf(error) === "UND_ERR_HEADERS_OVERFLOW") return true;
  return error instanceof Error && error.name === "HTTPParserError" && !/invalid eof/i.test(error.message);
}
