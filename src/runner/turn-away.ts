import { clip } from "../base/clip.js";
import type { WorkerConfig } from "../config/types.js";
import type { WorkerEvents } from "../events/events.js";
import type { RunnerStatus } from "../status.js";
import { pollTimeoutIsOver, taskTimes } from "./execution/task-times.js";
import type { InFlightTask } from "./in-flight.js";
import { plainFailure, resultOf, toHandBack, toParcel, type Parcel, type WayBack } from "./parcel.js";
import type { RunnerParts } from "./parts.js";
import type { Shared } from "./shared.js";

type GivenBack = WorkerEvents["taskHandedBack"]["reason"];

/** A task of somebody else's type is put back for this long, so that it does not come round at once. */
const NOT_OURS_DELAY_SECONDS = 5;
/** Of a name that the server gave a task. */
const MAX_NAME_CHARACTERS = 500;
/** One that came too late again and again is run all the same: it must not go round for ever. */
const MAX_LATE_HAND_OUTS = 3;

/** Tasks of one type that are not run, and how each of them leaves: back to the queue, or reported failed. */
export class TurnAway {
  readonly #config: WorkerConfig;
  readonly #parts: RunnerParts;
  readonly #shared: Shared;
  readonly #loop: { state(): RunnerStatus["state"] };

  constructor(config: WorkerConfig, parts: RunnerParts, loop: { state(): RunnerStatus["state"] }) {
    this.#config = config;
    this.#parts = parts;
    this.#shared = parts.shared;
    this.#loop = loop;
  }

  /** How a task leaves that is not to be run; `undefined` when it is. */
  doorFor(entry: InFlightTask, problem: string | undefined): (() => Promise<void>) | undefined {
    const { task } = entry;
    const { taskDefName } = this.#config;
    const state = this.#loop.state();
    if (state === "draining" || state === "stopped") return () => this.giveBack(entry, "stopping");
    if (state === "paused") return () => this.giveBack(entry, "paused");
    if (problem !== undefined) {
      this.#shared.log.error({ ...entry.ids, problem }, "the server handed out a malformed task");
      return () => this.#report(entry, plainFailure(entry, `the task is malformed: ${problem}`));
    }
    const isOther = (name: unknown) => typeof name === "string" && name !== "" && name !== taskDefName;
    if (isOther(task.taskDefName) && isOther(task.taskType)) {
      this.#shared.log.error(
        { ...entry.ids, taskDefName: clip(task.taskDefName, MAX_NAME_CHARACTERS) },
        "the server handed out a task of another type",
      );
      return () => this.giveBack(entry, "notOurs");
    }
    if (isExternal(task.externalInputPayloadStoragePath)) return () => this.#refuseExternal(entry);
    return undefined;
  }

  /**
   * The same for one that waited until others had computed: its lease may end before its result comes, and somebody else
   * has room, or we later.
   */
  doorForLate(entry: InFlightTask): (() => Promise<void>) | undefined {
    const { responseTimeoutMs } = taskTimes(entry.task, entry.worker.executionTimeoutMs);
    const isLate = this.#shared.clock.now() - entry.receivedAt >= responseTimeoutMs / 2;
    return isLate && entry.task.pollCount <= MAX_LATE_HAND_OUTS ? () => this.giveBack(entry, "surplus") : undefined;
  }

  /** The function would run without its input; who retried it would get it as it is. */
  #refuseExternal(entry: InFlightTask): Promise<void> {
    const { events, log } = this.#shared;
    log.error(entry.ids, "a task's input lies in external payload storage, which this SDK does not read");
    if (events.externalPayloadUsed.isHeard) {
      events.externalPayloadUsed.emit({ ...entry.ids, operation: "READ", payloadType: "TASK_INPUT" });
    }
    const reason = "the task's input lies in external payload storage, which this worker's SDK does not read";
    return this.#report(entry, plainFailure(entry, reason));
  }

  /** Gives back a task that nothing was begun with. */
  giveBack(entry: InFlightTask, reason: GivenBack): Promise<void> {
    if (this.queueTimeoutIsOver(entry)) {
      const why = `the worker could not take the task (${reason}), and its pollTimeoutSeconds have passed`;
      return this.#report(entry, toParcel(entry, { kind: "failed", terminal: false, reason: why }));
    }
    const callbackAfterSeconds = reason === "notOurs" ? NOT_OURS_DELAY_SECONDS : 0;
    return this.send(entry, toHandBack(entry, { callbackAfterSeconds }), reason);
  }

  /** Sends a task back, or reports it failed where it cannot go. `why`: undefined, the function asked for it. */
  send(entry: InFlightTask, wayBack: WayBack, why: GivenBack | undefined): Promise<void> {
    if (wayBack.kind === "failure") {
      const { reasonForIncompletion: reason } = resultOf(wayBack.parcel);
      this.#shared.log.warn({ ...entry.ids, reason }, "a task cannot go back to its queue; it is reported failed");
      return this.#report(entry, wayBack.parcel);
    }
    // Unlike a result it cannot wait in the outbox: repeated late it would take the task away from somebody.
    return this.#parts.handBack.send(entry, { reason: why, body: wayBack.body });
  }

  async #report(entry: InFlightTask, parcel: Parcel): Promise<void> {
    await this.#parts.delivery.deliver(entry, parcel, false);
  }

  /** The task has waited so long that the server would time it out the moment it is back in the queue. */
  queueTimeoutIsOver(entry: InFlightTask): boolean {
    return pollTimeoutIsOver(entry.task, this.#shared.clock.now() - entry.receivedAt);
  }
}

function isExternal(path: unknown): boolean {
  return typeof path === "string" && path !== "";
}
