import type { ReceivedTask } from "../../conductor/hand-out.js";
import type { Reply } from "../../conductor/reply.js";
import { meaningOf, type Meaning } from "./meaning.js";

/** Where a result is sent: `POST /tasks` (v1), or `POST /tasks/update-v2`, whose answer may carry the next task. */
export type UpdateEndpoint = "v1" | "v2";

/** What is to be done with a result after one attempt to deliver it. */
export type ResultFate =
  /** The server has it; with `update-v2`, the next task may have come along. */
  | { readonly kind: "acknowledged"; readonly next: ReceivedTask | undefined }
  /** The task or its workflow is gone: nobody waits for the result. */
  | { readonly kind: "gone" }
  /** `update-v2` did not take it; `POST /tasks` may. */
  | { readonly kind: "askV1" }
  /** The result itself is not accepted, in Conductor's own words: the server gets a failure that says so. */
  | { readonly kind: "rejected"; readonly why: string }
  /** Again later. */
  | { readonly kind: "retry"; readonly fault: ResultFault };

/**
 * Whether a refusal counts against the result. `own`: Conductor itself failed over it; `maybe`: it may be about its content,
 * about the endpoint or about everything, and what passes beside it tells; `none`: it says nothing of the result.
 */
export type ResultFault = "own" | "maybe" | "none";

/**
 * What one answer means for a terminal result. Only Conductor's own word ends it: an acknowledgement, a task that it does
 * not know, a refusal of these bytes. A stranger's refusal is waited out; see {@link isPoison} for one that never ends.
 */
export function fateOfResult(
  reply: Reply<ReceivedTask | null | true>,
  endpoint: UpdateEndpoint,
  meaning: Meaning = meaningOf(reply),
): ResultFate {
  if (reply.kind === "answered") {
    return { kind: "acknowledged", next: reply.value === true || reply.value === null ? undefined : reply.value };
  }
  const { speaker, subject } = meaning;
  if (subject === "task") return { kind: "gone" };
  if (endpoint === "v2" && isAboutV2(reply, meaning)) return { kind: "askV1" };
  if (subject === "request") return { kind: "rejected", why: reply.error.serverMessage ?? reply.error.message };
  if (subject === "server") return { kind: "retry", fault: "none" };
  return { kind: "retry", fault: speaker === "conductor" && subject === "failure" ? "own" : "maybe" };
}

/**
 * The answer may be about `update-v2` alone: a server or a gateway that does not have it refuses it in many ways, and v2
 * answers 500 where v1 says what is wrong. What says that the server is away, or needs room, goes to no other endpoint.
 */
function isAboutV2(reply: Exclude<Reply<unknown>, { kind: "answered" }>, { subject }: Meaning): boolean {
  if (reply.kind === "maybeApplied") return reply.error.code === "MALFORMED_RESPONSE";
  if (reply.kind !== "refused") return false;
  const { retryable, retryAfterMs } = reply.error;
  return subject === "failure" || (!retryable && retryAfterMs === undefined);
}

/** What was seen beside the refusals of one result: how often others were taken, and how often they were refused as well. */
export interface Evidence {
  readonly alone: number;
  readonly together: number;
}

export const NO_EVIDENCE: Evidence = { alone: 0, together: 0 };

/**
 * How many more times a result has to be refused alone than together with others before it is sure that it is refused for
 * what it is. Where every second answer is a stranger's, eight refusals in a row with something passing beside each are as
 * rare as 1 in 60,000; the time between the tries makes that about 25 s.
 */
const SURE_AFTER = 8;
/** More refusals together than this change nothing: when a long outage is over the evidence must be able to turn. */
const MAX_TOGETHER = 8;
/** Where Conductor itself fails over it: refusals at least, */
const MIN_OWN_FAILURES = 4;
/** how many more of them alone than together (what passes beside the last may be the end of an outage), */
const SURE_OF_OWN_AFTER = 2;
/** and how long they must last if nothing else is delivered, in ms. */
const OWN_PATIENCE_MS = 60_000;

/** The evidence after one more refusal. */
export function withRefusal({ alone, together }: Evidence, beside: "taken" | "refused"): Evidence {
  return beside === "taken"
    ? { alone: alone + 1, together }
    : { alone, together: Math.min(together + 1, MAX_TOGETHER) };
}

/**
 * Whether a result that keeps being refused, with whatever status, is given up for a failure that says why.
 *
 * @param failures how often in a row.
 * @param lastingMs for how long.
 */
export function isPoison(
  fault: Exclude<ResultFault, "none">,
  { alone, together }: Evidence,
  failures: number,
  lastingMs: number,
): boolean {
  if (alone - together >= SURE_AFTER) return true;
  if (fault !== "own" || failures < MIN_OWN_FAILURES) return false;
  return alone - together >= SURE_OF_OWN_AFTER || lastingMs >= OWN_PATIENCE_MS;
}
