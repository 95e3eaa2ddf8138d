import { sleep, type Timer } from "../../base/clock.js";
import { queueNameOf } from "../../conductor/queue-name.js";
import type { Reply } from "../../conductor/reply.js";
import type { Task } from "../../conductor/types.js";
import type { WorkerConfig } from "../../config/types.js";
import { isGone } from "../answers/meaning.js";
import { reportReply } from "../gate/server-gate.js";
import type { Shared } from "../shared.js";

/** What the reclaim needs of a runner. */
export interface ReclaimSite {
  readonly config: WorkerConfig;
  /** Gives back a task that was handed out to us and never arrived. */
  giveBackLost(task: Task): void;
  /** Ends a task that a process which died had: failed for `reason`; undefined: given back, for it was not started. */
  takeOver(task: Task, reason: string | undefined): void;
}

/** After the server stopped holding a lost request it may take this long to hand a task to it, in ms. */
const SETTLE_MS = 500;
/** The second round, for a server that was slow, in ms after the first. */
const SECOND_ROUND_MS = 5_000;
/** A round that the server did not answer is repeated after this long, in ms, and so often while it is there. */
const RETRY_MS = 2_000;
const MAX_FAILURES = 5;
/** An answer under way arrives within this time, or is not missed: it is recognised later, in ms. */
const IN_TRANSIT_MS = 500;
/** Hand-outs that were given back, and are recognised should their answer arrive after all. */
const MAX_REMEMBERED = 1_000;
/** A server, or what stands before it, that does not allow the search is asked again after this long, in ms. */
const RECHECK_MS = 600_000;
/** Each listing makes the server read the whole backlog; beyond this the search is not worth it. */
const MAX_BACKLOG = 2_000;
/** Searches at the same time: a process that takes over from another may have many task types. */
const MAX_BUSY = 4;

interface Search {
  readonly site: ReclaimSite;
  /** Under which the server has what is searched for. */
  readonly workerId: string;
  /** Set where it is another process's `workerId`, that of one which died. */
  readonly predecessor: DeadProcess | undefined;
  notBefore: number;
  /** The last round is not before this. */
  settledAt: number;
  roundsLeft: number;
  failures: number;
  busy: boolean;
}

interface DeadProcess {
  /** Why what it may have started failed. */
  readonly reason: string;
  /** Until when the server may still hand tasks to it, by the clock. */
  readonly heldUntil: number;
  /** Its result is in a journal, and is delivered from there. */
  readonly isFinished: (task: Task) => boolean;
  /** A round has seen all it had: what a later one finds was handed out after its death, and was not started. */
  hasSeenAll: boolean;
  readonly onEnd: () => void;
}

/**
 * Finds tasks that the server handed out to us in an answer that never arrived. Nobody works on them, and they would
 * wait for their response timeout; they are recognised by our `workerId`, which no other process has, and given back.
 * In the same way it finds what a process that died had. Best effort: off, with one log line, where the server does not
 * allow the listing.
 *
 * A runner reports a lost poll and the delivery a lost chain to {@link lost}; the end of a predecessor's tasks asks for
 * {@link leftBy}. Each makes a search, one for each queue and `workerId`: it waits until the server can have handed out
 * nothing more to the dead request, goes through two rounds (three for a predecessor), and ends. A round lists what has
 * not ended, waits for what may be on its way, and looks at each suspect once more before it is touched. The task then
 * goes through the runner whose type it is ({@link ReclaimSite}).
 */
