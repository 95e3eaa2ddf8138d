import { parseJson, type Reply } from "../../conductor/reply.js";
import type { Task, TaskResult } from "../../conductor/types.js";
import type { WorkerEvents } from "../../events/events.js";
import { logOnlyCopy } from "../../log/logger.js";
import { taskTimes } from "../execution/task-times.js";
import { mayBeLost, type Meaning } from "../answers/meaning.js";
import { backoffMs } from "../gate/backoff.js";
import { reportReply, type Permit } from "../gate/server-gate.js";
import type { InFlightTask } from "../in-flight.js";
import type { Shared } from "../shared.js";
import { moreTime, type RequestTimes } from "./request-times.js";

export interface HandBackOptions {
  /** Why, for the event; `undefined` when the function itself asked for it. */
  readonly reason: WorkerEvents["taskHandedBack"]["reason"] | undefined;
  /** The update as JSON: IN_PROGRESS with `callbackAfterSeconds` and the output that is to be stored. */
  readonly body: Buffer;
}

/** A hand-back that a server which is there has not taken after this long is left to the response timeout, in ms. */
const GIVE_UP_AFTER_MS = 60_000;
/** Later than this the task may be somebody else's: it is checked first, in ms. */
const CHECK_AFTER_MS = 60_000;

/** A hand-back that is not done yet. */
interface Pending {
  readonly entry: InFlightTask;
  readonly options: HandBackOptions;
  /** Until when it is tried, by the clock. A server that is away is waited for, as long as the task is ours. */
  giveUpAt: number;
  readonly oursUntil: number;
  /** It may have been applied: the next request asks for the task instead of repeating it. */
  mustCheck: boolean;
  /** When the task was known to be ours, by the clock. */
  checkedAt: number;
  /** What an attempt may take, where that is more than a request usually gets, in ms. */
  deadlineMs: number | undefined;
}

/**
 * What an answer says of a hand-back.
 * - `done`: it was applied, or the task is not ours any more.
 * - `ours`: the task was checked, and the hand-back was not applied.
 * - `gone`: the server does not know the task.
 * - `refused`: the server does not take it, now or later.
 * - `unclear`: it may have been applied.
 * - `again`: it was not applied, and may be another time.
 */
type HandBackState = "done" | "ours" | "gone" | "refused" | "unclear" | "again";

/**
 * Puts tasks back into their queue. **Fenced**: such an update is not idempotent, and repeated it would take the task
 * away from whoever has it by then. It is sent once; after an answer that leaves it open whether it was applied, it is
 * sent again only if the server still shows the task as ours.
 */
export class HandBack {
  readonly #shared: Shared;
  readonly #times: RequestTimes;
  readonly #onChange: () => void;
  readonly #onRefused: (entry: InFlightTask, why: string) => void;
  readonly #sleepers = new Set<() => void>();
  readonly #underWay = new Map<InFlightTask, HandBackOptions>();
  #stopped = false;

