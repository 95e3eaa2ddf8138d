import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LinkedList, type Linked } from "../../../src/base/linked-list.js";

interface Item extends Linked<Item> {
  readonly name: number;
}

const item = (name: number): Item => ({ name, previous: undefined, next: undefined });

/** What is done to the item with this number: put in at one of the ends, where it is not in yet, or taken out. */
const step = fc.record({ name: fc.nat(5), act: fc.constantFrom("append", "prepend", "remove") });

describe("the linked list", () => {
  test("whatever comes and goes in whatever order, it holds what an array would hold", () => {
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const items = Array.from({ length: 6 }, (_, name) => item(name));
        const list = new LinkedList<Item>();
        let model: Item[] = [];
        for (const { name, act } of steps) {
          const one = items[name];
          if (one === undefined || (act !== "remove" && model.includes(one))) continue;
          const was = list[act](one);
          if (act === "remove") expect(was).toBe(model.includes(one));
          const others = model.filter((other) => other !== one);
          model = act === "append" ? [...others, one] : act === "prepend" ? [one, ...others] : others;
          expect(list.toArray()).toEqual(model);
          expect(list.first).toBe(model[0]);
        }
      }),
    );
  });

  test("what was removed holds on to nobody", () => {
    const list = new LinkedList<Item>();
    const [first, middle, last] = [item(1), item(2), item(3)];
    for (const one of [first, middle, last]) list.append(one);
    for (const one of [middle, first, last]) {
      list.remove(one);
      expect(one).toEqual(item(one.name));
    }
    expect(list.first).toBeUndefined();
  });
});
