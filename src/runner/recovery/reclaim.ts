import { sleep, type Timer } from "../../base/clock.js";
import { queueNameOf } from "../../conductor/queue-name.js";
import type { Reply } from "../../conductor/reply.js";
import type { Task } from "../../conductor/types.js";
import type { WorkerConfig } from "../../config/types.js";
import type { RepeatLog } from "../../log/repeat-log.js";
import { meaningOf } from "../answers/meaning.js";
import type { EndedHandOuts } from "../ended-hand-outs.js";
import { reportReply, type Errand } from "../gate/server-gate.js";
import type { Shared } from "../shared.js";
import { ByteAllowance } from "./byte-allowance.js";
import type { PollerIdentity } from "../poller-identity.js";
import { MAX_BACKLOG, MAX_TASK_BYTES, PendingListing, type ListingEnd, type ListingFailure } from "./listing.js";

/** What the reclaim needs of a runner. */
export interface ReclaimSite {
  readonly config: WorkerConfig;
  /** Polls of the queue are refused at the moment. Default false. */
  readonly pollsAreRefused?: boolean;
  /** Gives back a task that was handed out to us and never arrived. */
  giveBackLost(task: Task): void;
  /** Ends a task that a process which died had: failed for `reason`; undefined: given back, for it was not started. */
  takeOver(task: Task, reason: string | undefined): void;
}

/** After the server stopped holding a lost request it may take this long to hand a task to it, in ms. */
const SETTLE_MS = 500;
/** The second round, for a server that was slow, in ms after the first. */
const SECOND_ROUND_MS = 5_000;
/** A round that failed is tried again after this long, in ms; doubled with each further one, */
const FIRST_RETRY_MS = 2_000;
/** up to this. */
const MAX_RETRY_MS = 300_000;
/** So many rounds in a row that failed, half an hour in all, and the search is given up. */
const MAX_FAILURES = 12;
/** A drain does not wait for a search with so many rounds in a row that came to nothing. */
const MAX_MISSES_OF_DRAIN = 3;
/** An answer under way arrives within this time, or is not missed: it is recognised later, in ms. */
const IN_TRANSIT_MS = 500;
/** A server that says itself that it does not have the listing is asked again after this long, in ms; */
const RECHECK_MS = 600_000;
/** that counts for so many failures: it is half an hour as well. */
const ABSENCE = 4;
/** In the log, for all searches. */
const ASKING = "asking for the list of unfinished tasks";
/** Searches at the same time: a process that takes over from another may have many task types. */
const MAX_BUSY = 4;

interface Search {
  readonly site: ReclaimSite;
  /** Under which the server has what is searched for. */
  readonly workerId: string;
  /** Set where it is another process's `workerId`, that of one which has ended. */
  readonly predecessor: EndedProcess | undefined;
  readonly listing: PendingListing;
  notBefore: number;
  /** The last round is not before this. */
  settledAt: number;
  roundsLeft: number;
  /** Rounds in a row that failed, */
  failures: number;
  /** or for which the server was away. */
  absences: number;
  /** The poll counts of tasks that a round has found, and could not look at. */
  doubtful: ReadonlyMap<string, number>;
  /** A round has seen all that there was. */
  hasSeenAll: boolean;
  /** The last round was not made, for the server was away. */
  isHeldUp: boolean;
  busy: boolean;
}

interface EndedProcess {
  /** Why what it may have started failed. */
  readonly reason: string;
  /** Until when the server may still hand tasks to it, by the clock. */
  readonly heldUntil: number;
  /** Its result is in a journal, and is delivered from there. */
  readonly isFinished: (task: Task) => boolean;
  /** It has ended all that it had: what is found was never begun. So is what comes up once a round has seen all. */
  readonly leftNothing: boolean;
  /** Told once whether the search went on to its end. */
  readonly onEnd: (isDone: boolean) => void;
}

/** What to look for under the name of a process that has ended. */
export type PredecessorSearch = Omit<EndedProcess, "onEnd">;

