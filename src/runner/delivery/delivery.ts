import { LinkedList } from "../../base/linked-list.js";
import type { ConductorError } from "../../conductor/errors.js";
import type { ReceivedTask } from "../../conductor/hand-out.js";
import type { Reply } from "../../conductor/reply.js";
import type { TaskStatus } from "../../conductor/types.js";
import type { WorkerConfig } from "../../config/types.js";
import { logOnlyCopy } from "../../log/logger.js";
import type { RepeatLog } from "../../log/repeat-log.js";
import { DONE, mayBeLost, meaningOf, type FailureClass, type Meaning } from "../answers/meaning.js";
import {
  fateOfResult,
  isPoison,
  NO_EVIDENCE,
  withRefusal,
  type ResultFate,
  type ResultFault,
  type UpdateEndpoint,
} from "../answers/result-fate.js";
import { backoffMs } from "../gate/backoff.js";
import type { Permit } from "../gate/server-gate.js";
import type { Door, InFlightTask } from "../in-flight.js";
import type { InheritedResult, InheritedSink, ResultKeeper } from "../journal/keeper.js";
import { plainFailure, resultOf, type Parcel } from "../parcel.js";
import type { Shared } from "../shared.js";
import { askBeside } from "./ask-beside.js";
import { Chaining } from "./chaining.js";
import { Outbox, type OutboxLimits } from "./outbox.js";
import { moreTime, type RequestTimes } from "./request-times.js";
import { createShipment, type Shipment } from "./shipment.js";
import { checkTask, isUndone } from "./task-check.js";

/** An attempt that takes longer may never end, when nothing else is to be relied on, in ms. */
const SLOW_ATTEMPT_MS = 500;
/** A result that another one overtook within this time before its refusal was refused alone, in ms. */
const BESIDE_MS = 250;
/** From this refusal in a row on it is asked whether the server still wants the result, and whether others pass. */
const ASK_FROM_REFUSAL = 3;
/** So often refused alone it is said. */
const SAY_AFTER_ALONE = 2;
/** So many refused looks at a task that a dead process finished say that its result has to go without one. */
const MAX_LOOKS_REFUSED = 5;
/** What becomes of a result that may not go now: it is no refusal. */
const NOT_TRIED: ResultFate = { kind: "retry", fault: "none" };
/** In the log, for all tasks together. */
const REPORTING = "reporting results";

/** What a delivery tells, and asks, the parts around it. */
export interface DeliveryHooks {
  /** The outbox has shrunk. */
  onChange(): void;
  /** An answer was lost that may have carried a task. */
  onLostChain(worker: WorkerConfig): void;
  /** A result waits for another attempt. */
  onWaiting(entry: InFlightTask): void;
  /** What has to settle before anything may be reported of the task. */
  settled(entry: InFlightTask): Promise<void> | undefined;
}

/**
 * Owns every finished result from the first attempt until the server has acknowledged it, has no use for it, or has
 * refused it for good. The first attempt is made in the task's slot; what must wait goes to the outbox and frees it.
 *
 * A result is a {@link Shipment} here: on its way (one attempt), in the outbox until its next attempt is due, or closed.
 * It closes by one of the doors `reported`, `moot` and `undeliverable`, or is left in the journal for a successor. What
 * an answer means is decided by `fateOfResult`; a result that is refused for good, or alone again and again, is replaced,
 * once, by a failure that says why. Slots call {@link deliver}, the journal {@link deliverInherited}, a stop {@link stop}, and a process that must end
 * {@link sendAgain}.
 */
export class Delivery implements InheritedSink {
  readonly #shared: Shared;
  readonly #hooks: DeliveryHooks;
  readonly #times: RequestTimes;
  readonly #journal: ResultKeeper | undefined;
  /** Every result that we have, on its way or waiting. */
  readonly #shipments = new LinkedList<Shipment>();
  readonly #outbox: Outbox;
  readonly #chaining = new Chaining();
  readonly #repeatLog: RepeatLog;
  /** When a result was last acknowledged, by the clock. */
  #acknowledgedAt = -Infinity;
  #stopped: string | undefined;

