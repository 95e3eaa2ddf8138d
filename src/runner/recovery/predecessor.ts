import { sleep } from "../../base/clock.js";
import type { Task } from "../../conductor/types.js";
import type { WorkerConfig } from "../../config/types.js";
import { mustNotRunTwice } from "../execution/task-times.js";
import { reportReply } from "../gate/server-gate.js";
import { handOutKey, type DeadOwner } from "../journal/keeper.js";
import type { Shared } from "../shared.js";
import type { HeldTask, Predecessor } from "./held-task.js";
import { MAX_TASK_BYTES } from "./listing.js";
import type { Reclaim, ReclaimSite } from "./reclaim.js";

/**
 * What is known of a process from its journal: its `workerId`s. Those that it made up itself are its alone; one that
 * somebody gave it may be that of a living process as well. One that has ended in order has written what it owed.
 */
export function predecessorOf(owner: DeadOwner, workers: readonly WorkerConfig[]): Predecessor {
  const { pid, host, workerIds, owed } = owner;
  if (owed !== undefined) return { id: pid, tasks: [], pollers: owed, reason: `process ${pid} on ${host} has ended` };
  const own = workerIds.filter((workerId) => workerId.startsWith(`${host}:${pid}:`));
  const pollers = workers.flatMap(({ taskDefName: taskType, domain }) =>
    own.map((workerId) => ({ taskType, domain, workerId, isUnique: true })),
  );
  return { id: pid, tasks: [], pollers, reason: `process ${pid} on ${host} ended without a drain` };
}

/** What a task that may have been started fails with. */
export const deathReason = (reason: string): string => `the worker process died: ${reason}`;

/** A task that the server did not show is asked for again after this long, in ms, and so often in all. */
const RETRY_MS = 2_000;
const MAX_FAILURES = 5;
/** Tasks that are fetched at the same time: a process may have left a thousand tasks. */
const MAX_PARALLEL = 8;

interface TakeOverParts {
  readonly shared: Shared;
  readonly reclaim: Reclaim;
  /** Nothing is taken over any more, for the process stops. */
  readonly isOver: () => boolean;
  /** The hand-outs (see `handOutKey`) whose finished result is in a journal, and is delivered from there. */
  readonly finished: ReadonlySet<string>;
}

/**
 * Ends what a process that died has left: what it told by id, and then what only the server knows of. A task is touched
 * only if the server still shows the very hand-out that the dead process got (its `workerId`, its `pollCount`). What it
 * may have started fails, retryable, so that a task that kills its process does not go round for ever; what was
 * received and not begun goes back to the queue. Resolves when that is under way, or given up: with true; with false when
 * this process stops before. Never rejects.
 */
export async function takeOverFrom(
  predecessor: Predecessor,
  sites: readonly ReclaimSite[],
  { shared, reclaim, isOver, finished }: TakeOverParts,
): Promise<boolean> {
  const { clock, log, table } = shared;
  const startedAt = clock.now();
  const isFinished = (task: Task) => finished.has(handOutKey(task.taskId, task.pollCount));
  const reason = deathReason(predecessor.reason);
  let isCutShort = false;
  const endOne = async (held: HeldTask): Promise<void> => {
    const site = sites.find(({ config }) => config.taskDefName === held.taskType);
    if (site === undefined) return;
    if (isOver()) {
      isCutShort = true;
      return;
    }
    const task = await fetchTask(held, shared, isOver);
    if (task === undefined && isOver()) isCutShort = true;
    if (task === undefined || table.get(held.taskId) !== undefined || !isTheirs(task, held)) return;
    if (isFinished(task)) return;
    const isUnbegun = held.state === "received" && !mustNotRunTwice(task);
    site.takeOver(task, isUnbegun ? undefined : reason);
  };
  const left = [...predecessor.tasks].reverse();
  const endThem = async (): Promise<void> => {
    for (let held = left.pop(); held !== undefined; held = left.pop()) {
      try {
        await endOne(held);
      } catch (error) {
        const { taskType, taskId } = held;
        log.error({ taskType, taskId, err: error }, "ending a task of a process that died failed unexpectedly");
      }
    }
  };
  await Promise.all(Array.from({ length: MAX_PARALLEL }, endThem));

  const searches: Promise<boolean>[] = [];
  for (const { taskType, domain, workerId, isUnique, leftNothing = false } of predecessor.pollers) {
    const site = sites.find(({ config }) => config.taskDefName === taskType && config.domain === domain);
    // A workerId of the user's own may be that of a living process as well.
    if (site === undefined || !isUnique) continue;
    if (isOver()) {
      isCutShort = true;
      break;
    }
    const heldUntil = startedAt + site.config.longPollMs;
    searches.push(reclaim.leftBy(site, workerId, { reason, heldUntil, isFinished, leftNothing }));
  }
  const areDone = await Promise.all(searches);
  // A drain waits for searches that are due before its end.
  return areDone.every(Boolean) && !isCutShort;
}

function isTheirs(task: Task, { workerId, pollCount }: HeldTask): boolean {
  return (
    task.status === "IN_PROGRESS" &&
    task.workerId === workerId &&
    (pollCount === undefined || task.pollCount === pollCount)
  );
}

/** The task as the server shows it. Undefined: it is gone, or cannot be looked at, which is said. */
async function fetchTask(
  { taskType, taskId }: HeldTask,
  { api, clock, gate, log }: Shared,
  isOver: () => boolean,
): Promise<Task | undefined> {
  for (let failures = 0; !isOver();) {
    const permit = gate.admit("aside task");
    if ("waitMs" in permit) {
      // A server that is away is waited for.
      await sleep(clock, Math.min(Math.max(permit.waitMs, 1), RETRY_MS));
      continue;
    }
    const reply = await api.get(taskId, MAX_TASK_BYTES);
    const meaning = reportReply(permit, reply);
    if (reply.kind === "answered") return reply.value;
    if (meaning.subject === "task") return undefined;
    failures += 1;
    if (failures >= MAX_FAILURES || reply.error.code === "INVALID_REQUEST") {
      const text =
        "a task of a process that died cannot be looked at; if it has not ended, it waits for its response timeout";
      log.warn({ taskType, taskId, err: reply.error }, text);
      return undefined;
    }
    await sleep(clock, RETRY_MS);
  }
  return undefined;
}
