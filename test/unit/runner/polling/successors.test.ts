import { describe, expect, test } from "vitest";
import { Successors } from "../../../../src/runner/polling/successors.js";

/** `steps` workflows in which `next` follows `taskType` after `delayMs`. */
function teach(successors: Successors, taskType: string, next: string, times: number, delayMs = 10): void {
  for (let i = 0; i < times; i += 1) {
    const workflowId = `${taskType}-${next}-${i}`;
    successors.acknowledged(workflowId, taskType, i * 1_000);
    successors.arrived(workflowId, next, i * 1_000 + delayMs);
  }
}

describe("the successors of a task type", () => {
  test("what usually comes next is worth a look", () => {
    const successors = new Successors();
    teach(successors, "a", "b", 3);
    expect(successors.acknowledged("w", "a", 10_000)).toEqual(["b"]);
    expect(successors.acknowledged("w", "b", 10_000)).toEqual([]);
  });

  test("once is no habit, and what comes much later does not follow", () => {
    const successors = new Successors();
    teach(successors, "a", "b", 1);
    expect(successors.acknowledged("w", "a", 10_000)).toEqual([]);
    teach(successors, "c", "d", 10, 2_500);
    expect(successors.acknowledged("w", "c", 50_000)).toEqual([]);
  });

  test("what comes seldom is not looked for", () => {
    const successors = new Successors();
    teach(successors, "a", "b", 2);
    for (let i = 0; i < 20; i += 1) successors.acknowledged(`w${i}`, "a", 10_000);
    expect(successors.acknowledged("w", "a", 10_000)).toEqual([]);
  });

  test("looks that find nothing are given up, and looks that pay go on", () => {
    const successors = new Successors();
    teach(successors, "a", "b", 10);
    for (let i = 0; i < 10; i += 1) successors.followed("a", "b", i === 0);
    expect(successors.acknowledged("w", "a", 20_000)).toEqual([]);
    for (let i = 0; i < 5; i += 1) successors.followed("a", "b", true);
    expect(successors.acknowledged("w", "a", 20_000)).toEqual(["b"]);
  });

  test("what changes is learned again", () => {
    const successors = new Successors();
    teach(successors, "a", "b", 200);
    teach(successors, "a", "c", 400);
    expect(successors.acknowledged("w", "a", 1e9)).toEqual(["c"]);
  });

  test("memory is bounded, however many workflows there are", () => {
    const successors = new Successors();
    for (let i = 0; i < 10_000; i += 1) successors.acknowledged(`w${i}`, "a", i);
    successors.arrived("w0", "b", 10_000);
    successors.arrived("w1", "b", 10_000);
    successors.arrived("w2", "b", 10_000);
    expect(successors.acknowledged("w", "a", 10_000)).toEqual([]);
  });
});
