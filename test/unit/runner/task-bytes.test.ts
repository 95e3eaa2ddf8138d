import { describe, expect, test } from "vitest";
import { learnTaskBytes, tasksWithin } from "../../../src/runner/task-bytes.js";

describe("the bytes of a task", () => {
  test("are learned from an answer; one without tasks tells nothing", () => {
    expect(learnTaskBytes(0, { tasks: 4, bytes: 8_000 })).toBe(2_000);
    expect(learnTaskBytes(2_000, { tasks: 0, bytes: 2 })).toBe(2_000);
  });

  test("go up at once, and down by half with each answer", () => {
    expect(learnTaskBytes(2_000, { tasks: 1, bytes: 500_000 })).toBe(500_000);
    expect(learnTaskBytes(500_000, { tasks: 1, bytes: 2_000 })).toBe(250_000);
    expect(learnTaskBytes(3_000, { tasks: 1, bytes: 2_000 })).toBe(2_000);
  });

  test("say how many fit: one at least, and any number while nothing is known", () => {
    expect(tasksWithin(1_000, 300)).toBe(3);
    expect(tasksWithin(1_000, 5_000)).toBe(1);
    expect(tasksWithin(1_000, 0)).toBe(Infinity);
  });
});
