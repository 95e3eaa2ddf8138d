import { PASSING_STATUSES, type Reply } from "../../conductor/reply.js";

/**
 * Whose word an answer is: Conductor's own (it answers as only Conductor does), that of a stranger on the way (a gateway, a
 * cache, a login page), or nobody's, for no answer came.
 */
export type Speaker = "conductor" | "stranger" | "nobody";

/**
 * What an answer is about, as far as one answer tells:
 * - `done`: nothing; Conductor has done it.
 * - `task`: Conductor does not know the task, or what it belongs to.
 * - `request`: these very bytes are never taken, by Conductor or by our own transport.
 * - `failure`: Conductor itself failed over these bytes, and says that trying again does not help.
 * - `endpoint`: Conductor has no such endpoint.
 * - `server`: everything, for not a byte could be sent.
 * - `open`: it may be these bytes, the endpoint or everything, for good or for now. What passes beside it tells.
 */
export type Subject = "done" | "task" | "request" | "failure" | "endpoint" | "server" | "open";

/**
 * Why a request did not get through, as far as waiting is concerned:
 * - `unreachable`: refused, reset, closed: a server that restarts is back in seconds.
 * - `silent`: the deadline passed; that time is already spent.
 * - `overloaded`: 429, 5xx, or an answer that is none of Conductor's: somebody answers, and needs room.
 * - `unauthorized`: 401 or 403: a person has to act.
 */
export type FailureClass = "unreachable" | "silent" | "overloaded" | "unauthorized";

/** What one answer means. What follows from it is decided where there is evidence: see `ServerGate` and `fateOfResult`. */
export interface Meaning {
  readonly speaker: Speaker;
  readonly subject: Subject;
  /** What it says of the server: it is `there`, nothing, or why it may be away. */
  readonly server: "there" | "unknown" | FailureClass;
  /** In which steps whoever asked waits before asking again. */
  readonly failureClass: FailureClass;
  /** What was asked to be waited, in ms. */
  readonly retryAfterMs: number | undefined;
}

/** What an answer means that Conductor gave, and that was what was asked for. */
export const DONE: Meaning = {
  speaker: "conductor",
  subject: "done",
  server: "there",
  failureClass: "overloaded",
  retryAfterMs: undefined,
};

/** What an answer means that makes no sense here, whatever its status. */
export const NONSENSE: Meaning = {
  speaker: "stranger",
  subject: "open",
  server: "overloaded",
  failureClass: "overloaded",
  retryAfterMs: undefined,
};

/** Statuses with which Conductor says that it has no such endpoint, or no such method there. */
const NO_ENDPOINT: ReadonlySet<number> = new Set([404, 405, 501]);

/** The meaning of one answer: who speaks, and about what. Pure: it knows neither the time nor what came before. */
export function meaningOf(reply: Reply<unknown>): Meaning {
  if (reply.kind === "answered") return DONE;
  const { error } = reply;
  const { status = 0, retryAfterMs } = error;
  if (reply.kind !== "refused") {
    const isNonsense = error.code === "MALFORMED_RESPONSE";
    if (isNonsense && reply.kind === "maybeApplied") return { ...NONSENSE, retryAfterMs };
    // Somebody answers, and at length: we have asked for too much.
    if (error.code === "RESPONSE_TOO_LARGE")
      return { speaker: "nobody", subject: "open", server: "there", failureClass: "overloaded", retryAfterMs };
    const isOurs = error.code === "INVALID_REQUEST" || error.code === "CLOSED";
    const isSilent = error.code === "DEADLINE_EXCEEDED";
    const failureClass = isOurs || isNonsense ? "overloaded" : isSilent ? "silent" : "unreachable";
    return {
      speaker: "nobody",
      subject: error.code === "INVALID_REQUEST" ? "request" : reply.kind === "notSent" ? "server" : "open",
      server: isOurs ? "unknown" : failureClass,
      failureClass,
      retryAfterMs,
    };
  }
  const failureClass = status === 401 || status === 403 ? "unauthorized" : "overloaded";
  if (error.serverMessage === undefined) {
    return { speaker: "stranger", subject: "open", server: failureClass, failureClass, retryAfterMs };
  }
  const own = { speaker: "conductor", failureClass, retryAfterMs } as const;
  if (isGone(reply)) return { ...own, subject: "task", server: "there" };
  if (status === 500) return { ...own, subject: error.retryable ? "open" : "failure", server: "unknown" };
  if (status === 401 || error.retryable || PASSING_STATUSES.has(status))
    return { ...own, subject: "open", server: failureClass };
  if (NO_ENDPOINT.has(status)) return { ...own, subject: "endpoint", server: "there" };
  const isFinal = status >= 400 && status < 500 && status !== 403;
  return { ...own, subject: isFinal ? "request" : "open", server: "there" };
}

/** However it is put: "No such task found by id: …", "Task not found". Not that a path or a resource is not there. */
const GONE =
  /no such (task|workflow)\b|\b(task|workflow)\b[^./]*\bnot found|(not|cannot) find (the |a )?(task|workflow)\b/i;

/**
 * Conductor itself says that the task, or what it belongs to, is not there. A 404 of a proxy, or of a gateway that has
 * no route for the moment (with a message in JSON as well), says nothing of the kind.
 */
function isGone(reply: Reply<unknown>): boolean {
  return reply.kind === "refused" && reply.error.status === 404 && GONE.test(reply.error.serverMessage ?? "");
}

/**
 * The server may have acted on the request, and what it said never came: the answer was lost, or somebody on the way
 * answered in its stead, with whatever status.
 */
export function mayBeLost(reply: Reply<unknown>): boolean {
  if (reply.isRepeated === true || reply.kind === "maybeApplied") return true;
  return reply.kind === "refused" && reply.error.serverMessage === undefined;
}