  constructor(
    shared: Shared,
    repeatLog: RepeatLog,
    limits: OutboxLimits,
    hooks: DeliveryHooks,
    times: RequestTimes,
    journal?: ResultKeeper,
  ) {
    this.#shared = shared;
    this.#hooks = hooks;
    this.#times = times;
    this.#journal = journal;
    this.#repeatLog = repeatLog;
    this.#outbox = new Outbox(
      shared,
      limits,
      (shipment, permit) => this.#resend(shipment, permit),
      () => {
        hooks.onChange();
      },
    );
  }

  /** Results that wait for another attempt, or are in one. */
  get waiting(): number {
    return this.#outbox.waiting;
  }

  /** No task should be taken on until some of the results that wait are delivered. */
  get isFull(): boolean {
    return this.#outbox.isFull;
  }

  /** An answer that may have carried a task was lost: be careful for a while. */
  suspect(): void {
    this.#chaining.suspect(this.#shared.clock.now());
  }

  /**
   * The first attempt. Resolves with the task that came along, if one did; the result may then still be on its way.
   * Never rejects.
   */
  async deliver(entry: InFlightTask, parcel: Parcel, chain: boolean): Promise<ReceivedTask | null> {
    entry.state = "delivering";
    const shipment = this.#shipmentOf(entry, parcel, false);
    try {
      if (this.#journal !== undefined) {
        shipment.kept = this.#journal.keep(entry, parcel);
        if (shipment.kept.synced !== undefined) await shipment.kept.synced;
      }
      let fate = await this.#attemptNow(shipment, chain);
      while (fate.kind === "askV1" || fate.kind === "rejected") {
        if (fate.kind === "rejected" && !this.#replaceByFailure(shipment, fate.why)) return null;
        fate = await this.#attemptNow(shipment, false);
      }
      if (fate.kind === "retry") {
        this.#noteBeside(shipment, fate.fault);
        this.#store(shipment);
      }
      return fate.kind === "acknowledged" ? (fate.next ?? null) : null;
    } catch (error) {
      this.#storeAfterBug(shipment, error);
      return null;
    }
  }

  /** An attempt at once, unless everybody waits for the server. */
  #attemptNow(shipment: Shipment, chain: boolean): ResultFate | Promise<ResultFate> {
    const permit = this.#shared.gate.admit("report");
    if ("waitMs" in permit) return NOT_TRIED;
    const useV2 = chain && !permit.isProbe && this.#chaining.mayAsk(permit.startedAt);
    return this.#attempt(shipment, permit, useV2 ? "v2" : "v1");
  }

  /** Whether to hand over more of what dead processes left. */
  get hasRoomForInherited(): boolean {
    return this.#stopped === undefined && this.#outbox.hasRoomForInherited;
  }

  /** A result that a dead process left: it waits with the others. Its task is not in the table, and may come to us anew. */
  deliverInherited({ entry, parcel, kept }: InheritedResult): void {
    const { events } = this.#shared;
    const shipment = this.#shipmentOf(entry, parcel, true);
    shipment.kept = kept;
    if (events.taskReclaimed.isHeard) events.taskReclaimed.emit({ ...entry.ids, reason: "predecessor" });
    this.#store(shipment);
  }

  #shipmentOf(entry: InFlightTask, parcel: Parcel, isInherited: boolean): Shipment {
    const shipment = createShipment(entry, parcel, this.#shared.clock.now(), isInherited);
    this.#shipments.append(shipment);
    this.#outbox.counted(parcel.body.length);
    return shipment;
  }

  #forget(shipment: Shipment): void {
    shipment.isClosed = true;
    if (this.#shipments.remove(shipment)) this.#outbox.counted(-shipment.parcel.body.length);
  }

  /** A bug of ours must not cost a result. */
  #storeAfterBug(shipment: Shipment, error: unknown): void {
    this.#shared.log.error(
      { ...shipment.entry.ids, err: error },
      "delivering a result failed unexpectedly; trying again",
    );
    if (shipment.isClosed) return;
    shipment.notBefore = this.#shared.clock.now() + 1_000;
    this.#store(shipment);
  }

  /**
   * From now on nothing is tried again. What waits stays in the journal for a successor; without one it is given up, with
   * an event and a log line that carry the result.
   */
  stop(reason: string): void {
    this.#stopped = reason;
    let results = 0;
    this.#outbox.close();
    for (const shipment of this.#shipments.toArray()) {
      if (this.#leaveInJournal(shipment)) results += 1;
      else this.#giveUp(shipment, reason);
    }
    if (results > 0)
      this.#shared.log.warn(
        { results },
        "stopped before all results were delivered; the journal has them for a successor",
      );
  }

  /**
   * For a process that must end: what is on its way may be on a request that never ends, so it is sent once more beside
   * it. A terminal result may arrive twice.
   */
  sendAgain(): void {
    for (const shipment of this.#shipments.toArray()) {
      const isSlow = this.#shared.clock.now() - shipment.attemptedAt >= SLOW_ATTEMPT_MS;
      if (!isSlow || this.#outbox.has(shipment) || shipment.isAcknowledged) continue;
      const permit = this.#shared.gate.admit("report", true);
      if ("waitMs" in permit) return;
      this.#attempt(shipment, permit, "v1").catch((error: unknown) => {
        this.#storeAfterBug(shipment, error);
      });
    }
  }

  async #attempt(shipment: Shipment, permit: Permit, endpoint: UpdateEndpoint): Promise<ResultFate> {
    shipment.attempts += 1;
    const attemptedAt = this.#shared.clock.now();
    shipment.attemptedAt = attemptedAt;
    // Another attempt, beside this one, may replace it meanwhile.
    const { parcel } = shipment;
    let reply: Reply<ReceivedTask | null | true>;
    try {
      const ended = shipment.isInherited ? await this.#checkFirst(shipment, permit) : undefined;
      if (ended !== undefined) return ended;
      reply = await this.#send(shipment, parcel, permit, endpoint);
    } catch (error) {
      permit.forget();
      throw error;
    }
    const meaning = meaningOf(reply);
    const fate = fateOfResult(reply, endpoint, meaning);
    if (reply.kind === "answered") {
      permit.report(DONE);
      this.#noteEndpoint(shipment, endpoint);
      this.#onAcknowledged(shipment, parcel, attemptedAt);
      if (endpoint === "v2" && mayBeLost(reply)) this.#hooks.onLostChain(shipment.entry.worker);
    } else {
      // What is about `update-v2` alone says nothing of the server: POST /tasks will.
      if (fate.kind === "askV1") permit.forget();
      else permit.report(meaning);
      this.#onFailed(shipment, permit, reply, meaning, fate, endpoint, attemptedAt);
    }
    return fate;
  }

  /** Keeps account of which endpoint takes results. */
  #noteEndpoint(shipment: Shipment, endpoint: UpdateEndpoint): void {
    const { clock, log } = this.#shared;
    this.#repeatLog.succeeded(REPORTING);
    if (endpoint === "v2") {
      if (this.#chaining.worked()) log.info({}, "update-v2 works again; the next task comes along with it");
      return;
    }
    const { refusedByV2 } = shipment;
    if (refusedByV2 === undefined) return;
    shipment.refusedByV2 = undefined;
    if (this.#chaining.refused(clock.now(), refusedByV2.isSure))
      log.warn(
        { err: refusedByV2.error },
        "update-v2 is refused where POST /tasks works; results go by that, and tasks come by polls alone",
      );
  }

  #send({ entry, deadlineMs }: Shipment, parcel: Parcel, { isProbe }: Permit, endpoint: UpdateEndpoint) {
    const { api } = this.#shared;
    if (endpoint === "v2") return api.updateV2(parcel.body);
    // Everybody waits for a probe.
    return api.update(entry.task.taskId, parcel.body, isProbe ? undefined : deadlineMs);
  }

  #onAcknowledged(shipment: Shipment, parcel: Parcel, attemptedAt: number): void {
    const { clock, events } = this.#shared;
    const { entry } = shipment;
    const now = clock.now();
    this.#acknowledgedAt = now;
    if (this.#hasLeft(shipment)) return;
    if (entry.hasUnclearExtension) void this.#verify(shipment);
    else this.#close(shipment, shipment.isVerdict ? "undeliverable" : "reported");
    if (!events.taskUpdated.isHeard) return;
    // Spelled out: spreading the ids costs a microsecond.
    events.taskUpdated.emit({
      taskType: entry.worker.taskDefName,
      taskId: entry.task.taskId,
      workflowInstanceId: entry.task.workflowInstanceId,
      durationMs: now - shipment.startedAt,
      attemptMs: now - attemptedAt,
      attempts: shipment.attempts,
      status: parcel.status,
      resultBytes: parcel.body.length,
    });
  }

  #onFailed(
    shipment: Shipment,
    permit: Permit,
    reply: Exclude<Reply<unknown>, { kind: "answered" }>,
    meaning: Meaning,
    fate: ResultFate,
    endpoint: UpdateEndpoint,
    attemptedAt: number,
  ): void {
    const { clock, events } = this.#shared;
    const { entry } = shipment;
    const { error } = reply;
    if (endpoint === "v2" && fate.kind !== "gone") {
      shipment.refusedByV2 = { isSure: fate.kind === "askV1", error };
      this.suspect();
      if (mayBeLost(reply)) this.#hooks.onLostChain(entry.worker);
    } else {
      // It is not `update-v2` alone.
      shipment.refusedByV2 = undefined;
    }
    if (events.taskUpdateFailed.isHeard) {
      events.taskUpdateFailed.emit({
        ...entry.ids,
        attemptMs: clock.now() - attemptedAt,
        attempts: shipment.attempts,
        error,
        then: fate.kind === "gone" ? "moot" : fate.kind === "rejected" ? "refused" : "retry",
        isLost: reply.kind === "maybeApplied",
      });
    }
    const isGivenLonger = error.code === "DEADLINE_EXCEEDED" && !permit.isProbe && this.#giveLonger(shipment);
    if (fate.kind === "gone") this.#notThere(shipment, error.serverMessage ?? error.message);
    else if (fate.kind === "retry") this.#noteFailure(shipment, isGivenLonger ? "none" : fate.fault, meaning, error);
  }

  /** False: it has got all there is. */
  #giveLonger(shipment: Shipment): boolean {
    const { gate, log } = this.#shared;
    const { entry, parcel, attemptedAt } = shipment;
    const deadlineMs = moreTime(this.#times, gate, attemptedAt, shipment.deadlineMs);
    if (deadlineMs === undefined) return false;
    if (shipment.deadlineMs === undefined)
      log.warn(
        { ...entry.ids, resultBytes: parcel.body.length, deadlineMs },
        "a result did not get through within the time for a request, while others did; it is given more",
      );
    shipment.deadlineMs = deadlineMs;
    return true;
  }

  /** The server has the result; an extension on its way may still undo that, and then it is sent again. */
  async #verify(shipment: Shipment): Promise<void> {
    shipment.isAcknowledged = true;
    const wasUndone = await isUndone(this.#shared, shipment);
    if (shipment.isClosed) return;
    if (!wasUndone) {
      this.#close(shipment, shipment.isVerdict ? "undeliverable" : "reported");
      return;
    }
    const { clock, log } = this.#shared;
    log.warn(shipment.entry.ids, "a late lease extension has undone an acknowledged result; sending it again");
    shipment.entry.hasUnclearExtension = false;
    shipment.isAcknowledged = false;
    shipment.notBefore = clock.now();
    this.#store(shipment);
  }

  /** Whether the task still waits for this very result: undefined when it does, otherwise what became of the attempt. */
  async #checkFirst(shipment: Shipment, permit: Permit): Promise<ResultFate | undefined> {
    // Where nobody tells what the server has, the result goes all the same: for a task that has ended it changes nothing.
    if (shipment.looksRefused >= MAX_LOOKS_REFUSED) return undefined;
    const look = this.#shared.gate.admit("aside task");
    if ("waitMs" in look) {
      permit.forget();
      shipment.notBefore = this.#shared.clock.now() + look.waitMs;
      return NOT_TRIED;
    }
    const check = await checkTask(this.#shared, shipment.entry, look);
    look.report(DONE);
    if (check.kind === "ours") return undefined;
    permit.forget();
    if (check.kind === "ended") {
      if (check.isUnknown) this.#notThere(shipment, check.why);
      else this.#moot(shipment, check.why);
      return { kind: "gone" };
    }
    const { lastOkAt = -Infinity } = this.#shared.gate;
    // Others were answered meanwhile: it is the look that is refused, and not the server that is away.
    if (check.meaning.subject === "open" && lastOkAt >= shipment.attemptedAt - BESIDE_MS) shipment.looksRefused += 1;
    this.#noteFailure(shipment, "none", check.meaning, check.error);
    return NOT_TRIED;
  }

  /** The server does not know the task. */
  #notThere(shipment: Shipment, why: string): void {
    const leave = shipment.kept?.leave;
    // It was another server's; when the process that talks to that one comes, it is there.
    if (leave !== undefined && this.#leaveInJournal(shipment)) leave();
    else this.#moot(shipment, why);
  }

  #noteFailure(shipment: Shipment, fault: ResultFault, meaning: Meaning, error: ConductorError): void {
    const { clock, gate, log, random } = this.#shared;
    const now = clock.now();
    shipment.failures += 1;
    shipment.lastError = error;
    // Who is refused alone is not refused for want of rights, and need not wait for a person.
    const failureClass: FailureClass = shipment.evidence.alone > 0 ? "overloaded" : meaning.failureClass;
    shipment.notBefore = now + backoffMs(failureClass, shipment.failures, random, error.retryAfterMs);
    if (fault !== "none") {
      if (shipment.refusals === 0) shipment.firstRefusalAt = now;
      shipment.refusals += 1;
    }
    const { ids } = shipment.entry;
    log.debug(
      { ...ids, attempts: shipment.attempts, err: error },
      "a result could not be delivered; it is kept and tried again",
    );
    if (gate.isRefusedAlone("report"))
      this.#repeatLog.failed(REPORTING, { ...ids, err: error }, "results are not taken; they are kept and tried again");
  }

  #store(shipment: Shipment): void {
    if (this.#stopped !== undefined || shipment.isClosed) {
      if (this.#leaveInJournal(shipment)) return;
      this.#giveUp(shipment, this.#stopped ?? "it was given up");
      return;
    }
    shipment.entry.state = "waiting";
    shipment.entry.shed();
    this.#hooks.onWaiting(shipment.entry);
    this.#outbox.add(shipment);
  }

  /** Another attempt at what has waited. Never rejects. */
  async #resend(shipment: Shipment, permit: Permit): Promise<void> {
    try {
      await this.#hooks.settled(shipment.entry);
      shipment.entry.state = "delivering";
      const fate = await this.#attempt(shipment, permit, "v1");
      if (fate.kind === "rejected") {
        if (this.#replaceByFailure(shipment, fate.why)) this.#store(shipment);
      } else if (fate.kind === "retry") {
        const isGivenUp = fate.fault !== "none" && (await this.#isPoison(shipment, fate.fault));
        if (shipment.isClosed || (isGivenUp && !this.#replaceByFailure(shipment, whyOf(shipment)))) return;
        this.#store(shipment);
      }
    } catch (error) {
      this.#storeAfterBug(shipment, error);
    }
  }

  /** Whether the result is refused for what it is. Asks the server what it makes of the task, and of something small. */
  async #isPoison(shipment: Shipment, fault: Exclude<ResultFault, "none">): Promise<boolean> {
    const { clock, gate, log } = this.#shared;
    const { entry, lastError } = shipment;
    const isNoted = this.#noteBeside(shipment, fault);
    if (shipment.refusals >= ASK_FROM_REFUSAL || gate.isRefusedAlone("report")) {
      const beside = await askBeside(this.#shared, entry);
      if (shipment.isClosed || this.#stopped !== undefined) return false;
      if (beside.kind === "ended") {
        this.#endedMeanwhile(shipment, beside.status, beside.why);
        return false;
      }
      if (!isNoted && beside.kind !== "unknown") shipment.evidence = withRefusal(shipment.evidence, beside.kind);
    }
    const { alone } = shipment.evidence;
    if (alone >= SAY_AFTER_ALONE && !shipment.isSaid) {
      shipment.isSaid = true;
      log.warn(
        { ...entry.ids, attempts: shipment.attempts, resultBytes: shipment.parcel.body.length, err: lastError },
        "a result is refused while others are taken; if that goes on, its task is reported failed for it",
      );
    }
    // Where polls fail as well, time says nothing of the result.
    const lastingMs = gate.isReachable ? clock.now() - shipment.firstRefusalAt : 0;
    return isPoison(fault, shipment.evidence, shipment.refusals, lastingMs);
  }

  /** What was seen, without asking, beside a refusal of this result. False: nothing. */
  #noteBeside(shipment: Shipment, fault: ResultFault): boolean {
    if (fault === "none" || this.#acknowledgedAt < shipment.attemptedAt - BESIDE_MS) return false;
    shipment.evidence = withRefusal(shipment.evidence, "taken");
    return true;
  }

  /** The task of a result that was always refused is not ours any more: perhaps because one attempt got through. */
  #endedMeanwhile(shipment: Shipment, status: TaskStatus | undefined, why: string): void {
    const { parcel, attemptedAt } = shipment;
    if (status !== undefined && status === parcel.status) this.#onAcknowledged(shipment, parcel, attemptedAt);
    else this.#moot(shipment, why);
  }

  /** The server gets a terminal failure that says why, instead of the result. False: that was refused, too. */
  #replaceByFailure(shipment: Shipment, why: string): boolean {
    if (shipment.isClosed) return false;
    if (shipment.isVerdict) {
      this.#giveUp(shipment, why);
      return false;
    }
    this.#recordUndeliverable(shipment, why);
    shipment.isVerdict = true;
    shipment.failures = 0;
    shipment.refusals = 0;
    shipment.evidence = NO_EVIDENCE;
    shipment.refusedByV2 = undefined;
    shipment.notBefore = this.#shared.clock.now();
    const failure = plainFailure(shipment.entry, `the server refused the result: ${why}`);
    this.#outbox.counted(failure.body.length - shipment.parcel.body.length);
    shipment.parcel = failure;
    return true;
  }

  #close(shipment: Shipment, door: Door): void {
    this.#forget(shipment);
    shipment.kept?.settle();
    this.#shared.table.leave(shipment.entry, door);
  }

  /** Not given up, only left: a successor delivers it. */
  #leaveInJournal(shipment: Shipment): boolean {
    const { kept, entry, isClosed, isAcknowledged } = shipment;
    if (isClosed || isAcknowledged || kept?.isOnDisk !== true) return false;
    this.#forget(shipment);
    this.#shared.table.leave(entry, "undeliverable");
    return true;
  }

  #giveUp(shipment: Shipment, why: string): void {
    if (shipment.isClosed) return;
    if (shipment.isAcknowledged) {
      this.#close(shipment, "reported");
      return;
    }
    if (shipment.isVerdict) {
      this.#shared.log.error(
        { ...shipment.entry.ids, why },
        "not even the failure could be reported; the task is left to its response timeout",
      );
    } else {
      this.#recordUndeliverable(shipment, why);
    }
    this.#close(shipment, "undeliverable");
  }

  #recordUndeliverable({ entry, attempts, parcel, lastError }: Shipment, why: string): void {
    const { log, events } = this.#shared;
    const result = resultOf(parcel);
    logOnlyCopy(log, { ...entry.ids, attempts, why, result }, "a result could not be delivered");
    if (!events.taskUndeliverable.isHeard) return;
    events.taskUndeliverable.emit({ ...entry.ids, attempts, result, error: lastError ?? new Error(why) });
  }

  /** It was left in the journal, or given up, while the worker stopped: that was its door, and now it is not needed there. */
  #hasLeft(shipment: Shipment): boolean {
    if (shipment.isClosed) shipment.kept?.settle();
    return shipment.isClosed;
  }

  #moot(shipment: Shipment, reason: string): void {
    if (this.#hasLeft(shipment)) return;
    const { log, events } = this.#shared;
    const { ids } = shipment.entry;
    log.warn({ ...ids, reason }, "the server has no use for the result: the task has ended, moved on or is gone");
    if (events.taskMoot.isHeard) events.taskMoot.emit({ ...ids, reason });
    this.#close(shipment, "moot");
  }
}

function whyOf({ lastError }: Shipment): string {
  return lastError?.serverMessage ?? `HTTP ${lastError?.status ?? 500}`;
}