export class Reclaim {
  readonly #shared: Shared;
  /** By queue and `workerId`. */
  readonly #searches = new Map<string, Search>();
  /** The hand-outs that were given back unseen or given up, by task: the poll count of each. */
  readonly #givenBack = new Map<string, number>();
  #timer: Timer;
  #offUntil = -Infinity;
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
    if (this.#isOff || this.#stopped || !site.config.isWorkerIdUnique) return;
    const notBefore = Math.max(this.#shared.clock.now(), heldUntil) + SETTLE_MS;
    const { workerId } = site.config;
    const key = keyOf(site, workerId);
    const known = this.#searches.get(key);
    if (known === undefined) {
      const settledAt = notBefore;
      const more = { predecessor: undefined, notBefore, settledAt, roundsLeft: 2, failures: 0, busy: false };
      this.#searches.set(key, { site, workerId, ...more });
    } else {
      // Where answers are lost one after the other, what the first had in it must not wait for the last.
      known.settledAt = Math.max(known.settledAt, notBefore);
      known.roundsLeft = 2;
      known.failures = 0;
    }
    this.#schedule();
  }

  /**
   * Finds what the server has handed out to a process that died, and to no other, under `workerId`; the server may go on
   * to do so until `heldUntil`, by the clock. What it may have started fails for `reason`; the rest is given back.
   * Resolves when that is done, or given up.
   */
  leftBy(
    site: ReclaimSite,
    workerId: string,
    reason: string,
    heldUntil: number,
    isFinished: (task: Task) => boolean = () => false,
  ): Promise<void> {
    const { clock } = this.#shared;
    if (this.#isOff || this.#stopped || workerId === site.config.workerId) return Promise.resolve();
    return new Promise((resolve) => {
      const predecessor = { reason, heldUntil, isFinished, hasSeenAll: false, onEnd: resolve };
      const settledAt = heldUntil + SETTLE_MS;
      const more = { notBefore: clock.now(), settledAt, roundsLeft: 3, failures: 0, busy: false };
      const search = { site, workerId, predecessor, ...more };
      this.#searches.get(keyOf(site, workerId))?.predecessor?.onEnd();
      this.#searches.set(keyOf(site, workerId), search);
      this.#schedule();
    });
  }

  /** This very hand-out was given up for lost and given back; its late answer must not be worked on. */
  hasGivenBack(task: Task): boolean {
    return this.#givenBack.size > 0 && this.#givenBack.get(task.taskId) === task.pollCount;
  }

  /** We had this task and could not report on it: it is not lost, and must not run again because of us. */
  ignore(task: Task): void {
    this.#remember(task);
  }

  get #isOff(): boolean {
    return this.#shared.clock.now() < this.#offUntil;
  }

  stop(): void {
    this.#stopped = true;
    for (const { predecessor } of this.#searches.values()) predecessor?.onEnd();
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
    let busy = [...this.#searches.values()].filter((search) => search.busy).length;
    for (const search of this.#searches.values()) {
      if (search.busy) continue;
      if (search.notBefore > now) nextAt = Math.min(nextAt, search.notBefore);
      // One that ends schedules the next.
      else if (busy < MAX_BUSY) {
        busy += 1;
        void this.#search(search);
      }
    }
    if (nextAt !== Infinity) {
      this.#timer = clock.setTimer(() => {
        this.#schedule();
      }, nextAt - now);
    }
  }

  async #search(search: Search): Promise<void> {
    const { clock, log } = this.#shared;
    const { site, predecessor } = search;
    search.busy = true;
    search.roundsLeft -= 1;
    let isDone = false;
    try {
      isDone = await this.#searchOnce(search);
    } catch (error) {
      log.error({ taskType: site.config.taskDefName, err: error }, "looking for lost tasks failed unexpectedly");
    }
    search.busy = false;
    if (isDone) {
      const { settledAt } = search;
      const isSoon = predecessor !== undefined && settledAt > clock.now();
      search.notBefore = isSoon ? settledAt : Math.max(settledAt, clock.now() + SECOND_ROUND_MS);
    } else {
      search.roundsLeft += 1;
      // A server that is away is waited for.
      if (this.#shared.gate.isOpen) search.failures += 1;
      search.notBefore = Math.max(search.notBefore, clock.now() + RETRY_MS);
    }
    if (search.roundsLeft <= 0 || search.failures >= MAX_FAILURES || this.#isOff) {
      if (search.failures >= MAX_FAILURES && !this.#isOff) {
        log.warn(
          { taskType: site.config.taskDefName },
          "the search for lost tasks was given up; they wait for their response timeout",
        );
      }
      const key = keyOf(site, search.workerId);
      if (this.#searches.get(key) === search) this.#searches.delete(key);
      predecessor?.onEnd();
    }
    this.#schedule();
  }

  #remember(task: Task): void {
    if (this.#givenBack.size >= MAX_REMEMBERED) {
      const [oldest] = this.#givenBack.keys();
      if (oldest !== undefined) this.#givenBack.delete(oldest);
    }
    this.#givenBack.set(task.taskId, task.pollCount);
  }

  /** One round. False: it has to be repeated. */
  async #searchOnce(search: Search): Promise<boolean> {
    const { predecessor } = search;
    const pending = await this.#listing(search);
    if (pending === "noAnswer") return false;
    if (pending === "tooLong") return true;
    const suspects = pending.filter((task) => this.#isLost(search, task));
    if (suspects.length > 0) {
      // What was on its way while the server made the list is no loss.
      await sleep(this.#shared.clock, IN_TRANSIT_MS);
      for (const suspect of suspects) {
        if (this.#stopped) return true;
        if (!(await this.#endIfLost(search, suspect))) return false;
      }
    }
    if (predecessor !== undefined && pending.length < MAX_BACKLOG) predecessor.hasSeenAll = true;
    return true;
  }

  /** What the server has of the task type that has not ended. */
  async #listing({ site, predecessor }: Search): Promise<readonly Task[] | "noAnswer" | "tooLong"> {
    const { api, log } = this.#shared;
    const { taskDefName: taskType } = site.config;
    const queue = queueNameOf(taskType, site.config.domain);
    const sizes = await this.#ask(() => api.queueSizes([queue]));
    if (sizes === undefined) return "noAnswer";
    const backlog = sizes[queue] ?? 0;
    if (backlog >= MAX_BACKLOG) {
      const what = predecessor === undefined ? "an answer was lost" : "a worker process died";
      log.warn({ taskType, backlog }, `${what}; the queue is too long to search for tasks that it may have had`);
      return "tooLong";
    }
    return (await this.#ask(() => api.pending(taskType, MAX_BACKLOG))) ?? "noAnswer";
  }

  /** The server believes the task to be with whom we search for, and nobody has it. */
  #isLost({ site, workerId, predecessor }: Search, task: Task): boolean {
    return (
      task.status === "IN_PROGRESS" &&
      task.workerId === workerId &&
      (task.domain ?? undefined) === site.config.domain &&
      this.#shared.table.get(task.taskId) === undefined &&
      !this.hasGivenBack(task) &&
      predecessor?.isFinished(task) !== true
    );
  }

  /** Ends a task that the listing shows, if it is still lost. False: the server did not say. */
  async #endIfLost(search: Search, suspect: Task): Promise<boolean> {
    const { api, log, table } = this.#shared;
    const { site, predecessor } = search;
    if (table.get(suspect.taskId) !== undefined) return true;
    const reply = await this.#send(() => api.get(suspect.taskId));
    // It has ended meanwhile, and was removed: that is about this one task.
    if (reply !== undefined && isGone(reply)) return true;
    if (reply?.kind !== "answered") return false;
    const task = reply.value;
    if (!this.#isLost(search, task) || task.pollCount !== suspect.pollCount) return true;
    this.#remember(task);
    if (predecessor !== undefined) {
      site.takeOver(task, predecessor.hasSeenAll ? undefined : predecessor.reason);
      return true;
    }
    log.warn(
      { taskType: site.config.taskDefName, taskId: task.taskId, workflowInstanceId: task.workflowInstanceId },
      "a task was handed out in an answer that never arrived; giving it back",
    );
    site.giveBackLost(task);
    return true;
  }

  /** Undefined: not now, the server is away. */
  async #send<T>(call: () => Promise<Reply<T>>): Promise<Reply<T> | undefined> {
    const permit = this.#shared.gate.admit("aside task");
    if ("waitMs" in permit) return undefined;
    const reply = await call();
    reportReply(permit, reply);
    return reply;
  }

  /** The same for what is about no single task: where it is not allowed, the search is off for a while. */
  async #ask<T>(call: () => Promise<Reply<T>>): Promise<T | undefined> {
    const { clock, log } = this.#shared;
    const reply = await this.#send(call);
    if (reply === undefined || reply.kind === "answered") return reply?.value;
    const status = reply.kind === "refused" ? reply.error.status : undefined;
    if (status === 403 || status === 404 || status === 405) {
      this.#offUntil = clock.now() + RECHECK_MS;
      log.warn(
        { err: reply.error, forMs: RECHECK_MS },
        "the server does not allow the search for lost tasks; they wait for their response timeout",
      );
    }
    return undefined;
  }
}

function keyOf({ config: { taskDefName, domain } }: ReclaimSite, workerId: string): string {
  return JSON.stringify([taskDefName, domain, workerId]);
}
