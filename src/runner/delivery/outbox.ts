import type { Timer } from "../../base/clock.js";
import { memoryShare } from "../../base/memory-share.js";
import type { Permit } from "../gate/server-gate.js";
import type { Shared } from "../shared.js";
import type { Shipment } from "./shipment.js";

/** Bounds of the outbox; beyond them no runner polls until it has emptied. */
export interface OutboxLimits {
  /** Of those that wait. */
  readonly maxResults: number;
  /** Of all results that there are, those included that are sent for the first time. */
  readonly maxBytes: number;
}

const MAX_RESULTS = 1_000;
/** Less where there is little memory. */
const MAX_BYTES = 64 * 1024 * 1024;

export const defaultOutboxLimits = (): OutboxLimits => ({ maxResults: MAX_RESULTS, maxBytes: memoryShare(MAX_BYTES) });

/** Results that are sent again at the same time. */
const MAX_PARALLEL = 16;
/** Of the outbox, for results of dead processes: those must not keep us from polling. */
const INHERITED_SHARE = 0.5;

/** Results that wait for another attempt: each is sent when it is due, as far as the gate lets it through. */
export class Outbox {
  readonly #shared: Shared;
  readonly #limits: OutboxLimits;
  readonly #send: (shipment: Shipment, permit: Permit) => Promise<void>;
  readonly #onChange: () => void;
  /** In the order of their last attempt. */
  readonly #shipments = new Set<Shipment>();
  /** Of all results that there are: see {@link counted}. */
  #bytes = 0;
  #sending = 0;
  #timer: Timer;

  /** `send` is one attempt; it never rejects. `onChange` is told after each. */
  constructor(
    shared: Shared,
    limits: OutboxLimits,
    send: (shipment: Shipment, permit: Permit) => Promise<void>,
    onChange: () => void,
  ) {
    this.#shared = shared;
    this.#limits = limits;
    this.#send = send;
    this.#onChange = onChange;
    shared.gate.onChange(() => {
      this.#pump();
    });
  }

  /** Results that wait for another attempt, or are in one. */
  get waiting(): number {
    return this.#shipments.size + this.#sending;
  }

  /** While none waits, what is sent is under way in the slots of its tasks, and those are its bound. */
  get isFull(): boolean {
    const { maxResults, maxBytes } = this.#limits;
    return this.waiting >= maxResults || (this.waiting > 0 && this.#bytes >= maxBytes);
  }

  /** Whether to take more of what dead processes left. */
  get hasRoomForInherited(): boolean {
    const { maxResults, maxBytes } = this.#limits;
    if (this.waiting === 0) return true;
    return this.waiting < maxResults * INHERITED_SHARE && this.#bytes < maxBytes * INHERITED_SHARE;
  }

  has(shipment: Shipment): boolean {
    return this.#shipments.has(shipment);
  }

  /** There are so many more bytes of results, or fewer, wherever they are: on their way for the first time, too. */
  counted(bytes: number): void {
    this.#bytes += bytes;
  }

  add(shipment: Shipment): void {
    this.#shipments.add(shipment);
    this.#pump();
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#shipments.clear();
    this.#shared.clock.clearTimer(this.#timer);
  }

  #pump(): void {
    const { clock, gate } = this.#shared;
    clock.clearTimer(this.#timer);
    this.#timer = undefined;
    let nextAt = Infinity;
    const now = clock.now();
    for (const shipment of this.#inTurn()) {
      if (this.#sending >= MAX_PARALLEL) return;
      if (shipment.notBefore > now) {
        nextAt = Math.min(nextAt, shipment.notBefore);
        continue;
      }
      const permit = gate.admit("report", shipment.failures > 0);
      if ("waitMs" in permit) {
        nextAt = Math.min(nextAt, now + permit.waitMs);
        break;
      }
      this.#shipments.delete(shipment);
      this.#sending += 1;
      void this.#sendNow(shipment, permit);
    }
    if (nextAt !== Infinity) {
      this.#timer = clock.setTimer(() => {
        this.#pump();
      }, nextAt - now);
    }
  }

  /** What was not refused yet goes first: what was may be refused for what it is. */
  *#inTurn(): Iterable<Shipment> {
    for (const shipment of this.#shipments) if (shipment.failures === 0) yield shipment;
    for (const shipment of this.#shipments) if (shipment.failures > 0) yield shipment;
  }

  async #sendNow(shipment: Shipment, permit: Permit): Promise<void> {
    try {
      await this.#send(shipment, permit);
    } finally {
      this.#sending -= 1;
      this.#onChange();
      this.#pump();
    }
  }
}
