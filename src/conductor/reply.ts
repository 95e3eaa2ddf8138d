import type { Exchange, HttpRequest } from "../http/exchange.js";
import { ConductorError } from "./errors.js";
import type { ErrorResponse } from "./types.js";

/**
 * What became of one call to Conductor, as a value:
 * - `answered`: the server did it, and the body was checked.
 * - `refused`: a whole answer with a status of 300 or more.
 * - `notSent`: the server knows nothing of it.
 * - `maybeApplied`: it may have been done. No whole answer came, or one that makes no sense (an HTML page with status
 *   200): something on the way answered in the server's stead.
 */
export type Reply<T> = (
  | {
      readonly kind: "answered";
      readonly value: T;
      /** How long the body was, in bytes, where something was read and one body holds all of it. */
      readonly bytes?: number;
    }
  | { readonly kind: "refused" | "notSent" | "maybeApplied"; readonly error: ConductorError }
) &
  Pick<Exchange, "isRepeated">;

type Answered = Extract<Exchange, { kind: "answered" }>;

/** Checks a 2xx answer; `undefined` means that Conductor gives no such answer to this request. */
export type Check<T> = (answer: Answered) => T | undefined;

/** Words that only Conductor has, from a server whose answers leave out more than those. */
const CONDUCTOR_WORDS = /^(No such (task|workflow)|Task not found for taskId)/i;

/** How many validation errors a message repeats. */
const MAX_DETAILS = 5;

/** Statuses that say "not now". */
export const PASSING_STATUSES = new Set([408, 425, 429, 502, 503, 504]);

export function toReply<T>(request: HttpRequest, exchange: Exchange, check: Check<T>): Reply<T> {
  const reply = replyOf(request, exchange, check);
  return exchange.isRepeated === true ? { ...reply, isRepeated: true } : reply;
}

function replyOf<T>(request: HttpRequest, exchange: Exchange, check: Check<T>): Reply<T> {
  if (exchange.kind !== "answered") {
    return { kind: exchange.kind, error: faultError(request, exchange) };
  }
  if (exchange.status >= 300) return { kind: "refused", error: refusal(request, exchange) };
  const value = check(exchange);
  if (value !== undefined) return { kind: "answered", value };
  return { kind: "maybeApplied", error: malformed(request, exchange) };
}

/** The value of a reply; throws its error when there is none. */
export function valueOf<T>(reply: Reply<T>): T {
  if (reply.kind === "answered") return reply.value;
  throw reply.error;
}

/** JSON, or `undefined` for what is none. (`null` stays `null`.) */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function faultError(request: HttpRequest, exchange: Exclude<Exchange, Answered>): ConductorError {
  const { code, message, cause } = exchange.fault;
  return new ConductorError({
    code,
    message,
    method: request.method,
    pathTemplate: request.pathTemplate,
    retryable: code !== "INVALID_REQUEST" && code !== "CLOSED",
    cause,
  });
}

function refusal(request: HttpRequest, answer: Answered): ConductorError {
  const body = conductorErrorBody(answer);
  const said =
    body === undefined
      ? `an answer of ${describeBody(answer)}${redirection(answer)}`
      : body.message + details(body.validationErrors);
  return new ConductorError({
    code: "SERVER_REFUSED",
    message: `HTTP ${answer.status}: ${said}`,
    method: request.method,
    pathTemplate: request.pathTemplate,
    status: answer.status,
    retryable: PASSING_STATUSES.has(answer.status) || (answer.status === 500 && body?.retryable !== false),
    ...(body === undefined ? {} : { serverMessage: body.message }),
    ...(body?.validationErrors === undefined ? {} : { validationErrors: body.validationErrors }),
    ...(answer.retryAfterMs === undefined ? {} : { retryAfterMs: answer.retryAfterMs }),
  });
}

/** Only who is meant: what follows may be somebody's session. */
function redirection({ status, location }: Answered): string {
  if (location === undefined || status >= 400) return "";
  const where = URL.canParse(location) ? new URL(location).origin : "another path";
  return `, a redirect to ${where}; it is not followed: serverUrl must be the address of the server itself`;
}

/** "Validation failed, check below errors for detail." alone is no help; what is below stands in a field of its own. */
function details(validationErrors: unknown): string {
  if (!Array.isArray(validationErrors)) return "";
  const lines = (validationErrors as unknown[])
    .filter(isObject)
    .map(({ path, message }) => [path, message].filter((text) => typeof text === "string" && text !== "").join(": "))
    .filter((line) => line !== "");
  const shown = lines.slice(0, MAX_DETAILS).map((line) => (line.length > 200 ? `${line.slice(0, 200)}…` : line));
  const more = lines.length > MAX_DETAILS ? `; and ${lines.length - MAX_DETAILS} more` : "";
  return shown.length === 0 ? "" : ` ${shown.join("; ")}${more}`;
}

function malformed(request: HttpRequest, answer: Answered): ConductorError {
  return new ConductorError({
    code: "MALFORMED_RESPONSE",
    message: `HTTP ${answer.status} with ${describeBody(answer)}, which Conductor does not send here; is there a proxy or a login page in between?`,
    method: request.method,
    pathTemplate: request.pathTemplate,
    status: answer.status,
    retryable: true,
  });
}

/**
 * The body of a refusal in Conductor's own words. A gateway's JSON may have a message as well, and the status beside it
 * (Spring's does); only Conductor says whether to try again.
 */
function conductorErrorBody(answer: Answered): ErrorResponse | undefined {
  if (!answer.body.startsWith("{")) return undefined;
  const body = parseJson(answer.body);
  if (!isObject(body) || typeof body.message !== "string") return undefined;
  const isConductors = typeof body.retryable === "boolean" && (body.status ?? answer.status) === answer.status;
  return isConductors || CONDUCTOR_WORDS.test(body.message) ? (body as unknown as ErrorResponse) : undefined;
}

/** Names the kind and size of a body, and never its content: it may carry secrets. */
function describeBody(answer: Answered): string {
  if (answer.body === "") return "no body";
  return `${answer.body.length} characters of ${answer.contentType === "" ? "no content type" : answer.contentType}`;
}
