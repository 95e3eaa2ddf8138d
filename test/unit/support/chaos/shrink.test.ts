import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { shrink } from "../../../support/chaos/shrink.js";

/** Fails where all of these are there. */
function needs(needed: readonly number[], bounds: { maxTries?: number; atOnce?: number; isOver?: () => boolean } = {}) {
  const tried: (readonly number[])[] = [];
  return {
    tried,
    options: {
      maxTries: 10_000,
      atOnce: 1,
      isOver: () => false,
      ...bounds,
      firstFailing: async (candidates: readonly (readonly number[])[]) => {
        tried.push(...candidates);
        return candidates.find((candidate) => needed.every((item) => candidate.includes(item)));
      },
    },
  };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe("shrinking a list that fails", () => {
  test("leaves what is needed, whatever that is", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 60 }), fc.array(fc.nat(59), { maxLength: 5 }), async (count, some) => {
        const needed = [...new Set(some)].filter((item) => item < count);
        const { options } = needs(needed);
        const left = await shrink(upTo(count), options);
        // A single item is not left out: a plan with nothing in it shows nothing.
        expect(left).toEqual(needed.length === 0 ? [expect.any(Number)] : needed.toSorted((a, b) => a - b));
      }),
    );
  });

  test("tries fewer lists than there are items where one of many is needed", async () => {
    const { options, tried } = needs([37]);
    expect(await shrink(upTo(64), options)).toEqual([37]);
    expect(tried.length).toBeLessThan(20);
  });

  test("gives the whole list where nothing smaller fails", async () => {
    expect(await shrink(upTo(7), needs(upTo(7)).options)).toEqual(upTo(7));
  });

  test("stops after so many tries, with the smallest that was seen", async () => {
    const { options, tried } = needs([3, 60], { maxTries: 9, atOnce: 4 });
    const left = await shrink(upTo(64), options);
    expect(tried).toHaveLength(9);
    expect(left).toEqual(expect.arrayContaining([3, 60]));
    expect(left.length).toBeLessThan(64);
  });

  test("stops when time is up", async () => {
    const { options, tried } = needs([3], { isOver: () => true });
    expect(await shrink(upTo(8), options)).toEqual(upTo(8));
    expect(tried).toEqual([]);
  });

  test("takes the first that fails of those that are tried at a time", async () => {
    const { options } = needs([], { atOnce: 4 });
    expect(await shrink(upTo(4), options)).toEqual([0]);
  });
});
