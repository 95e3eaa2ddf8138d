import type { Clock } from "../../base/clock.js";

/** So much may be read at once, in bytes, */
const MAX_BYTES = 64 * 1024 * 1024;
/** and so much more with each second, in bytes. */
const BYTES_PER_SECOND = 512 * 1024;

/**
 * What all searches of a process may read together. A search reads whole tasks, of everybody; what a lost answer costs
 * must not grow with them.
 */
export class ByteAllowance {
  readonly #clock: Pick<Clock, "now">;
  #bytes = MAX_BYTES;
  #at: number;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#at = clock.now();
  }

  get bytes(): number {
    const now = this.#clock.now();
    this.#bytes = Math.min(MAX_BYTES, this.#bytes + ((now - this.#at) / 1000) * BYTES_PER_SECOND);
    this.#at = now;
    return this.#bytes;
  }

  spend(bytes: number): void {
    this.#bytes = Math.max(0, this.bytes - bytes);
  }
}
