import type { Workflow } from "../../../../src/index.js";

/** How the reason begins of a workflow that the server has ended itself. */
export const OWN_FAILURE = "Error scheduling tasks: ";

/**
 * Whether the server has ended a workflow itself, because its store failed while it scheduled the next task (SQLite does,
 * now and then, on a busy machine): no worker has seen that task, and none could prevent it.
 */
export function isOwnFailure({ status, reasonForIncompletion = "" }: Workflow): boolean {
  return status === "FAILED" && reasonForIncompletion.startsWith(OWN_FAILURE);
}
