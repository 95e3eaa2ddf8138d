import { sleep, type Timer } from "../clock.js";
import type { Reply } from "../conductor/reply.js";
import type { Task } from "../conductor/types.js";
import type { WorkerConfig } from "../config/types.js";
import { failureVerdict } from "./server-gate.js";
import type { Shared } from "./shared.js";

/** What the reclaim needs of a runner. */
export interface ReclaimSite {
  readonly config: WorkerConfig;
  /** Gives back a task that was handed out to us and never arrived. */
  giveBackLost(task: Task): void;
}

/** After the server stopped holding a lost request it may take this long to hand a task to it, in ms. */
const SETTLE_MS = 500;
/** The second look, for a server that was slow, in ms after the first. */
const SECOND_LOOK_MS = 5_000;
const RETRY_MS = 2_000;
const MAX_FAILURES = 5;
/** An answer under way arrives within this time, or is not missed: it is recognised later, in ms. */
const IN_TRANSIT_MS = 500;
const MAX_REMEMBERED = 1_000;
/** Each listing makes the server read the whole backlog; beyond this the search is not worth it. */
const MAX_BACKLOG = 2_000;

interface Search {
  notBefore: number;
  looksLeft: number;
  failures: number;
  busy: boolean;
}

/**
 * Finds tasks that the server handed out to us in an answer that never arrived. Nobody works on them, and they would
 * wait for their response timeout; they are recognised by our `workerId`, which no other process has, and given back.
 * Best effort: off, with one log line, where the server does not allow the listing.
 */
export class Reclaim {
  readonly #shared: Shared;
  readonly #searches = new Map<ReclaimSite, Search>();
  /** The hand-outs that were given back unseen or given up, by task: the poll count of each. */
  readonly #givenBack = new Map<string, number>();
  #timer: Timer;
  #isOff = false;
  #stopped = false;

  constructor(shared: Shared) {
    this.#shared = shared;
    shared.gate.onChange(() => {
      this.#schedule();
    });
  }

  /** An answer that may have carried tasks was lost; the server may fill it until `heldUntil`, by the clock. */
  lost(site: ReclaimSite, heldUntil: number): void {
    // A workerId of the user's own may belong to other processes as well.
    const isOurs = (site.config.sources.workerId ?? "default") === "default";
    if (this.#isOff || this.#stopped || !isOurs) return;
    const notBefore = Math.max(this.#shared.clock.now(), heldUntil) + SETTLE_MS;
    const known = this.#searches.get(site);
    if (known === undefined) this.#searches.set(site, { notBefore, looksLeft: 2, failures: 0, busy: false });
    else {
      known.notBefore = Math.max(known.notBefore, notBefore);
      known.looksLeft = 2;
      known.failures = 0;
    }
    this.#schedule();
  }

  /** This very hand-out was given up for lost and given back; its late answer must not be worked on. */
  hasGivenBack(task: Task): boolean {
    return this.#givenBack.size > 0 && this.#givenBack.get(task.taskId) === task.pollCount;
  }

  /** We had this task and could not report on it: it is not lost, and must not run again because of us. */
  ignore(task: Task): void {
    this.#remember(task);
  }

  stop(): void {
    this.#stopped = true;
    this.#searches.clear();
    this.#shared.clock.clearTimer(this.#timer);
  }

  #schedule(): void {
    const { clock, gate } = this.#shared;
    clock.clearTimer(this.#timer);
    this.#timer = undefined;
    // Not a probe: there are better ones than this.
    if (this.#stopped || !gate.isOpen) return;
    const now = clock.now();
    let nextAt = Infinity;
    for (const [site, search] of this.#searches) {
      if (search.busy) continue;
      if (search.notBefore <= now) void this.#search(site, search);
      else nextAt = Math.min(nextAt, search.notBefore);
    }
    if (nextAt !== Infinity) {
      this.#timer = clock.setTimer(() => {
        this.#schedule();
      }, nextAt - now);
    }
  }

  async #search(site: ReclaimSite, search: Search): Promise<void> {
    const { clock, log } = this.#shared;
    search.busy = true;
    search.looksLeft -= 1;
    let isDone = false;
    try {
      isDone = await this.#look(site);
    } catch (error) {
      log.error({ taskType: site.config.taskDefName, err: error }, "looking for lost tasks failed unexpectedly");
    }
    search.busy = false;
    if (isDone) {
      search.notBefore = clock.now() + SECOND_LOOK_MS;
    } else {
      search.looksLeft += 1;
      search.failures += 1;
      search.notBefore = Math.max(search.notBefore, clock.now() + RETRY_MS);
    }
    if (search.looksLeft <= 0 || search.failures >= MAX_FAILURES || this.#isOff) this.#searches.delete(site);
    this.#schedule();
  }

  #remember(task: Task): void {
    if (this.#givenBack.size >= MAX_REMEMBERED) {
      const [oldest] = this.#givenBack.keys();
      if (oldest !== undefined) this.#givenBack.delete(oldest);
    }
    this.#givenBack.set(task.taskId, task.pollCount);
  }

  /** One look. False: it has to be repeated. */
  async #look(site: ReclaimSite): Promise<boolean> {
    const { api, gate, log, table } = this.#shared;
    const { taskDefName, domain, workerId } = site.config;
    const queue = domain === undefined ? taskDefName : `${domain}:${taskDefName}`;
    const ask = async <T>(call: () => Promise<Reply<T>>): Promise<T | undefined> => {
      const permit = gate.admit();
      if ("waitMs" in permit) return undefined;
      const reply = await call();
      if (reply.kind === "answered") {
        permit.report("ok");
        return reply.value;
      }
      permit.report(failureVerdict(reply), reply.error.retryAfterMs);
      const status = reply.kind === "refused" ? reply.error.status : undefined;
      if (status === 403 || status === 404 || status === 405) {
        this.#isOff = true;
        log.warn(
          { err: reply.error },
          "the server does not allow the search for lost tasks; they wait for their response timeout",
        );
      }
      return undefined;
    };

    const sizes = await ask(() => api.queueSizes([queue]));
    if (sizes === undefined) return false;
    const backlog = sizes[queue] ?? 0;
    if (backlog >= MAX_BACKLOG) {
      log.warn(
        { taskType: taskDefName, backlog },
        "an answer was lost; the queue is too long to search for tasks it may have carried",
      );
      return true;
    }
    const pending = await ask(() => api.pending(taskDefName, MAX_BACKLOG));
    if (pending === undefined) return false;
    const isLost = (task: Task) =>
      task.status === "IN_PROGRESS" &&
      task.workerId === workerId &&
      (task.domain ?? undefined) === domain &&
      table.get(task.taskId) === undefined &&
      !this.hasGivenBack(task);
    const suspects = pending.filter(isLost);
    if (suspects.length === 0) return true;
    // What was on its way while the server made the list is no loss.
    await sleep(this.#shared.clock, IN_TRANSIT_MS);
    for (const suspect of suspects) {
      if (this.#stopped) return true;
      if (table.get(suspect.taskId) !== undefined) continue;
      const task = await ask(() => api.get(suspect.taskId));
      if (task === undefined) return false;
      if (!isLost(task) || task.pollCount !== suspect.pollCount) continue;
      log.warn(
        { taskType: taskDefName, taskId: task.taskId, workflowInstanceId: task.workflowInstanceId },
        "a task was handed out in an answer that never arrived; giving it back",
      );
      this.#remember(task);
      site.giveBackLost(task);
    }
    return true;
  }
}
