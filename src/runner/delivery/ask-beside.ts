import type { TaskStatus } from "../../conductor/types.js";
import { DONE } from "../answers/meaning.js";
import { reportReply } from "../gate/server-gate.js";
import type { InFlightTask } from "../in-flight.js";
import { leaseExtension } from "../parcel.js";
import type { Shared } from "../shared.js";
import { checkTask } from "./task-check.js";

/** What was found beside a result that was just refused. */
export type Beside =
  /** Nobody waits for the result any more; `status`, where the hand-out is still ours, is how the task has ended. */
  | { readonly kind: "ended"; readonly why: string; readonly status: TaskStatus | undefined }
  /** Something else got through to Conductor by the same endpoint, or was refused there as well. */
  | { readonly kind: "taken" | "refused" }
  | { readonly kind: "unknown" };

/**
 * Looks whether the server still wants a result that was just refused, and lets the smallest update there is go the same way:
 * an extension of its own task's lease, which changes nothing. Whatever Conductor itself says to that, it has got through.
 */
export async function askBeside(shared: Shared, entry: InFlightTask): Promise<Beside> {
  const { api, gate } = shared;
  const look = gate.admit("aside task");
  if ("waitMs" in look) return { kind: "refused" };
  const check = await checkTask(shared, entry, look);
  look.report(DONE);
  const ended = check.kind === "ended" ? ({ kind: "ended", why: check.why, status: check.status } as const) : undefined;
  // Others wait to hear whether the way is free; the extension of a task that has ended tells as well.
  if (ended !== undefined && !gate.isRefusedAlone("report")) return ended;
  const permit = gate.admitBeside("report");
  if (permit === undefined) return { kind: "refused" };
  const reply = await api.update(entry.task.taskId, JSON.stringify(leaseExtension(entry)));
  const meaning = reportReply(permit, reply);
  if (ended !== undefined) return ended;
  if (reply.kind === "maybeApplied") entry.hasUnclearExtension = true;
  if (meaning.subject === "task") return { kind: "ended", why: "the server does not know the task", status: undefined };
  if (meaning.speaker === "nobody") return { kind: "unknown" };
  return { kind: meaning.subject === "done" || meaning.subject === "request" ? "taken" : "refused" };
}
