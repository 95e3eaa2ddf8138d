/**
 * The heartbeat board: one 32-bit counter for each loop, in shared memory, so that a watchdog thread can read it while
 * the main thread is stuck. A beat is one atomic add (under 10 ns) and needs no clock.
 *
 * Layout, in 32-bit words: the cell whose function was entered last (or -1), then for each cell its counter and its
 * phase.
 */
export interface HeartbeatBoard {
  readonly buffer: SharedArrayBuffer;
  /** The names of the cells taken so far, by index. */
  readonly names: readonly string[];
  /** The name of the cell whose function was entered last; undefined before the first. Only reads. */
  readonly lastEntered: string | undefined;
  /** Takes a free cell for a loop. Throws `RangeError` when none is left. */
  cell(name: string): HeartbeatCell;
}

export interface HeartbeatCell {
  /** Called once by every iteration of the loop, and by nothing else. */
  beat(): void;
  /** What the loop does from now on. */
  phase(phase: LoopPhase): void;
  /** A user's function of this loop is entered. */
  entered(): void;
  /** The loop has ended on purpose; its silence means nothing from now on. */
  release(): void;
}

/** What a poll loop does. */
export type LoopPhase =
  /** It has not iterated yet. */
  | "starting"
  /** A poll is out. */
  | "polling"
  /** It could poll and waits: it backs off from a server that fails, or leaves the watch to others. */
  | "waiting"
  /** Every slot is taken. */
  | "full"
  /** So many finished results wait for delivery that nothing is polled. */
  | "outboxFull"
  /** It was told not to poll. */
  | "paused"
  /** It polls no more; tasks that run may finish. */
  | "draining";

/** The phases in the order of their numbers on the board. */
export const LOOP_PHASES = [
  "starting",
  "polling",
  "waiting",
  "full",
  "outboxFull",
  "paused",
  "draining",
] as const satisfies readonly LoopPhase[];

/** The value of a cell that no loop owns. Counters wrap below it. */
export const CELL_OFF = -1;
const MAX_BEATS = 0x7fff_fffe;

/** Where a cell's words are: the watchdog thread reads them by these numbers. */
export const BOARD_LAYOUT = { lastEntered: 0, firstCell: 1, wordsPerCell: 2, counter: 0, phase: 1 } as const;

export function createHeartbeatBoard(capacity: number): HeartbeatBoard {
  const { lastEntered, firstCell, wordsPerCell } = BOARD_LAYOUT;
  const buffer = new SharedArrayBuffer((firstCell + capacity * wordsPerCell) * Int32Array.BYTES_PER_ELEMENT);
  const words = new Int32Array(buffer).fill(CELL_OFF);
  const names: string[] = [];

  return {
    buffer,
    names,
    get lastEntered() {
      return names[Atomics.load(words, lastEntered)];
    },
    cell(name) {
      let index = 0;
      while (index < capacity && words[firstCell + index * wordsPerCell] !== CELL_OFF) index += 1;
      if (index === capacity)
        throw new RangeError(`The heartbeat board has no free cell for ${name}: all ${capacity} are taken.`);
      const counter = firstCell + index * wordsPerCell + BOARD_LAYOUT.counter;
      const phase = firstCell + index * wordsPerCell + BOARD_LAYOUT.phase;
      names[index] = name;
      Atomics.store(words, counter, 0);
      Atomics.store(words, phase, 0);
      let released = false;
      return {
        beat() {
          if (!released && Atomics.add(words, counter, 1) >= MAX_BEATS) Atomics.store(words, counter, 0);
        },
        phase(now) {
          if (!released) Atomics.store(words, phase, LOOP_PHASES.indexOf(now));
        },
        entered() {
          Atomics.store(words, lastEntered, index);
        },
        release() {
          if (released) return;
          released = true;
          Atomics.store(words, counter, CELL_OFF);
        },
      };
    },
  };
}
