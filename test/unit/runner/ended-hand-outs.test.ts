import { describe, expect, test } from "vitest";
import { EndedHandOuts, MAX_TOLD_ENDED } from "../../../src/runner/ended-hand-outs.js";

const handOut = (taskId: string, pollCount: number, updateTime = 1_000) => ({ taskId, pollCount, updateTime });

function remembering(...ended: readonly ReturnType<typeof handOut>[]) {
  const handOuts = new EndedHandOuts();
  for (const each of ended) handOuts.add(each);
  return handOuts;
}

describe("the hand-outs that are over", () => {
  test.each([
    ["the same again", handOut("a", 2), true],
    ["an earlier one of the task", handOut("a", 1, 500), true],
    ["the task handed out anew", handOut("a", 3, 2_000), false],
    ["anew by a server that does not count", handOut("a", 2, 2_000), false],
    ["anew by a server that has begun to count again", handOut("a", 1, 2_000), false],
    ["another task", handOut("b", 2), false],
  ])("%s", (_what, next, isRepeated) => {
    expect(remembering(handOut("a", 2)).isRepeated(next)).toBe(isRepeated);
  });

  test("of a server that tells neither count nor time are believed", () => {
    expect(remembering(handOut("a", 0, 0)).isRepeated(handOut("a", 0, 0))).toBe(false);
  });

  test("are known by the count alone where the server shows what became of them", () => {
    const handOuts = remembering(handOut("a", 2));
    expect(handOuts.has({ taskId: "a", pollCount: 2 })).toBe(true);
    expect(handOuts.has({ taskId: "a", pollCount: 3 })).toBe(false);
    expect(handOuts.has({ taskId: "b", pollCount: 2 })).toBe(false);
  });

  test("are known also where others end between them whose times are no order", () => {
    const handOuts = remembering(handOut("a", 1, 5_000), handOut("b", 1, 1_000), handOut("c", 1, 9_000));
    expect(handOuts.isRepeated(handOut("a", 1, 5_000))).toBe(true);
    expect(handOuts.isRepeated(handOut("b", 1, 1_000))).toBe(true);
    expect(handOuts.isRepeated(handOut("b", 1, 9_000))).toBe(false);
    expect(handOuts.isRepeated(handOut("d", 1, 9_000))).toBe(false);
  });

  test("are known by the last one of each task", () => {
    const handOuts = remembering(handOut("a", 1, 1_000), handOut("b", 1, 1_000), handOut("a", 2, 2_000));
    expect(handOuts.has({ taskId: "a", pollCount: 1 })).toBe(false);
    expect(handOuts.has({ taskId: "a", pollCount: 2 })).toBe(true);
    expect(handOuts.isRepeated(handOut("a", 2, 2_000))).toBe(true);
  });

  test("are told to the next process, the last ones first to be kept", () => {
    const handOuts = remembering(handOut("a", 1), handOut("b", 1), handOut("c", 1));
    expect(handOuts.latest(2)).toEqual([handOut("b", 1), handOut("c", 1)]);
    expect(handOuts.latest(10)).toEqual([handOut("a", 1), handOut("b", 1), handOut("c", 1)]);
    expect(handOuts.latest(0)).toEqual([]);
  });

  test("are told by name as far back as their number allows, in their order", () => {
    const handOuts = remembering();
    const ended = MAX_TOLD_ENDED + 10;
    for (let n = 0; n < ended; n += 1) handOuts.add(handOut(`t${n}`, 1));
    const told = handOuts.latest(Infinity);
    expect(told).toHaveLength(MAX_TOLD_ENDED);
    expect([told[0], told.at(-1)]).toEqual([handOut("t10", 1), handOut(`t${ended - 1}`, 1)]);
    expect(handOuts.latest(1)).toEqual([handOut(`t${ended - 1}`, 1)]);
  });

  test.each([
    ["an id of any length and alphabet", handOut("任务-✓".repeat(300), 1)],
    ["an id with half a surrogate pair", handOut("a\ud83d", 1)],
    ["an id of 64 characters", handOut("x".repeat(64), 1)],
    ["an id of 65 characters", handOut("x".repeat(65), 1)],
    ["an empty id", handOut("", 1)],
    ["a count that no integer holds", handOut("a", 2 ** 40)],
    ["a time with a fraction", handOut("a", 1, 1_000.5)],
  ])("are known by %s", (_what, ended) => {
    const handOuts = remembering(ended);
    expect(handOuts.isRepeated(ended)).toBe(true);
    expect(handOuts.isRepeated({ ...ended, taskId: `${ended.taskId}b` })).toBe(false);
    expect(handOuts.isRepeated({ ...ended, pollCount: ended.pollCount + 1 })).toBe(false);
    expect(handOuts.isRepeated({ ...ended, updateTime: ended.updateTime + 0.25 })).toBe(false);
  });

  test("are the last ten thousand, however long their ids", () => {
    const handOuts = remembering();
    const idOf = (n: number) => `t${n}`.padEnd(n % 3 === 0 ? 100 : 0, "-");
    for (let n = 0; n < 25_000; n += 1) handOuts.add(handOut(idOf(n), 1));
    const known = (from: number, to: number) => {
      let count = 0;
      for (let n = from; n < to; n += 1) if (handOuts.has({ taskId: idOf(n), pollCount: 1 })) count += 1;
      return count;
    };
    expect(known(15_000, 25_000)).toBe(10_000);
    expect(known(0, 15_000)).toBe(0);
  });
});
