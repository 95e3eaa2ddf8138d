import { describe, expect, test } from "vitest";
import { createBlockLog } from "../../../src/liveness/block-log.js";

function setUp() {
  const lines: [fields: object, message: string][] = [];
  const state = { now: 0, entered: undefined as string | undefined };
  const tell = createBlockLog({
    clock: { now: () => state.now },
    logger: { warn: (fields, message) => void lines.push([fields, message]) },
    lastEntered: () => state.entered,
  });
  return { tell, lines, state };
}

describe("the log of a blocked event loop", () => {
  test("a block of a second or more is named, with the function that was entered last", () => {
    const { tell, lines, state } = setUp();
    tell(0);
    tell(999);
    expect(lines).toEqual([]);
    tell(1_000);
    state.now += 60_000;
    state.entered = "resize_image";
    tell(10_003.4);
    expect(lines).toEqual([
      [{ blockedMs: 1_000 }, "the event loop was blocked for 1000 ms, or the process was stopped"],
      [
        { blockedMs: 10_003, taskType: "resize_image" },
        "the event loop was blocked for 10003 ms (the function entered last: resize_image), or the process was stopped",
      ],
    ]);
  });

  test("blocks that go on are one line a minute, and a much longer one is told at once", () => {
    const { tell, lines, state } = setUp();
    for (let second = 0; second < 120; second += 2) {
      state.now = second * 1_000;
      tell(1_500);
    }
    expect(lines.map(([fields]) => fields)).toEqual([{ blockedMs: 1_500 }, { blockedMs: 1_500, untold: 29 }]);
    tell(3_000);
    expect(lines).toHaveLength(2);
    tell(3_001);
    expect(lines.at(-1)?.[0]).toEqual({ blockedMs: 3_001, untold: 30 });
  });
});
