import { fdatasync } from "node:fs";

/** A disk that hangs must not hold up a result for longer, in ms. */
const SYNC_BOUND_MS = 5_000;

/** One `fdatasync` for all that was written since the last one began. */
export class GroupSync {
  readonly #fd: number;
  readonly #onEnd: (error: Error | undefined) => void;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(fd: number, onEnd: (error: Error | undefined) => void) {
    this.#fd = fd;
    this.#onEnd = onEnd;
  }

  /** Resolves when all that was written before the call is on the disk, or cannot be brought there in time. */
  sync(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#onEnd(new Error(`fdatasync takes longer than ${SYNC_BOUND_MS} ms`));
        resolve();
      }, SYNC_BOUND_MS);
      void this.#join().then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Calls back when nothing uses the file any more. */
  whenIdle(callback: () => void): void {
    const busy = this.#next ?? this.#running;
    if (busy === undefined) callback();
    else
      void busy.then(() => {
        this.whenIdle(callback);
      });
  }

  /** The one under way may have begun before the last write, so it is waited out. */
  #join(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.#start();
    });
    return this.#next;
  }

  #start(): Promise<void> {
    this.#running = new Promise<void>((resolve) => {
      fdatasync(this.#fd, (error) => {
        this.#running = undefined;
        this.#onEnd(error ?? undefined);
        resolve();
      });
    });
    return this.#running;
  }
}
