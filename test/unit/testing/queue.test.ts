import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TaskQueue } from "../../../src/testing/engine/queue.js";

describe("a task queue of the embedded Conductor", () => {
  test("gives the higher priority first, then what has been visible longest", () => {
    const queue = new TaskQueue("q");
    queue.push("low", 1, 0, 10);
    queue.push("high", 5, 10, 10);
    queue.push("high later", 5, 10, 10);
    queue.push("delayed", 9, 50, 10);
    expect(queue.pop(10, 10)).toEqual(["high", "high later", "low"]);
    expect(queue.nextVisibleAt()).toBe(50);
    expect(queue.pop(10, 50)).toEqual(["delayed"]);
  });

  test("has one message for a task: pushing again moves it", () => {
    const queue = new TaskQueue("q");
    queue.push("a", 0, 0, 0);
    queue.push("a", 0, 100, 0);
    expect(queue.size).toBe(1);
    expect(queue.pop(1, 0)).toEqual([]);
    queue.push("a", 0, 0, 0);
    expect(queue.pop(1, 0)).toEqual(["a"]);
    expect(queue.size).toBe(0);
  });

  test("agrees with a sorted list, whatever is pushed, removed and popped", () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("push"), id: fc.nat(9), priority: fc.nat(2), delay: fc.nat(3) }),
      fc.record({ do: fc.constant("remove"), id: fc.nat(9) }),
      fc.record({ do: fc.constant("pop"), count: fc.nat(3), later: fc.nat(2) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new TaskQueue("q");
        let model: { id: string; priority: number; at: number; order: number }[] = [];
        let now = 0;
        steps.forEach((each, order) => {
          if ("delay" in each) {
            const id = String(each.id);
            queue.push(id, each.priority, now + each.delay, now);
            model = [...model.filter((m) => m.id !== id), { id, priority: each.priority, at: now + each.delay, order }];
          } else if ("count" in each) {
            now += each.later;
            const due = model
              .filter(({ at }) => at <= now)
              .sort((a, b) => b.priority - a.priority || a.at - b.at || a.order - b.order)
              .slice(0, each.count);
            expect(queue.pop(each.count, now)).toEqual(due.map(({ id }) => id));
            model = model.filter((m) => !due.includes(m));
          } else {
            queue.remove(String(each.id));
            model = model.filter((m) => m.id !== String(each.id));
          }
          expect(queue.size).toBe(model.length);
        });
      }),
    );
  });
});
