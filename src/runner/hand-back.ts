import type { WorkerEvents } from "../telemetry/events.js";
import { backoffMs } from "./backoff.js";
import type { InFlightTask } from "./in-flight.js";
import { failureClassOf, failureVerdict, isGone, type Permit } from "./server-gate.js";
import type { Shared } from "./shared.js";

export interface HandBackOptions {
  /** Why, for the event; `undefined` when the function itself asked for it. */
  readonly reason: WorkerEvents["taskHandedBack"]["reason"] | undefined;
  /** The update as JSON: IN_PROGRESS with `callbackAfterSeconds` and the output that is to be stored. */
  readonly body: string;
}

/** A hand-back that has not got through after this long is left to the response timeout, in ms. */
const GIVE_UP_AFTER_MS = 60_000;

/**
 * Puts tasks back into their queue. **Fenced**: such an update is not idempotent, and repeated it would take the task
 * away from whoever has it by then. It is sent once; after an answer that leaves it open whether it was applied, it is
 * sent again only if the server still shows the task as ours.
 */
export class HandBack {
  readonly #shared: Shared;
  readonly #onChange: () => void;
  readonly #onRefused: (entry: InFlightTask, why: string) => void;
  readonly #sleepers = new Set<() => void>();
  readonly #underWay = new Set<InFlightTask>();
  #stopped = false;

  /**
   * @param onChange called when a hand-back has ended.
   * @param onRefused takes over a task whose hand-back the server does not accept, for the reason it gives.
   */
  constructor(shared: Shared, onChange: () => void, onRefused: (entry: InFlightTask, why: string) => void) {
    this.#shared = shared;
    this.#onChange = onChange;
    this.#onRefused = onRefused;
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  /** No further attempts: what is not done yet is given up now. */
  stop(): void {
    this.#stopped = true;
    for (const entry of this.#underWay) this.#giveUp(entry, new Error("the worker has stopped"));
    for (const wake of this.#sleepers) wake();
  }

  /** Resolves after the first attempt; further ones go on without the caller's slot. Never rejects. */
  send(entry: InFlightTask, options: HandBackOptions): Promise<void> {
    entry.state = "handingBack";
    this.#underWay.add(entry);
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
    const { api, clock, table, log, events } = this.#shared;
    const { taskId } = entry.task;
    const { body } = options;
    const giveUpAt = clock.now() + GIVE_UP_AFTER_MS;
    let mustLook = false;
    for (let failures = 1; ; failures += 1) {
      const permit = await this.#permit(giveUpAt, onAttempted);
      if (permit === undefined) {
        this.#giveUp(entry, new Error("no answer from the server"));
        return;
      }
      const reply = mustLook ? await api.get(taskId) : await api.update(taskId, body);
      if (reply.kind === "answered") {
        permit.report("ok");
        if (reply.value === true) break;
        const { status, workerId, pollCount } = reply.value;
        const stillOurs =
          status === "IN_PROGRESS" && workerId === entry.worker.workerId && pollCount === entry.task.pollCount;
        if (!stillOurs) break;
        mustLook = false;
        continue;
      }
      const verdict = failureVerdict(reply);
      permit.report(verdict, reply.error.retryAfterMs);
      const status = reply.kind === "refused" ? reply.error.status : undefined;
      if (isGone(reply)) {
        log.debug({ ...entry.ids }, "the task to hand back is gone");
        if (events.has("taskMoot")) events.emit("taskMoot", { ...entry.ids, reason: reply.error.message });
        table.leave(entry, "moot");
        return;
      }
      // Refusals below 500 were not applied; anything else may have been.
      if (reply.kind === "maybeApplied" || (status !== undefined && status >= 500)) mustLook = true;
      else if (status !== undefined && status !== 403 && (verdict === "ok" || verdict === "neutral")) {
        this.#onRefused(entry, reply.error.serverMessage ?? reply.error.message);
        return;
      }
      onAttempted();
      const failureClass = failureClassOf(verdict);
      await this.#sleep(
        Math.min(backoffMs(failureClass, failures, this.#shared.random, undefined), giveUpAt - clock.now()),
      );
    }
    table.leave(entry, "handedBack");
    if (options.reason !== undefined && events.has("taskHandedBack")) {
      events.emit("taskHandedBack", { ...entry.ids, reason: options.reason });
    }
  }

  async #permit(giveUpAt: number, onAttempted: () => void): Promise<Permit | undefined> {
    const { clock, gate } = this.#shared;
    while (!this.#stopped && clock.now() < giveUpAt) {
      const permit = gate.admit();
      if (!("waitMs" in permit)) return permit;
      onAttempted();
      await this.#sleep(permit.waitMs, true);
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
    log.error({ ...entry.ids, err: error }, "a task could not be handed back; the server will time it out");
    if (events.has("taskUndeliverable")) {
      events.emit("taskUndeliverable", { ...entry.ids, attempts: 1, result: undefined, error });
    }
    table.leave(entry, "undeliverable");
  }
}
