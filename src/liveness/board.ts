/**
 * The heartbeat board: one 32-bit counter for each loop, in shared memory, so that a watchdog thread can read it while
 * the main thread is stuck. A beat is one atomic add (under 10 ns) and needs no clock.
 */
export interface HeartbeatBoard {
  readonly buffer: SharedArrayBuffer;
  /** Takes a free cell for a loop. Throws `RangeError` when none is left. */
  cell(name: string): HeartbeatCell;
}

export interface HeartbeatCell {
  /** Called once by every iteration of the loop, and by nothing else. */
  beat(): void;
  /** The loop has ended on purpose; its silence means nothing from now on. */
  release(): void;
}

/** The value of a cell that no loop owns. Counters wrap below it. */
export const CELL_OFF = -1;
const MAX_BEATS = 0x7fff_fffe;

export function createHeartbeatBoard(capacity: number): HeartbeatBoard {
  const buffer = new SharedArrayBuffer(capacity * Int32Array.BYTES_PER_ELEMENT);
  const counters = new Int32Array(buffer).fill(CELL_OFF);

  return {
    buffer,
    cell(name) {
      const index = counters.indexOf(CELL_OFF);
      if (index < 0)
        throw new RangeError(`The heartbeat board has no free cell for ${name}: all ${capacity} are taken.`);
      Atomics.store(counters, index, 0);
      let released = false;
      return {
        beat() {
          if (!released && Atomics.add(counters, index, 1) >= MAX_BEATS) Atomics.store(counters, index, 0);
        },
        release() {
          if (released) return;
          released = true;
          Atomics.store(counters, index, CELL_OFF);
        },
      };
    },
  };
}
