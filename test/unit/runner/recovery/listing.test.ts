import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Reply } from "../../../../src/conductor/reply.js";
import type { PageRequest, PendingPage } from "../../../../src/conductor/task-api.js";
import type { Task } from "../../../../src/conductor/types.js";
import { ByteAllowance } from "../../../../src/runner/recovery/byte-allowance.js";
import { PendingListing } from "../../../../src/runner/recovery/listing.js";
import { makeTask } from "../../../support/servers/conductor-stub.js";
import { tooLarge } from "../../../support/servers/model-server.js";
import { FakeClock } from "../../../support/time/fake-clock.js";
import { refused } from "../../../support/unit/runner.js";

const MIB = 1024 * 1024;

/** A listing over tasks of so many bytes each, and what was asked for. */
function listingOf(sizes: readonly number[], answer?: (page: PageRequest) => Reply<PendingPage> | "away" | undefined) {
  const clock = new FakeClock();
  const allowance = new ByteAllowance(clock);
  const pages: PageRequest[] = [];
  let bytesRead = 0;
  let entries = sizes.map((bytes, n) => ({ task: makeTask({ taskId: `task-${n}` }), bytes }));
  const listing = new PendingListing((page) => {
    pages.push(page);
    const given = answer?.(page);
    if (given !== undefined) return Promise.resolve(given);
    const listed = entries.slice(page.start, page.start + page.count);
    const bytes = listed.reduce((sum, entry) => sum + entry.bytes, 2);
    bytesRead += Math.min(bytes, page.maxBodyBytes);
    if (bytes > page.maxBodyBytes) return Promise.resolve(tooLarge("/admin/task/{taskType}"));
    const tasks = listed.map(({ task }) => task);
    return Promise.resolve({ kind: "answered", value: { tasks, listed: tasks.length }, bytes });
  }, allowance);
  const read = async (backlog = sizes.length) => {
    const seen: Task[] = [];
    const end = await listing.read(backlog, (task) => seen.push(task));
    return { end, seen: seen.map(({ taskId }) => taskId) };
  };
  return {
    clock,
    allowance,
    pages,
    read,
    bytesRead: () => bytesRead,
    drop: (n: number) => (entries = entries.slice(n)),
  };
}

const all = (count: number) => Array.from({ length: count }, (_, n) => `task-${n}`);

describe("the listing of unfinished tasks", () => {
  test("of small tasks is one page, in which nothing can move", async () => {
    const { read, pages } = listingOf(Array<number>(1_500).fill(2_400));
    expect(await read()).toEqual({ end: { kind: "whole" }, seen: all(1_500) });
    expect(pages).toEqual([{ start: 0, count: 2_000, maxBodyBytes: 4 * MIB }]);
  });

  test("of large tasks is read in pages that fit, each task once", async () => {
    const { read, pages, bytesRead } = listingOf(Array<number>(200).fill(200_000));
    expect(await read()).toEqual({ end: { kind: "whole" }, seen: all(200) });
    expect(pages.length).toBeLessThanOrEqual(32);
    expect(bytesRead()).toBeLessThan(2 * 200 * 200_000);
  });

  test("knows from the last time how large the tasks are", async () => {
    const { read, pages } = listingOf(Array<number>(20).fill(400_000));
    await read();
    const before = pages.length;
    pages.length = 0;
    expect((await read()).seen).toEqual(all(20));
    expect(pages.length).toBeLessThan(before);
    expect(pages[0]?.count).toBe(5);
  });

  test("of more than may be read is not begun, but for what tells that", async () => {
    const { read, pages, bytesRead } = listingOf(Array<number>(1_500).fill(200_000));
    expect((await read()).end).toEqual({ kind: "tooMuch" });
    expect(bytesRead()).toBeLessThan(16 * MIB);
    pages.length = 0;
    expect((await read()).end).toEqual({ kind: "tooMuch" });
    expect(pages).toEqual([]);
  });

  test("that is more than may be read now can be read later", async () => {
    const { read, clock, allowance } = listingOf(Array<number>(100).fill(100_000));
    allowance.spend(60 * MIB);
    expect((await read()).end).toEqual({ kind: "tooMuch" });
    clock.advance(60_000);
    expect(await read()).toEqual({ end: { kind: "whole" }, seen: all(100) });
  });

  test("of tasks that are larger than there can be is given up", async () => {
    const { read, bytesRead } = listingOf([30 * MIB]);
    expect((await read(0)).end).toEqual({ kind: "tooLarge" });
    expect(bytesRead()).toBeLessThan(40 * MIB);
  });

  test("that moves while it is read says so: something may have slipped through", async () => {
    const listing = listingOf(Array<number>(40).fill(500_000), ({ start }) => {
      if (start > 0 && listing.pages.length === 5) listing.drop(4);
      return undefined;
    });
    expect((await listing.read()).end).toEqual({ kind: "patchy" });
  });

  test.each<[string, (page: PageRequest) => PageRequest]>([
    ["start", (page) => ({ ...page, start: 0 })],
    ["count", (page) => ({ ...page, count: 2_000 })],
    ["start or count", (page) => ({ ...page, start: 0, count: 2_000 })],
  ])("of a server that does not heed %s ends, within its bounds", async (_what, heeded) => {
    const sizes = Array<number>(300).fill(100_000);
    let bytesRead = 0;
    const { read, pages } = listingOf(sizes, (page) => {
      const { start, count, maxBodyBytes } = heeded(page);
      const listed = sizes.slice(start, start + count);
      const bytes = listed.length * 100_000;
      bytesRead += Math.min(bytes, maxBodyBytes);
      if (bytes > maxBodyBytes) return tooLarge("/admin/task/{taskType}");
      const tasks = listed.map((_, n) => makeTask({ taskId: `task-${start + n}` }));
      return { kind: "answered", value: { tasks, listed: tasks.length }, bytes };
    });
    expect((await read()).end.kind).not.toBe("whole");
    expect(pages.length).toBeLessThanOrEqual(32);
    expect(bytesRead).toBeLessThanOrEqual(64 * MIB);
  });

  test.each([refused(403), "away" as const])("ends with the page that does not come: %j", async (failure) => {
    const { read, pages } = listingOf([1], () => failure);
    expect((await read()).end).toEqual({ kind: "failed", failure });
    expect(pages).toHaveLength(1);
  });

  test("whatever the sizes: it reads no more than it may, sees no task twice, and all of them where it says so", async () => {
    const size = fc.oneof(fc.integer({ min: 100, max: 5_000 }), fc.integer({ min: 100, max: 20 * MIB }));
    await fc.assert(
      fc.asyncProperty(fc.array(size, { maxLength: 60 }), async (sizes) => {
        const { read, pages, bytesRead } = listingOf(sizes);
        const { end, seen } = await read();
        expect(new Set(seen).size).toBe(seen.length);
        if (end.kind === "whole") expect(seen).toEqual(all(sizes.length));
        expect(pages.length).toBeLessThanOrEqual(32);
        expect(bytesRead()).toBeLessThanOrEqual(64 * MIB);
        for (const { maxBodyBytes } of pages) expect(maxBodyBytes).toBeLessThanOrEqual(16 * MIB);
      }),
    );
  });
});