/**
 * How a round ended.
 * - `away`: the server was not asked, or not to the end, for it is away.
 * - `failed`: it has to be repeated. `weight`: for how many failures it counts.
 */
type RoundEnd =
  | { readonly kind: "done"; readonly isWhole: boolean }
  | { readonly kind: "away" }
  | { readonly kind: "failed"; readonly why: string; readonly error?: Error; readonly weight: number };

/**
 * Finds tasks that the server handed out to us in an answer that never arrived. Nobody works on them, and they would
 * wait for their response timeout; they are recognised by our `workerId`, which no other process has, and given back.
 * In the same way it finds what a process that has ended had.
 *
 * A runner reports a lost poll and the delivery a lost chain to {@link lost}; the end of a predecessor's tasks asks for
 * {@link leftBy}. Each makes a search, one for each queue and `workerId`: it waits until the server can have handed out
 * nothing more to the dead request, goes through two rounds (three for a predecessor), and ends. A round reads what has
 * not ended ({@link PendingListing}), waits for what may be on its way, and looks at each suspect once more before it is
 * touched. The task then goes through the runner whose type it is ({@link ReclaimSite}).
 *
 * A round that failed, whoever refused it, is repeated, ever more rarely, and none forgets what it was after: a search
 * ends with its last round, or given up with a line in the log, or with the process, which {@link stop} tells of. All of
 * them together read no more than the {@link ByteAllowance} of the process.
 */
export class Reclaim {
  readonly #shared: Shared;
  readonly #repeatLog: RepeatLog;
  readonly #ended: EndedHandOuts;
  readonly #onChange: () => void;
  readonly #allowance: ByteAllowance;
  /** By queue and `workerId`. */
  readonly #searches = new Map<string, Search>();
  #timer: Timer;
  /** The server does not have the listing, as it says; until when it is not asked again, by the clock. */
  #absentUntil = -Infinity;
  #stopped = false;

  /** @param onChange called when a search has ended, or waits for its next round. */
  constructor(shared: Shared, repeatLog: RepeatLog, ended: EndedHandOuts, onChange: () => void) {
    this.#shared = shared;
    this.#repeatLog = repeatLog;
    this.#ended = ended;
    this.#onChange = onChange;
    this.#allowance = new ByteAllowance(shared.clock);
    shared.gate.onChange(() => {
      if (shared.gate.isOpen) this.#afterAbsence();
    });
  }

