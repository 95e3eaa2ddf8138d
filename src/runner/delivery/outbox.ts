import type { Timer } from "../../base/clock.js";
import type { Permit } from "../gate/server-gate.js";
import type { Shared } from "../shared.js";
import type { Shipment } from "./shipment.js";

/** Bounds of the outbox; beyond them no runner polls until it has emptied. */
export interface OutboxLimits {
  readonly maxResults: number;
  readonly maxBytes: number;
}

export const DEFAULT_OUTBOX_LIMITS: OutboxLimits = { maxResults: 1_000, maxBytes: 64 * 1024 * 1024 };

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

  get isFull(): boolean {
    return this.waiting >= this.#limits.maxResults || this.#bytes >= this.#limits.maxBytes;
  }

  /** Whether to take more of what dead processes left. */
  get hasRoomForInherited(): boolean {
    const { maxResults, maxBytes } = this.#limits;
    return this.waiting < maxResults * INHERITED_SHARE && this.#bytes < maxBytes * INHERITED_SHARE;
  }

  has(shipment: Shipment): boolean {
    return this.#shipments.has(shipment);
  }

  add(shipment: Shipment): void {
    this.#shipments.add(shipment);
    this.#bytes += shipment.parcel.body.length;
    this.#pump();
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#shipments.clear();
    this.#bytes = 0;
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
      this.#bytes -= shipment.parcel.body.length;
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
