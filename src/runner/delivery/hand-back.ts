import { parseJson } from "../../conductor/reply.js";
import type { TaskResult } from "../../conductor/types.js";
import type { WorkerEvents } from "../../events/events.js";
import { taskTimes } from "../execution/task-times.js";
import { backoffMs } from "../gate/backoff.js";
import type { Permit } from "../gate/server-gate.js";
import { isUnheard, failureClassOf, isGone, failureVerdict } from "../gate/verdict.js";
import type { InFlightTask } from "../in-flight.js";
import type { Shared } from "../shared.js";
import { moreTime, type AttemptTimes } from "./attempt-times.js";

export interface HandBackOptions {
  /** Why, for the event; `undefined` when the function itself asked for it. */
  readonly reason: WorkerEvents["taskHandedBack"]["reason"] | undefined;
  /** The update as JSON: IN_PROGRESS with `callbackAfterSeconds` and the output that is to be stored. */
  readonly body: Buffer;
}

/** A hand-back that a server which is there has not taken after this long is left to the response timeout, in ms. */
const GIVE_UP_AFTER_MS = 60_000;
/** Later than this the task may be somebody else's: it is looked at first, in ms. */
const LOOK_AFTER_MS = 60_000;

/** Until when a hand-back is tried, by the clock. A server that is away is waited for, as long as the task is ours. */
interface Patience {
  giveUpAt: number;
  readonly oursUntil: number;
}

/**
 * Puts tasks back into their queue. **Fenced**: such an update is not idempotent, and repeated it would take the task
 * away from whoever has it by then. It is sent once; after an answer that leaves it open whether it was applied, it is
 * sent again only if the server still shows the task as ours.
 */
export class HandBack {
  readonly #shared: Shared;
  readonly #times: AttemptTimes;
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
    times: AttemptTimes,
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
    for (const entry of this.#underWay.keys()) this.#giveUp(entry, new Error("the worker has stopped"));
    for (const wake of this.#sleepers) wake();
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
    });
  }

  async #send(entry: InFlightTask, options: HandBackOptions, onAttempted: () => void): Promise<void> {
    const { api, clock, gate, table, log, events } = this.#shared;
    const { taskId } = entry.task;
    const { body } = options;
    const startedAt = clock.now();
    const leaseEndsAt = entry.receivedAt + taskTimes(entry.task, undefined).responseTimeoutMs;
    const patience: Patience = {
      giveUpAt: startedAt + GIVE_UP_AFTER_MS,
      oursUntil: Number.isFinite(entry.leaseEndsAt) ? entry.leaseEndsAt : leaseEndsAt,
    };
    let mustLook = false;
    let lastLookAt = startedAt;
    let deadlineMs: number | undefined;
    for (let failures = 1; ; failures += 1) {
      const permit = await this.#permit(patience, onAttempted);
      if (permit === undefined) {
        this.#giveUp(entry, new Error("no answer from the server"));
        return;
      }
      if (clock.now() - lastLookAt >= LOOK_AFTER_MS) mustLook = true;
      const sentAt = clock.now();
      // Everybody waits for a probe.
      const reply = mustLook
        ? await api.get(taskId)
        : await api.update(taskId, body, permit.isProbe ? undefined : deadlineMs);
      if (reply.kind === "answered") {
        permit.report("ok");
        if (reply.value === true) break;
        if (!entry.isAsHandedOut(reply.value)) break;
        mustLook = false;
        lastLookAt = clock.now();
        continue;
      }
      const verdict = failureVerdict(reply);
      permit.report(verdict, reply.error.retryAfterMs);
      const status = reply.kind === "refused" ? reply.error.status : undefined;
      if (!mustLook && reply.error.code === "DEADLINE_EXCEEDED")
        deadlineMs = moreTime(this.#times, gate, sentAt, deadlineMs) ?? deadlineMs;
      const isRefusal = (verdict === "ok" || verdict === "neutral") && !isUnheard(reply.error);
      if (isGone(reply)) {
        log.debug({ ...entry.ids }, "the task to hand back is gone");
        if (events.taskMoot.isHeard) events.taskMoot.emit({ ...entry.ids, reason: reply.error.message });
        table.leave(entry, "moot");
        return;
      }
      // Refusals below 500 were not applied; anything else may have been.
      if (reply.kind === "maybeApplied" || (status !== undefined && status >= 500)) mustLook = true;
      else if (status !== undefined && status !== 403 && isRefusal) {
        this.#onRefused(entry, reply.error.serverMessage ?? reply.error.message);
        return;
      }
      onAttempted();
      if (!isRefusal) this.#beginAnew(patience);
      const failureClass = failureClassOf(verdict);
      await this.#sleep(
        Math.min(backoffMs(failureClass, failures, this.#shared.random, undefined), patience.giveUpAt - clock.now()),
      );
    }
    table.leave(entry, "handedBack");
    if (options.reason !== undefined && events.taskHandedBack.isHeard) {
      events.taskHandedBack.emit({ ...entry.ids, reason: options.reason });
    }
  }

  /** The server is away: that is not the hand-back's fault. */
  #beginAnew(patience: Patience): void {
    const giveUpAt = Math.min(this.#shared.clock.now() + GIVE_UP_AFTER_MS, patience.oursUntil);
    patience.giveUpAt = Math.max(patience.giveUpAt, giveUpAt);
  }

  async #permit(patience: Patience, onAttempted: () => void): Promise<Permit | undefined> {
    const { clock, gate } = this.#shared;
    while (!this.#stopped && clock.now() < patience.giveUpAt) {
      const permit = gate.admit();
      if (!("waitMs" in permit)) return permit;
      onAttempted();
      await this.#sleep(permit.waitMs, true);
      this.#beginAnew(patience);
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
    log.error(
      { ...entry.ids, err: error, ...(result === undefined ? {} : { result }) },
      "a task could not be handed back; the server will time it out",
    );
    if (events.taskUndeliverable.isHeard) {
      events.taskUndeliverable.emit({ ...entry.ids, attempts: 1, result, error });
    }
    table.leave(entry, "undeliverable");
  }
}
