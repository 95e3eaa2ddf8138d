import { runInThisContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BOARD_LAYOUT, CELL_OFF, createHeartbeatBoard } from "../../../src/liveness/board.js";
import { JUDGE_SOURCE } from "../../../src/liveness/thread/judge-source.js";

interface Verdict {
  readonly stalledMs: number;
  readonly cells: readonly number[];
  readonly overLimit: readonly number[];
}
interface Judge {
  tick(gapMs: number, tickMs: number): Verdict | null;
  hasRecovered(verdict: Verdict): boolean;
  reset(): void;
}
// The text that the thread runs.
const { createJudge, tickMsFor } = runInThisContext(
  `(() => { ${JUDGE_SOURCE}; return { createJudge, tickMsFor }; })()`,
) as {
  createJudge: (words: Int32Array, layout: typeof BOARD_LAYOUT, off: number, stallMs: number) => Judge;
  tickMsFor: (stallMs: number) => number;
};

const TICK_MS = 100;
const STALL_MS = 1_000;
function setUp(names: readonly string[] = ["a"]) {
  const board = createHeartbeatBoard(names.length);
  const cells = names.map((name) => board.cell(name));
  const words = new Int32Array(board.buffer);
  return { cells, words, judge: createJudge(words, BOARD_LAYOUT, CELL_OFF, STALL_MS) };
}
/** How many ticks until the verdict; undefined: none within `max`. */
function ticksToVerdict(judge: Judge, gapMs = TICK_MS, max = 100): number | undefined {
  for (let ticks = 1; ticks <= max; ticks += 1) if (judge.tick(gapMs, TICK_MS) !== null) return ticks;
  return undefined;
}

describe("the judge of the watchdog", () => {
  test("looks twenty times within the limit, but not too seldom and not too often", () => {
    expect([100, 1_300, 10_000, 300_000].map(tickMsFor)).toEqual([50, 65, 500, 1_000]);
  });

  test("finds a loop that does not beat stuck when the limit is reached, and not before", () => {
    const { judge, cells } = setUp();
    cells[0]!.beat();
    expect(judge.tick(TICK_MS, TICK_MS), "the first look knows only that it has beaten").toBeNull();
    for (let passed = 100; passed < STALL_MS; passed += 100) expect(judge.tick(TICK_MS, TICK_MS)).toBeNull();
    expect(judge.tick(TICK_MS, TICK_MS)).toEqual({ stalledMs: STALL_MS, cells: [0], overLimit: [0] });
  });

  test("starts anew at each beat", () => {
    const { judge, cells } = setUp();
    for (let tick = 0; tick < 100; tick += 1) {
      if (tick % 9 === 0) cells[0]!.beat();
      expect(judge.tick(TICK_MS, TICK_MS)).toBeNull();
    }
  });

  test("names every loop that has been still for more than half the limit, the longest first", () => {
    const { judge, cells } = setUp(["a", "b", "c", "d"]);
    judge.tick(TICK_MS, TICK_MS);
    let verdict: Verdict | null = null;
    for (let tick = 0; verdict === null; tick += 1) {
      cells[1]!.beat();
      if (tick < 3) cells[2]!.beat();
      if (tick < 7) cells[3]!.beat();
      verdict = judge.tick(TICK_MS, TICK_MS);
    }
    expect(verdict).toEqual({ stalledMs: STALL_MS, cells: [0, 2], overLimit: [0] });
  });

  test("ignores cells that nobody has taken, or that were released", () => {
    const { judge, cells } = setUp(["a", "b"]);
    cells[0]!.release();
    cells[1]!.release();
    expect(ticksToVerdict(judge)).toBeUndefined();
  });

  test("counts a gap of any length as a tick and a half: SIGSTOP, a machine that slept", () => {
    const { judge, cells } = setUp();
    cells[0]!.beat();
    judge.tick(TICK_MS, TICK_MS);
    for (let pauses = 0; pauses < 6; pauses += 1) expect(judge.tick(3_600_000, TICK_MS)).toBeNull();
    expect(judge.tick(3_600_000, TICK_MS)?.stalledMs).toBe(1_050);
  });

  test("takes a clock that went back for one that stood still", () => {
    const { judge } = setUp();
    judge.tick(TICK_MS, TICK_MS);
    for (let tick = 0; tick < 50; tick += 1) expect(judge.tick(-1_000, TICK_MS)).toBeNull();
  });

  test("sees a beat also where the counter goes round", () => {
    const { judge, cells, words } = setUp();
    words[BOARD_LAYOUT.firstCell] = 0x7fff_fffd;
    for (let tick = 0; tick < 40; tick += 1) {
      if (tick % 9 === 0) cells[0]!.beat();
      expect(judge.tick(TICK_MS, TICK_MS)).toBeNull();
    }
    expect(words[BOARD_LAYOUT.firstCell]).toBeLessThan(10);
  });

  test("takes a stall back when every loop over the limit goes on", () => {
    const { judge, cells } = setUp(["a", "b"]);
    let verdict: Verdict | null = null;
    while (verdict === null) verdict = judge.tick(TICK_MS, TICK_MS);
    expect(judge.hasRecovered(verdict)).toBe(false);
    cells[0]!.beat();
    expect(judge.hasRecovered(verdict), "the other one has not").toBe(false);
    cells[1]!.release();
    expect(judge.hasRecovered(verdict)).toBe(true);
    expect(ticksToVerdict(judge)).toBe(11);
  });

  test("starts counting anew when it is told that somebody debugs the process", () => {
    const { judge } = setUp();
    expect(ticksToVerdict(judge)).toBe(11);
    judge.reset();
    expect(ticksToVerdict(judge)).toBe(10);
  });

  test("never finds fault where each loop beats within the limit by the judge's own ticks, whatever the clock does", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ gapMs: fc.double({ min: -10, max: 1e7, noNaN: true }), beats: fc.boolean() }), {
          maxLength: 200,
        }),
        (steps) => {
          const { judge, cells } = setUp();
          let silent = 0;
          for (const { gapMs, beats } of steps) {
            // 6 ticks of 1.5 are below the limit.
            if (beats || silent >= 5) {
              cells[0]!.beat();
              silent = 0;
            } else silent += 1;
            if (judge.tick(gapMs, TICK_MS) !== null) return false;
          }
          return true;
        },
      ),
    );
  });

  test("always finds a loop that is still, within the limit and a tick, when the ticks are in time", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: TICK_MS, max: 1.5 * TICK_MS, noNaN: true }), { minLength: 20 }), (gaps) => {
        const { judge } = setUp();
        judge.tick(TICK_MS, TICK_MS);
        let passedMs = 0;
        for (const gapMs of gaps) {
          passedMs += gapMs;
          const isFound = judge.tick(gapMs, TICK_MS) !== null;
          if (isFound !== passedMs >= STALL_MS) return false;
          if (isFound) return true;
        }
        return false;
      }),
    );
  });
});
