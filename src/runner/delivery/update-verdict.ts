import type { ReceivedTask } from "../../conductor/hand-out.js";
import { FINAL_STATUSES, type Reply } from "../../conductor/reply.js";
import { isUnheard, isGone } from "../gate/verdict.js";

/** Where a result is sent: `POST /tasks` (v1), or `POST /tasks/update-v2`, whose answer may carry the next task. */
export type UpdateEndpoint = "v1" | "v2";

/** What is to be done with a result after one attempt to deliver it. */
export type UpdateVerdict =
  /** The server has it; with `update-v2`, the next task may have come along. */
  | { readonly kind: "acknowledged"; readonly next: ReceivedTask | undefined }
  /** The task or its workflow is gone: nobody waits for the result. */
  | { readonly kind: "gone" }
  /** `update-v2` gave no clear answer; `POST /tasks` will. */
  | { readonly kind: "askV1" }
  /** The result itself is not accepted: the server gets a failure that says so. */
  | { readonly kind: "rejected"; readonly why: string }
  /** Again later. */
  | { readonly kind: "retry"; readonly fault: ResultFault };

/**
 * Whether a refusal counts against the result. `own`: Conductor itself failed over it; `maybe`: somebody on the way
 * refused it, which may be about its content or about everything; `none`: it says nothing of the result.
 */
export type ResultFault = "own" | "maybe" | "none";

/** Judges the answer to a terminal result. `endpoint`: which one was asked. */
export function judgeUpdate(reply: Reply<ReceivedTask | null | true>, endpoint: UpdateEndpoint): UpdateVerdict {
  if (reply.kind === "answered") {
    return { kind: "acknowledged", next: reply.value === true || reply.value === null ? undefined : reply.value };
  }
  const { error } = reply;
  if (reply.kind !== "refused") {
    // Repeating a terminal result is harmless, and v1's answer is not lost with a task in it.
    return error.code === "INVALID_REQUEST"
      ? { kind: "rejected", why: error.message }
      : { kind: "retry", fault: "none" };
  }
  const status = error.status ?? 0;
  const said = error.serverMessage;
  if (isGone(reply)) return { kind: "gone" };
  if (endpoint === "v2" && (status === 404 || status === 405 || status === 501)) return { kind: "askV1" };
  if (status === 404) return { kind: "retry", fault: said === undefined ? "none" : "maybe" };
  // v2 answers 500 where v1 answers 400, and v1 tells which it is.
  if (status === 500) return { kind: "retry", fault: said === undefined ? "maybe" : error.retryable ? "none" : "own" };
  if (status === 403) return { kind: "retry", fault: "maybe" };
  if (isUnheard(error)) return { kind: "retry", fault: "maybe" };
  if (FINAL_STATUSES.has(status)) return { kind: "rejected", why: said ?? `HTTP ${status}` };
  return { kind: "retry", fault: "none" };
}

const MIN_REFUSALS = 4;
const PATIENCE_MS = 60_000;

/**
 * Whether a result that keeps being refused is given up for a failure that says why: after a few tries, once another
 * result was accepted meanwhile (so it is this one's fault); where Conductor itself fails over it, also after a minute.
 */
export function isPoisonous(
  fault: Exclude<ResultFault, "none">,
  refusals: number,
  sinceFirstRefusalMs: number,
  othersAccepted: boolean,
): boolean {
  return refusals >= MIN_REFUSALS && (othersAccepted || (fault === "own" && sinceFirstRefusalMs >= PATIENCE_MS));
}
