import type { ConductorError } from "../../conductor/errors.js";
import { FINAL_STATUSES, type Reply } from "../../conductor/reply.js";
import type { FailureClass } from "./backoff.js";

/** What one request told about the server as a whole. `neutral` says nothing: the fault may be the request's own. */
export type Verdict = "ok" | "neutral" | FailureClass;

/** What a failed request says about the server as a whole. */
export function failureVerdict(reply: Exclude<Reply<unknown>, { kind: "answered" }>): Verdict {
  const { error } = reply;
  if (reply.kind === "refused") return refusalVerdict(error);
  if (error.code === "DEADLINE_EXCEEDED") return "silent";
  if (error.code === "MALFORMED_RESPONSE") return "overloaded";
  if (error.code === "INVALID_REQUEST" || error.code === "CLOSED") return "neutral";
  // Somebody answers, and at length: we have asked for too much.
  if (error.code === "RESPONSE_TOO_LARGE") return "neutral";
  return "unreachable";
}

/** However it is put: "No such task found by id: …", "Task not found". Not that a path or a resource is not there. */
const GONE =
  /no such (task|workflow)\b|\b(task|workflow)\b[^./]*\bnot found|(not|cannot) find (the |a )?(task|workflow)\b/i;

/**
 * Conductor itself says that the task, or what it belongs to, is not there. A 404 of a proxy, or of a gateway that has
 * no route for the moment (with a message in JSON as well), says nothing of the kind.
 */
export function isGone(reply: Reply<unknown>): boolean {
  return reply.kind === "refused" && reply.error.status === 404 && GONE.test(reply.error.serverMessage ?? "");
}

/**
 * The server may have acted on the request, and what it said never came: the answer was lost, or somebody on the way
 * answered in its stead (a gateway that had no patience left, or whose connection broke).
 */
export function mayBeLost(reply: Exclude<Reply<unknown>, { kind: "answered" }>): boolean {
  if (reply.kind !== "refused") return reply.kind === "maybeApplied";
  const { status = 0, serverMessage } = reply.error;
  return status >= 500 && serverMessage === undefined;
}

/** Where a wait has to be chosen after a failure that says nothing of the server. */
export function failureClassOf(verdict: Verdict): FailureClass {
  return verdict === "ok" || verdict === "neutral" ? "overloaded" : verdict;
}

/** A maintenance page answers every POST with 405: the server, which takes them, has not heard of this one. */
export function isUnheard({ status, serverMessage }: ConductorError): boolean {
  return status === 405 && serverMessage === undefined;
}

/** What a refusal says about the server as a whole, by its status and by whose words it is in. */
function refusalVerdict(error: ConductorError): Verdict {
  const status = error.status ?? 0;
  if (status === 401 || (status === 403 && error.serverMessage === undefined)) return "unauthorized";
  if (error.retryable && status !== 500) return "overloaded";
  // An answer in Conductor's own words: it is there, and it is about this request.
  if (error.serverMessage !== undefined) return status === 500 ? "neutral" : "ok";
  if (FINAL_STATUSES.has(status)) return "neutral";
  return "overloaded";
}
