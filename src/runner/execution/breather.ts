// Not the global: a test may have replaced that.
import { setImmediate } from "node:timers";

/** What functions may compute, all together, before the event loop has to turn, in ms. */
const MAX_COMPUTED_MS = 10;

/**
 * Lets the event loop turn between functions that compute. Those that a poll brought are entered one right after the
 * other: until the last of them had ended no result was sent, no lease extended and no loop would beat.
 */
export class Breather {
  #computedMs = 0;
  #turn: Promise<void> | undefined;

  /** A function has held the event loop for so long. */
  computed(ms: number): void {
    this.#computedMs += ms;
    if (this.#computedMs < MAX_COMPUTED_MS || this.#turn !== undefined) return;
    this.#turn = new Promise((resolve) => {
      setImmediate(() => {
        this.#computedMs = 0;
        this.#turn = undefined;
        resolve();
      });
    });
  }

  /** What a function has to wait for before it is entered. Ask again after that: another one was first, perhaps. */
  get turn(): Promise<void> | undefined {
    return this.#turn;
  }
}