  /** An answer that may have carried tasks was lost; the server may fill it until `heldUntil`, by the clock. */
  lost(site: ReclaimSite, heldUntil: number): void {
    // A workerId of the user's own may belong to other processes as well.
    if (this.#stopped || !site.config.isWorkerIdUnique) return;
    const notBefore = Math.max(this.#shared.clock.now(), heldUntil) + SETTLE_MS;
    const { workerId } = site.config;
    const known = this.#searches.get(keyOf(site, workerId));
    if (known === undefined) {
      this.#begin({ site, workerId, predecessor: undefined, notBefore, settledAt: notBefore, roundsLeft: 2 });
    } else {
      // Where answers are lost one after the other, what the first had in it must not wait for the last.
      known.settledAt = Math.max(known.settledAt, notBefore);
      known.roundsLeft = 2;
      known.hasSeenAll = false;
    }
    this.#schedule();
  }

  /**
   * Finds what the server has handed out to a process that has ended, and to no other, under `workerId`. Resolves when
   * that is done, or given up: with true; with false when this process stops before.
   */
  leftBy(site: ReclaimSite, workerId: string, search: PredecessorSearch): Promise<boolean> {
    if (this.#stopped) return Promise.resolve(false);
    if (workerId === site.config.workerId) {
      // Our own, of an earlier start: what we work on now is in the table.
      this.lost(site, search.heldUntil);
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      this.#searches.get(keyOf(site, workerId))?.predecessor?.onEnd(true);
      const predecessor = { ...search, onEnd: resolve };
      const notBefore = this.#shared.clock.now();
      this.#begin({ site, workerId, predecessor, notBefore, settledAt: search.heldUntil + SETTLE_MS, roundsLeft: 3 });
      this.#schedule();
    });
  }

  /** A search has a round that may well be done before `time`, by the clock. */
  isDueBefore(time: number): boolean {
    return [...this.#searches.values()].some(
      (search) =>
        search.failures + search.absences < MAX_MISSES_OF_DRAIN && (search.busy || this.#dueAt(search) < time),
    );
  }

  /** Nothing is searched for any more; gives the names under which something still was. */
  stop(): PollerIdentity[] {
    this.#stopped = true;
    this.#shared.clock.clearTimer(this.#timer);
    const owed = [...this.#searches.values()].map(({ site, workerId, predecessor }): PollerIdentity => {
      const { taskDefName: taskType, domain } = site.config;
      return { taskType, domain, workerId, isUnique: true, leftNothing: predecessor?.leftNothing ?? true };
    });
    for (const { predecessor } of this.#searches.values()) predecessor?.onEnd(false);
    this.#searches.clear();
    return owed;
  }

  #begin(search: Pick<Search, "site" | "workerId" | "predecessor" | "notBefore" | "settledAt" | "roundsLeft">): void {
    const { taskDefName } = search.site.config;
    const listing = new PendingListing(
      (page) => this.#send("aside listing", () => this.#shared.api.pending(taskDefName, page)),
      this.#allowance,
    );
    const anew = {
      failures: 0,
      absences: 0,
      doubtful: new Map<string, number>(),
      hasSeenAll: false,
      isHeldUp: false,
      busy: false,
    };
    this.#searches.set(keyOf(search.site, search.workerId), { ...search, ...anew, listing });
  }

  /** The server is back: what could not be asked meanwhile need not wait any longer. */
  #afterAbsence(): void {
    if (this.#stopped) return;
    const now = this.#shared.clock.now();
    for (const search of this.#searches.values()) {
      if (search.site.pollsAreRefused === true) continue;
      if (search.isHeldUp) search.notBefore = Math.min(search.notBefore, now);
      search.isHeldUp = false;
    }
    this.#schedule();
  }

  #dueAt({ notBefore }: Search): number {
    return Math.max(notBefore, this.#absentUntil);
  }

  #schedule(): void {
    const { clock } = this.#shared;
    clock.clearTimer(this.#timer);
    this.#timer = undefined;
    if (this.#stopped) return;
    const now = clock.now();
    let nextAt = Infinity;
    let busy = [...this.#searches.values()].filter((search) => search.busy).length;
    for (const search of this.#searches.values()) {
      if (search.busy) continue;
      const dueAt = this.#dueAt(search);
      if (dueAt > now) nextAt = Math.min(nextAt, dueAt);
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
    search.busy = true;
    let end: RoundEnd;
    try {
      end = await this.#round(search);
    } catch (error) {
      const why = "it failed unexpectedly";
      end = {
        kind: "failed",
        why,
        error: error instanceof Error ? error : new Error(String(error)),
        weight: 1,
      };
    }
    search.busy = false;
    if (this.#stopped) return;
    if (end.kind === "done") this.#succeeded(search, end.isWhole);
    else if (end.kind === "failed") this.#failed(search, end);
    else {
      search.absences += 1;
      search.isHeldUp = true;
      search.notBefore = this.#shared.clock.now() + FIRST_RETRY_MS;
    }
    this.#schedule();
    this.#onChange();
  }

  #succeeded(search: Search, isWhole: boolean): void {
    const { clock } = this.#shared;
    const { predecessor, settledAt } = search;
    this.#repeatLog.succeeded(troubleOf(search));
    this.#repeatLog.succeeded(ASKING);
    search.failures = 0;
    search.absences = 0;
    search.roundsLeft -= 1;
    if (isWhole) search.hasSeenAll = true;
    const isSoon = predecessor !== undefined && settledAt > clock.now();
    search.notBefore = isSoon ? settledAt : Math.max(settledAt, clock.now() + SECOND_ROUND_MS);
    if (search.roundsLeft > 0) return;
    if (!search.hasSeenAll) this.#tellGivenUp(search, "the listing moved while it was read");
    this.#end(search);
  }

  #failed(search: Search, { why, error, weight }: Extract<RoundEnd, { kind: "failed" }>): void {
    const { clock } = this.#shared;
    search.failures += weight;
    if (search.failures >= MAX_FAILURES) {
      this.#tellGivenUp(search, why, error);
      this.#end(search);
      return;
    }
    search.notBefore = clock.now() + Math.min(FIRST_RETRY_MS * 2 ** (search.failures - 1), MAX_RETRY_MS);
    // That of all searches is said for all of them.
    if (weight === ABSENCE) return;
    const fields = { taskType: search.site.config.taskDefName, why, ...(error === undefined ? {} : { err: error }) };
    this.#repeatLog.failed(troubleOf(search), fields, "the search for lost tasks has failed; it is tried again");
  }

  /** What it was after is lost track of, and nobody must miss that. */
  #tellGivenUp(search: Search, why: string, error?: Error): void {
    const { site, workerId, predecessor } = search;
    const { taskDefName: taskType, domain } = site.config;
    const after = predecessor === undefined ? "an answer was lost" : "a worker process has ended";
    this.#shared.log.warn(
      { taskType, domain, workerId, why, ...(error === undefined ? {} : { err: error }) },
      `${after}; the search for tasks that it may have had was given up, and they wait for their response timeout`,
    );
  }

  #end(search: Search): void {
    const key = keyOf(search.site, search.workerId);
    if (this.#searches.get(key) === search) this.#searches.delete(key);
    search.predecessor?.onEnd(true);
  }

  async #round(search: Search): Promise<RoundEnd> {
    // It would be refused as well, or find less than it will when the queue's polls work again.
    if (search.site.pollsAreRefused === true) return { kind: "away" };
    const { api, clock } = this.#shared;
    const { taskDefName, domain } = search.site.config;
    const queue = queueNameOf(taskDefName, domain);
    const sizes = await this.#send("aside sizes", () => api.queueSizes([queue]));
    if (sizes === "away" || sizes.kind !== "answered") return this.#failure(sizes);
    const backlog = sizes.value[queue] ?? 0;
    if (backlog >= MAX_BACKLOG) return { kind: "failed", why: `${backlog} tasks wait in the queue`, weight: 1 };

    const suspects = new Map<string, number>();
    const listed = await search.listing.read(backlog, (task) => {
      if (!this.#isLost(search, task)) return;
      // An earlier round has found it, and could not look at it: this is the second look.
      if (search.doubtful.get(task.taskId) === task.pollCount) this.#endLost(search, task);
      else suspects.set(task.taskId, task.pollCount);
    });
    search.doubtful = suspects;
    if (suspects.size > 0) {
      // What was on its way while the server made the list is no loss.
      await sleep(clock, IN_TRANSIT_MS);
      for (const [taskId, pollCount] of suspects) {
        if (this.#allowance.bytes === 0) return this.#roundEnd({ kind: "tooMuch" }, backlog);
        const failure = await this.#endIfLost(search, taskId, pollCount);
        if (failure !== undefined) return this.#failure(failure);
      }
      search.doubtful = new Map();
    }
    return this.#roundEnd(listed, backlog);
  }

  #roundEnd(listed: ListingEnd, backlog: number): RoundEnd {
    switch (listed.kind) {
      case "whole":
      case "patchy":
        return { kind: "done", isWhole: listed.kind === "whole" };
      case "tooMuch":
        return { kind: "failed", why: `the ${backlog} tasks in the queue are too much to read`, weight: 1 };
      case "tooLarge":
        return { kind: "failed", why: "the tasks of this type are too large to be read", weight: MAX_FAILURES };
      case "failed":
        return this.#failure(listed.failure);
    }
  }

  #failure(failure: ListingFailure): RoundEnd {
    if (failure === "away") return { kind: "away" };
    const { error } = failure;
    const { status, serverMessage, code, message: why } = error;
    if (code === "INVALID_REQUEST") return { kind: "failed", why, error, weight: MAX_FAILURES };
    const isAbsent = status === 404 || status === 405 || status === 501;
    // A stranger's words are no more than that stranger's matter, for now.
    if (!isAbsent || serverMessage === undefined) return { kind: "failed", why, error, weight: 1 };
    this.#absentUntil = this.#shared.clock.now() + RECHECK_MS;
    const text = "the server has no list of unfinished tasks: lost ones cannot be found; it is asked again later";
    this.#repeatLog.failed(ASKING, { err: error, forMs: RECHECK_MS }, text);
    return { kind: "failed", why, error, weight: ABSENCE };
  }

  /** The server believes the task to be with whom we search for, and nobody has it. */
  #isLost({ site, workerId, predecessor }: Search, task: Task): boolean {
    return (
      task.status === "IN_PROGRESS" &&
      task.workerId === workerId &&
      (task.domain ?? undefined) === site.config.domain &&
      this.#shared.table.get(task.taskId) === undefined &&
      !this.#ended.has(task) &&
      predecessor?.isFinished(task) !== true
    );
  }

