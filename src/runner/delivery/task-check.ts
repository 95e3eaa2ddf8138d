import { sleep } from "../../base/clock.js";
import { ConductorError } from "../../conductor/errors.js";
import type { TaskStatus } from "../../conductor/types.js";
import { DONE, NONSENSE, type Meaning } from "../answers/meaning.js";
import { reportReply, type Permit } from "../gate/server-gate.js";
import type { InFlightTask } from "../in-flight.js";
import type { Shared } from "../shared.js";
import type { Shipment } from "./shipment.js";

/** What the server says of a task whose result we have: whether it still waits for what we have to say. */
export type TaskCheck =
  | { readonly kind: "ours" }
  /** `isUnknown`: the server has never heard of it; otherwise it is as `status` says, or was handed out anew. */
  | { readonly kind: "ended"; readonly why: string; readonly isUnknown: boolean; readonly status?: TaskStatus }
  | { readonly kind: "unclear"; readonly error: ConductorError; readonly meaning: Meaning };

/** An acknowledged result that a late lease extension may have undone is checked so long after, in ms, and so often. */
const VERIFY_AFTER_MS = 1_000;
const MAX_VERIFICATIONS = 5;

/** Fetches the task. The permit is told, unless the task is ours: then its result may go out with it. */
export async function checkTask({ api }: Shared, entry: InFlightTask, permit: Permit): Promise<TaskCheck> {
  const { taskId, pollCount: ourPollCount } = entry.task;
  const reply = await api.get(taskId);
  if (reply.kind === "answered") {
    if (entry.isFromBefore(reply.value)) {
      permit.report(NONSENSE);
      return { kind: "unclear", error: olderAnswer(), meaning: NONSENSE };
    }
    if (entry.isAsHandedOut(reply.value)) return { kind: "ours" };
    permit.report(DONE);
    const { status, pollCount } = reply.value;
    const why = `the task is ${status}, handed out ${pollCount} times (for this result: ${ourPollCount})`;
    return pollCount === ourPollCount
      ? { kind: "ended", why, isUnknown: false, status }
      : { kind: "ended", why, isUnknown: false };
  }
  const { error } = reply;
  const meaning = reportReply(permit, reply);
  if (meaning.subject === "task") return { kind: "ended", why: error.serverMessage ?? error.message, isUnknown: true };
  return { kind: "unclear", error, meaning };
}

function olderAnswer(): ConductorError {
  return new ConductorError({
    code: "MALFORMED_RESPONSE",
    message: "the task is shown as it was before it was handed out to us; is there a cache in between?",
    method: "GET",
    pathTemplate: "/tasks/{taskId}",
    retryable: true,
  });
}

/**
 * An extension that got no answer may be carried out after the result, and write the task back as it was. Checks that a
 * second or two later, again while that is unclear. True when it happened, and where nobody tells: a result that arrives
 * twice changes nothing. Gives up early when the shipment is closed.
 */
export async function isUndone(shared: Shared, shipment: Shipment): Promise<boolean> {
  const { clock, gate, random } = shared;
  for (let i = 0; i < MAX_VERIFICATIONS;) {
    // Those that were acknowledged together are not all checked at once.
    await sleep(clock, VERIFY_AFTER_MS * (1 + random()));
    if (shipment.isClosed) return false;
    const permit = gate.admit("aside task");
    if ("waitMs" in permit) continue;
    i += 1;
    const check = await checkTask(shared, shipment.entry, permit);
    if (check.kind === "unclear") continue;
    if (check.kind === "ours") permit.report(DONE);
    return check.kind === "ours";
  }
  return true;
}
