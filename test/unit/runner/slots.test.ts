import { describe, expect, test } from "vitest";
import { Slots } from "../../../src/runner/slots.js";
import { settle } from "../../support/time/fake-clock.js";

function work() {
  let end = (): void => undefined;
  const promise = new Promise<void>((resolve) => (end = resolve));
  return { run: () => promise, end };
}

describe("the slots", () => {
  test("a slot is taken at once, and free again when the work settles", async () => {
    const slots = new Slots(2);
    const one = work();
    const running = slots.run(one.run);
    expect([slots.used, slots.free]).toEqual([1, 1]);
    one.end();
    await running;
    expect([slots.used, slots.free]).toEqual([0, 2]);
  });

  test("reserved slots are not free", () => {
    const slots = new Slots(3);
    slots.reserve(2);
    expect([slots.used, slots.free]).toEqual([0, 1]);
    slots.release(2);
    expect(slots.free).toBe(3);
  });

  test("concurrency that is lowered takes effect for new work; free never falls below zero", async () => {
    const slots = new Slots(3);
    const works = [work(), work(), work()];
    const running = works.map((one) => slots.run(one.run));
    await settle();
    slots.concurrency = 1;
    expect({ used: slots.used, free: slots.free, isOver: slots.isOver }).toEqual({ used: 3, free: 0, isOver: true });
    works[0]!.end();
    works[1]!.end();
    await Promise.all(running.slice(0, 2));
    expect({ free: slots.free, isOver: slots.isOver }).toEqual({ free: 0, isOver: false });
    works[2]!.end();
    await running[2];
    expect(slots.free).toBe(1);
  });

  test("concurrency that is raised is there at once", () => {
    const slots = new Slots(1);
    void slots.run(work().run);
    slots.concurrency = 4;
    expect(slots.free).toBe(3);
  });
});
