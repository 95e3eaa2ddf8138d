import { describe, expect, test } from "vitest";
import { Timeline } from "../../../src/testing/engine/timeline.js";
import { HandClock } from "../../support/time/hand-clock.js";

describe("the timeline of the embedded Conductor", () => {
  test("rings alarms when the clock gets there, in order", () => {
    const clock = new HandClock();
    const timeline = new Timeline(clock);
    const rung: string[] = [];
    const start = timeline.now();
    timeline.setAlarm(start + 20, () => rung.push("b"));
    timeline.setAlarm(start + 10, () => rung.push("a"));
    timeline.setAlarm(start + 20, () => rung.push("c"));
    clock.turn(10);
    expect(rung).toEqual(["a"]);
    clock.turn(10);
    expect(rung).toEqual(["a", "b", "c"]);
  });

  test("advances: what falls due on the way happens at its own time, also what is set on the way", () => {
    const timeline = new Timeline(new HandClock());
    const start = timeline.now();
    const rung: number[] = [];
    const again = (now: number): void => {
      expect(timeline.now()).toBe(now);
      rung.push(now - start);
      if (rung.length < 3) timeline.setAlarm(now + 100, again);
    };
    timeline.setAlarm(start + 100, again);
    timeline.advance(1000);
    expect(rung).toEqual([100, 200, 300]);
    expect(timeline.now() - start).toBe(1000);
  });

  test("rings what is set after it was advanced past the alarm that was armed", () => {
    const clock = new HandClock();
    const timeline = new Timeline(clock);
    const rung: string[] = [];
    timeline.setAlarm(timeline.now() + 60_000, () => rung.push("passed"));
    timeline.advance(61_000);
    timeline.setAlarm(timeline.now() + 100, () => rung.push("next"));
    clock.turn(100);
    expect(rung).toEqual(["passed", "next"]);
  });

  test("forgets cleared alarms, moves moved ones, and rings nothing after close", () => {
    const clock = new HandClock();
    const timeline = new Timeline(clock);
    const start = timeline.now();
    const rung: string[] = [];
    timeline.clearAlarm(timeline.setAlarm(start + 10, () => rung.push("cleared")));
    timeline.moveAlarm(
      timeline.setAlarm(start + 10, () => rung.push("moved")),
      start + 50,
    );
    clock.turn(49);
    expect(rung).toEqual([]);
    clock.turn(1);
    expect(rung).toEqual(["moved"]);
    timeline.setAlarm(start + 60, () => rung.push("after close"));
    timeline.close();
    clock.turn(100);
    expect(rung).toEqual(["moved"]);
    expect(clock.timers).toBe(0);
  });
});
