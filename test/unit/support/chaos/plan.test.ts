import { describe, expect, test } from "vitest";
import { ANSWERS, answerNamed } from "../../../support/chaos/answers.js";
import {
  CHAOS_MS,
  describeItem,
  placesOf,
  planOf,
  planWith,
  REQUEST_KINDS,
  tagsOf,
  type Item,
} from "../../../support/chaos/plan.js";

const SEEDS = Array.from({ length: 400 }, (_, n) => n + 1);
const itemsOf = (seed: number, without?: readonly string[]): Item[] =>
  planOf(seed, without).items.filter((item) => item !== undefined);
const all = SEEDS.flatMap((seed) => itemsOf(seed));

describe("the plan of a seed", () => {
  test("is always the same, and another one for another seed", () => {
    expect(planOf(17)).toEqual(planOf(17));
    expect(planOf(17)).not.toEqual(planOf(18));
  });

  test("has, over some hundred seeds, everything that there is", () => {
    const tags = new Set(all.flatMap(tagsOf));
    for (const tag of [
      "single",
      "window",
      "path",
      "type",
      "delay",
      "cut",
      "half",
      "hang",
      "repeat",
      "before",
      "after",
    ]) {
      expect(tags, tag).toContain(tag);
    }
    for (const tag of ["tasks", "pause", "concurrency", "restart", "kill", "expiry"]) expect(tags, tag).toContain(tag);
    for (const tag of REQUEST_KINDS) expect(tags, tag).toContain(tag);
    expect([...ANSWERS.keys()].filter((name) => !tags.has(name))).toEqual([]);
    const plans = SEEDS.map((seed) => planOf(seed));
    expect(new Set(plans.map(({ queue }) => queue)).size).toBe(3);
    expect(new Set(plans.map(({ hasJournal }) => hasJournal)).size).toBe(2);
  });

  test("has tasks, and ends in time", () => {
    for (const seed of SEEDS) expect(itemsOf(seed).some(({ kind }) => kind === "tasks")).toBe(true);
    for (const item of all) {
      if ("atMs" in item) expect(item.atMs).toBeLessThanOrEqual(CHAOS_MS);
      else if (item.where.scope !== "single") expect(item.where.toMs).toBeLessThanOrEqual(CHAOS_MS);
    }
  });

  test("says nothing in the server's stead that would be taken for its acknowledgement", () => {
    for (const item of all) {
      if (item.kind !== "fault" || item.what.name !== "answer" || answerNamed(item.what.answer).status !== 204)
        continue;
      const kinds = item.where.scope === "single" ? [item.where.kind] : item.where.kinds;
      expect(kinds, describeItem(item)).toBeDefined();
      expect(kinds, describeItem(item)).not.toContain("v2");
      expect(kinds, describeItem(item)).not.toContain("poll");
    }
  });

  test("kills only a process of its own, which has a journal", () => {
    for (const seed of SEEDS) {
      const { hasOwnProcess, hasJournal } = planOf(seed);
      if (itemsOf(seed).some(({ kind }) => kind === "kill"))
        expect({ hasOwnProcess, hasJournal }).toEqual({ hasOwnProcess: true, hasJournal: true });
    }
  });

  test("stays as it is but for what is left out by a tag, or by several that an item must all have", () => {
    for (const seed of SEEDS) {
      const whole = planOf(seed);
      const less = planOf(seed, ["restart", "poll+after"]);
      whole.items.forEach((item, place) => {
        const tags = tagsOf(item!);
        const isLeftOut = tags.includes("restart") || (tags.includes("poll") && tags.includes("after"));
        expect(less.items[place]).toEqual(isLeftOut ? undefined : item);
      });
    }
  });

  test("keeps the items that are asked for in their places", () => {
    const plan = planOf(3);
    const less = planWith(plan, [0, 4]);
    expect(placesOf(less)).toEqual([0, 4]);
    expect(less.items[4]).toEqual(plan.items[4]);
    expect(less.items).toHaveLength(plan.items.length);
  });
});

describe("the answers in the server's stead", () => {
  test("are Conductor's own only where its body says whether to try again", () => {
    for (const { speaker, body } of ANSWERS.values()) {
      expect(speaker === "conductor").toBe(body.includes('"retryable"'));
    }
  });

  test("have a body but for 204 and those that are meant to be empty", () => {
    for (const [name, { body }] of ANSWERS) expect(body === "", name).toBe(name.startsWith("empty "));
  });
});
