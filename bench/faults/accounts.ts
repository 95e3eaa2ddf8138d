import type { Workflow } from "ostinato";

/** One thing that a worker's function told. */
export interface Told {
  readonly kind: "began" | "finished";
  readonly workflowId: string;
  readonly taskId: string;
}

/** What became of the tasks of one fault. */
export interface Accounts {
  /** Tasks that were handed out, and at the end neither ended by the worker nor back in their queue. */
  readonly lost: number;
  /** How many of them had a finished result. */
  readonly lostFinished: number;
  /** How many of them no function was called for. */
  readonly lostUnbegun: number;
  /** Workflows (of one task each) whose function began once more after it had finished. */
  readonly again: number;
}

/** Pure: by the server's book, and by what the functions told, in their order. */
export function accountsOf(workflows: readonly Workflow[], told: readonly Told[]): Accounts {
  const idsOf = (kind: Told["kind"]) => new Set(told.flatMap((each) => (each.kind === kind ? [each.taskId] : [])));
  const begun = idsOf("began");
  const finished = idsOf("finished");
  const tasks = workflows.flatMap((workflow) => workflow.tasks ?? []);
  // A task that the server timed out had been lost until then.
  const lost = tasks.filter(({ status }) => status === "IN_PROGRESS" || status === "TIMED_OUT");
  const over = new Set<string>();
  const again = new Set<string>();
  for (const { kind, workflowId } of told) {
    if (kind === "finished") over.add(workflowId);
    else if (over.has(workflowId)) again.add(workflowId);
  }
  return {
    lost: lost.length,
    lostFinished: lost.filter(({ taskId }) => finished.has(taskId)).length,
    lostUnbegun: lost.filter(({ taskId }) => !begun.has(taskId)).length,
    again: again.size,
  };
}
