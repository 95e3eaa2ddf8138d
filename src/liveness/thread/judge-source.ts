/**
 * Thread source: decides from the board alone whether a loop is stuck. Pure but for what it remembers; time comes in as
 * the gap between two ticks.
 */
export const JUDGE_SOURCE = String.raw`
/**
 * @typedef {{ lastEntered: number, firstCell: number, wordsPerCell: number, counter: number, phase: number }} Layout
 * @typedef {{ stalledMs: number, cells: number[], overLimit: number[] }} StuckLoops
 */

/** How often to look, in ms: often enough to be exact to a twentieth, seldom enough to cost nothing. */
function tickMsFor(/** @type {number} */ stallMs) {
  return Math.min(Math.max(stallMs / 20, 50), 1000);
}

/**
 * @param {Int32Array} words the board
 * @param {Layout} layout
 * @param {number} off the value of a counter that no loop owns
 * @param {number} stallMs
 */
function createJudge(words, layout, off, stallMs) {
  const size = Math.floor((words.length - layout.firstCell) / layout.wordsPerCell);
  const last = new Int32Array(size).fill(off);
  const staleMs = new Float64Array(size);
  const counterOf = (/** @type {number} */ cell) =>
    Atomics.load(words, layout.firstCell + cell * layout.wordsPerCell + layout.counter);
  return {
    /**
     * One tick. A late one counts as one and a half at most: when the process was stopped or the machine slept, the
     * loops did not have that time either.
     * @returns {StuckLoops | null} null: nothing is stuck
     */
    tick(/** @type {number} */ gapMs, /** @type {number} */ tickMs) {
      const passedMs = Math.min(Math.max(gapMs, 0), 1.5 * tickMs);
      let stalledMs = 0;
      for (let cell = 0; cell < size; cell += 1) {
        const count = counterOf(cell);
        if (count === off || count !== last[cell]) {
          last[cell] = count;
          staleMs[cell] = 0;
        } else {
          staleMs[cell] += passedMs;
          stalledMs = Math.max(stalledMs, staleMs[cell]);
        }
      }
      if (stalledMs < stallMs) return null;
      const all = Array.from(staleMs.keys());
      // A loop that is well iterates at least every quarter of the limit.
      const cells = all.filter((cell) => staleMs[cell] >= stallMs / 2).sort((a, b) => staleMs[b] - staleMs[a]);
      return { stalledMs, cells, overLimit: all.filter((cell) => staleMs[cell] >= stallMs) };
    },
    /** Whether every loop that was over the limit has beaten, or ended, since the last tick. */
    hasRecovered(/** @type {StuckLoops} */ verdict) {
      return verdict.overLimit.every((cell) => counterOf(cell) !== last[cell]);
    },
    /** Starts counting anew. */
    reset() {
      staleMs.fill(0);
    },
  };
}
`;
