import { describe, expect, test } from "vitest";
import { BOARD_LAYOUT, CELL_OFF, createHeartbeatBoard, LOOP_PHASES } from "../../../src/liveness/board.js";

const { firstCell, wordsPerCell } = BOARD_LAYOUT;
const cellsOf = (buffer: SharedArrayBuffer) =>
  [...new Int32Array(buffer)].slice(firstCell).filter((_word, index) => index % wordsPerCell === BOARD_LAYOUT.counter);
const phasesOf = (buffer: SharedArrayBuffer) =>
  [...new Int32Array(buffer)].slice(firstCell).filter((_word, index) => index % wordsPerCell === BOARD_LAYOUT.phase);

describe("the heartbeat board", () => {
  test("begins with every cell off", () => {
    const board = createHeartbeatBoard(3);
    expect(board.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(cellsOf(board.buffer)).toEqual([CELL_OFF, CELL_OFF, CELL_OFF]);
  });

  test("counts the beats of each loop in its own cell", () => {
    const board = createHeartbeatBoard(3);
    const [a, b] = [board.cell("a"), board.cell("b")];
    a.beat();
    b.beat();
    b.beat();
    expect(cellsOf(board.buffer)).toEqual([1, 2, CELL_OFF]);
  });

  test("turns a cell off when its loop has ended, and gives it to the next", () => {
    const board = createHeartbeatBoard(2);
    const ended = board.cell("a");
    board.cell("b").beat();
    ended.beat();
    ended.release();
    expect(cellsOf(board.buffer)).toEqual([CELL_OFF, 1]);
    const next = board.cell("c");
    next.beat();
    expect(cellsOf(board.buffer)).toEqual([1, 1]);
    // What the ended loop still does must not keep the next one alive, nor turn it off.
    ended.beat();
    ended.release();
    expect(cellsOf(board.buffer)).toEqual([1, 1]);
  });

  test("says what each loop does, and whose function was entered last", () => {
    const board = createHeartbeatBoard(2);
    const [a, b] = [board.cell("a"), board.cell("b")];
    a.phase("full");
    b.phase("draining");
    expect(phasesOf(board.buffer)).toEqual([LOOP_PHASES.indexOf("full"), LOOP_PHASES.indexOf("draining")]);
    const lastEntered = () => new Int32Array(board.buffer)[BOARD_LAYOUT.lastEntered];
    expect(lastEntered()).toBe(-1);
    expect(board.lastEntered).toBeUndefined();
    b.entered();
    expect(lastEntered()).toBe(1);
    expect(board.lastEntered).toBe("b");
    expect(board.names).toEqual(["a", "b"]);
  });

  test("has no more cells than it was made with", () => {
    const board = createHeartbeatBoard(1);
    board.cell("a");
    expect(() => board.cell("b")).toThrow(
      new RangeError("The heartbeat board has no free cell for b: all 1 are taken."),
    );
  });

  test("goes round below zero's line: no count is ever taken for off", () => {
    const board = createHeartbeatBoard(1);
    const counters = new Int32Array(board.buffer);
    const cell = board.cell("a");
    counters[firstCell] = 0x7fff_fffd;
    const seen = Array.from({ length: 4 }, () => {
      cell.beat();
      return counters[firstCell];
    });
    expect(seen).toEqual([0x7fff_fffe, 0, 1, 2]);
  });
});
