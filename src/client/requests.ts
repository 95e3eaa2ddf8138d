import { ConductorError } from "../conductor/errors.js";
import { isObject, parseJson, toReply, valueOf, type Check } from "../conductor/reply.js";
import type { HttpRequest, Transport } from "../http/exchange.js";

/** One request of a client for people. */
export interface Call {
  readonly method: HttpRequest["method"];
  /** Below the base URL, encoded. */
  readonly path: string;
  /** The path without ids and names. Default: `path`. */
  readonly pathTemplate?: string;
  /** Goes as JSON. */
  readonly body?: unknown;
  /** Total time, in ms. Default: the client's. */
  readonly deadlineMs?: number;
}

/** Sends one request and gives what `check` made of the answer; throws {@link ConductorError}. Nothing is retried. */
export type Send = <T>(call: Call, check: Check<T>) => Promise<T>;

export function createSend(transport: Transport, requestTimeoutMs: number): Send {
  return async (call, check) => {
    const { method, path, pathTemplate = path, body, deadlineMs = requestTimeoutMs } = call;
    const request: HttpRequest = {
      lane: "main",
      method,
      path,
      pathTemplate,
      deadlineMs,
      ...(body === undefined ? {} : { body: toJson(body, method, pathTemplate) }),
    };
    return valueOf(toReply(request, await transport.request(request), check));
  };
}

/**
 * One part of a path, encoded. Throws {@link ConductorError} (`INVALID_REQUEST`) for what would lead to another address:
 * nothing, `.` and `..`.
 */
export function pathPart(value: string, what: string, method: string, pathTemplate: string): string {
  if (typeof value !== "string" || value === "" || value === "." || value === "..") {
    throw invalidRequest(method, pathTemplate, `${what} must be a name, got ${JSON.stringify(value)}`);
  }
  try {
    return encodeURIComponent(value);
  } catch (cause) {
    throw invalidRequest(method, pathTemplate, `${what} cannot be encoded: it has half a surrogate pair`, cause);
  }
}

/** `?a=1&b=x`, without what is undefined; `""` when all of it is. */
export function queryOf(parameters: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  if (given.length === 0) return "";
  return `?${given.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join("&")}`;
}

export function invalidRequest(method: string, pathTemplate: string, message: string, cause?: unknown): ConductorError {
  return new ConductorError({ code: "INVALID_REQUEST", method, pathTemplate, message, retryable: false, cause });
}

/** An answer without a body, as writes and removals get it. */
export const nothing: Check<true> = ({ body }) => (body === "" || isObject(parseJson(body)) ? true : undefined);

/** An object that has a text in each of `fields`. */
export function objectWith<T>(...fields: readonly string[]): Check<T> {
  return ({ body }) => {
    const json = parseJson(body);
    return hasTexts(json, fields) ? (json as T) : undefined;
  };
}

/** An array of such objects. */
export function arrayWith<T>(...fields: readonly string[]): Check<T[]> {
  return ({ body }) => {
    const json = parseJson(body);
    return Array.isArray(json) && json.every((entry) => hasTexts(entry, fields)) ? (json as T[]) : undefined;
  };
}

export function hasTexts(value: unknown, fields: readonly string[]): value is Record<string, unknown> {
  return isObject(value) && fields.every((field) => typeof value[field] === "string");
}

function toJson(body: unknown, method: string, pathTemplate: string): string {
  try {
    return JSON.stringify(body);
  } catch (cause) {
    throw invalidRequest(method, pathTemplate, `the body cannot be serialised: ${String(cause)}`, cause);
  }
}