  /**
   * @param onChange called when a hand-back has ended.
   * @param onRefused takes over a task whose hand-back the server does not accept, for the reason it gives.
   */
  constructor(
    shared: Shared,
    times: RequestTimes,
    onChange: () => void,
    onRefused: (entry: InFlightTask, why: string) => void,
  ) {
    this.#shared = shared;
    this.#times = times;
    this.#onChange = onChange;
    this.#onRefused = onRefused;
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  /** No further attempts: what is not done yet is given up now. */
  stop(): void {
    this.#stopped = true;
    for (const entry of [...this.#underWay.keys()]) this.#giveUp(entry, new Error("the worker has stopped"));
    for (const wake of this.#sleepers) wake();
  }

  /** The task has come anew: it went back, and whatever is still asked about that has no say any more. */
  cameAnew(entry: InFlightTask): void {
    const options = this.#underWay.get(entry);
    if (options === undefined) return;
    this.#done(entry, options);
    this.#underWay.delete(entry);
  }

  /** Resolves after the first attempt; further ones go on without the caller's slot. Never rejects. */
  send(entry: InFlightTask, options: HandBackOptions): Promise<void> {
    entry.state = "handingBack";
    this.#underWay.set(entry, options);
    return new Promise((resolve) => {
      void this.#send(entry, options, resolve)
        .catch((error: unknown) => {
          this.#giveUp(entry, error);
        })
        .finally(() => {
          this.#underWay.delete(entry);
          resolve();
          this.#onChange();
        });
      entry.shed();
    });
  }

  async #send(entry: InFlightTask, options: HandBackOptions, onAttempted: () => void): Promise<void> {
    const { clock } = this.#shared;
    const pending = pendingOf(entry, options, clock.now());
    for (let failures = 1; ; failures += 1) {
      const permit = await this.#permit(pending, failures > 1, onAttempted);
      // Settled meanwhile, by the next hand-out or a stop: sent now it would take the task away from whoever has it.
      if (!this.#underWay.has(entry)) {
        permit?.forget();
        return;
      }
      if (permit === undefined) {
        this.#giveUp(entry, new Error("no answer from the server"));
        return;
      }
      if (clock.now() - pending.checkedAt >= CHECK_AFTER_MS) pending.mustCheck = true;
      const reply = await this.#ask(pending, permit);
      const meaning = reportReply(permit, reply);
      const state = stateOf(entry, reply, meaning);
      if (state === "done") {
        this.#done(entry, options);
        return;
      }
      if (state === "ours") {
        pending.mustCheck = false;
        pending.checkedAt = clock.now();
        continue;
      }
      if (reply.kind !== "answered") {
        const { error } = reply;
        if (state === "gone") {
          this.#gone(entry, error);
          return;
        }
        if (state === "refused") {
          this.#onRefused(entry, error.serverMessage ?? error.message);
          return;
        }
      }
      if (state === "unclear") pending.mustCheck = true;
      onAttempted();
      if (meaning.speaker !== "conductor") this.#beginAnew(pending);
      const pauseMs = backoffMs(meaning.failureClass, failures, this.#shared.random, undefined);
      await this.#sleep(Math.min(pauseMs, pending.giveUpAt - clock.now()));
    }
  }

  /** Sends the hand-back, or asks for its task where it may have been applied. */
  async #ask(pending: Pending, permit: Permit): Promise<Reply<true | Task>> {
    const { api, clock, gate } = this.#shared;
    const { taskId } = pending.entry.task;
    if (pending.mustCheck) return api.get(taskId);
    const sentAt = clock.now();
    // Everybody waits for a probe.
    const deadlineMs = permit.isProbe ? undefined : pending.deadlineMs;
    const reply = await api.update(taskId, pending.options.body, deadlineMs, true);
    if (reply.kind !== "answered" && reply.error.code === "DEADLINE_EXCEEDED")
      pending.deadlineMs = moreTime(this.#times, gate, sentAt, pending.deadlineMs) ?? pending.deadlineMs;
    return reply;
  }

  #done(entry: InFlightTask, { reason }: HandBackOptions): void {
    const { events, table } = this.#shared;
    // Given up meanwhile, for the worker has stopped: it has left by that door.
    if (!this.#underWay.has(entry)) return;
    table.leave(entry, "handedBack");
    if (reason !== undefined && events.taskHandedBack.isHeard) events.taskHandedBack.emit({ ...entry.ids, reason });
  }

  #gone(entry: InFlightTask, error: Error): void {
    const { events, log, table } = this.#shared;
    if (!this.#underWay.has(entry)) return;
    log.debug({ ...entry.ids }, "the task to hand back is gone");
    if (events.taskMoot.isHeard) events.taskMoot.emit({ ...entry.ids, reason: error.message });
    table.leave(entry, "moot");
  }

  /** The server is away, or somebody on the way refuses: that is not the hand-back's fault. */
  #beginAnew(pending: Pending): void {
    const giveUpAt = Math.min(this.#shared.clock.now() + GIVE_UP_AFTER_MS, pending.oursUntil);
    pending.giveUpAt = Math.max(pending.giveUpAt, giveUpAt);
  }

  async #permit(pending: Pending, hasFailed: boolean, onAttempted: () => void): Promise<Permit | undefined> {
    const { clock, gate } = this.#shared;
    while (!this.#stopped && this.#underWay.has(pending.entry) && clock.now() < pending.giveUpAt) {
      const permit = gate.admit(pending.mustCheck ? "aside task" : "report", hasFailed);
      if (!("waitMs" in permit)) return permit;
      onAttempted();
      await this.#sleep(permit.waitMs, true);
      this.#beginAnew(pending);
    }
    return undefined;
  }

  /** Waits; with `orChange`, only until the gate lets somebody through. */
  #sleep(delayMs: number, orChange = false): Promise<void> {
    const { clock, gate } = this.#shared;
    return new Promise((resolve) => {
      let forget = (): void => undefined;
      const done = () => {
        forget();
        this.#sleepers.delete(done);
        clock.clearTimer(timer);
        resolve();
      };
      const timer = clock.setTimer(done, Math.max(delayMs, 1));
      this.#sleepers.add(done);
      if (orChange) forget = gate.onChange(done);
    });
  }

  #giveUp(entry: InFlightTask, reason: unknown): void {
    const { log, events, table } = this.#shared;
    if (!table.has(entry)) return;
    const error = reason instanceof Error ? reason : new Error(String(reason));
    const options = this.#underWay.get(entry);
    // What the function left for its next call is a result as well.
    const result =
      options?.reason === undefined ? (parseJson(String(options?.body ?? "")) as TaskResult | undefined) : undefined;
    const message = "a task could not be handed back; the server will time it out";
    if (result === undefined) log.error({ ...entry.ids, err: error }, message);
    else logOnlyCopy(log, { ...entry.ids, err: error, result }, message);
    if (events.taskUndeliverable.isHeard) {
      events.taskUndeliverable.emit({ ...entry.ids, attempts: 1, result, error });
    }
    this.#underWay.delete(entry);
    table.leave(entry, "undeliverable");
  }
}

function pendingOf(entry: InFlightTask, options: HandBackOptions, now: number): Pending {
  const leaseEndsAt = entry.receivedAt + taskTimes(entry.task, undefined).responseTimeoutMs;
  return {
    entry,
    options,
    giveUpAt: now + GIVE_UP_AFTER_MS,
    oursUntil: Number.isFinite(entry.leaseEndsAt) ? entry.leaseEndsAt : leaseEndsAt,
    mustCheck: false,
    checkedAt: now,
    deadlineMs: undefined,
  };
}

function stateOf(entry: InFlightTask, reply: Reply<true | Task>, { speaker, subject }: Meaning): HandBackState {
  if (reply.kind === "answered") {
    if (reply.value === true) return "done";
    if (entry.isFromBefore(reply.value)) return "unclear";
    return entry.isAsHandedOut(reply.value) ? "ours" : "done";
  }
  if (subject === "task") return "gone";
  // By Conductor, or by our own transport. A stranger's refusal is waited out.
  if (subject === "request") return "refused";
  const status = reply.kind === "refused" ? reply.error.status : undefined;
  // Conductor's own refusals below 500 were not applied; anything else may have been.
  if (mayBeLost(reply) || (status !== undefined && status >= 500)) return "unclear";
  return speaker === "conductor" && status === 405 ? "refused" : "again";
}