  /** Ends a task that the listing shows, if it is still lost. Otherwise gives why it could not be looked at. */
  async #endIfLost(search: Search, taskId: string, pollCount: number): Promise<ListingFailure | undefined> {
    if (this.#stopped || this.#shared.table.get(taskId) !== undefined) return undefined;
    const reply = await this.#send("aside task", () => this.#shared.api.get(taskId, MAX_TASK_BYTES));
    if (reply === "away") return reply;
    // It has ended meanwhile, and was removed: that is about this one task.
    if (meaningOf(reply).subject === "task") return undefined;
    if (reply.kind !== "answered") {
      if (reply.error.code !== "INVALID_REQUEST") return reply;
      this.#ended.add({ taskId, pollCount, updateTime: 0 });
      const text = "a lost task cannot be looked at; it waits for its response timeout";
      this.#shared.log.warn({ taskType: search.site.config.taskDefName, taskId, err: reply.error }, text);
      return undefined;
    }
    this.#allowance.spend(reply.bytes ?? 0);
    const task = reply.value;
    if (!this.#stopped && this.#isLost(search, task) && task.pollCount === pollCount) this.#endLost(search, task);
    return undefined;
  }

  #endLost(search: Search, task: Task): void {
    const { site, predecessor, hasSeenAll } = search;
    this.#ended.add(task);
    // There is more to be found, perhaps, and it is worth going on.
    search.failures = 0;
    if (predecessor !== undefined) {
      site.takeOver(task, predecessor.leftNothing || hasSeenAll ? undefined : predecessor.reason);
      return;
    }
    this.#shared.log.warn(
      { taskType: site.config.taskDefName, taskId: task.taskId, workflowInstanceId: task.workflowInstanceId },
      "a task was handed out in an answer that never arrived; giving it back",
    );
    site.giveBackLost(task);
  }

  /** `away`: not now, the server is away. */
  async #send<T>(errand: Errand, call: () => Promise<Reply<T>>): Promise<Reply<T> | "away"> {
    const permit = this.#shared.gate.admit(errand);
    if ("waitMs" in permit) return "away";
    const reply = await call();
    reportReply(permit, reply);
    return reply;
  }
}

function keyOf({ config: { taskDefName, domain } }: ReclaimSite, workerId: string): string {
  return JSON.stringify([taskDefName, domain, workerId]);
}

/** In the log, for all searches of a queue. */
const troubleOf = ({ site: { config } }: Search): string =>
  `searching for lost tasks of ${queueNameOf(config.taskDefName, config.domain)}`;
