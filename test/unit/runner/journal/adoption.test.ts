import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { describe, expect, test, vi } from "vitest";
import { systemClock } from "../../../../src/base/clock.js";
import { Folder } from "../../../../src/runner/journal/folder.js";
import { encodeHeader, encodeResult, encodeSettled, END_LINE } from "../../../../src/runner/journal/format.js";
import { Journal } from "../../../../src/runner/journal/journal.js";
import type { DeadOwner } from "../../../../src/runner/journal/keeper.js";
import { factsOfThisProcess } from "../../../../src/runner/journal/owner.js";
import { JournalScan } from "../../../../src/runner/journal/scan.js";
import { silentLogger } from "../../../support/log/loggers.js";
import { inOneFile } from "../../../support/process/in-one-file.js";
import { startProcess } from "../../../support/process/process-harness.js";
import {
  headerOf,
  journalBytes,
  keep,
  liveTasks,
  MemorySink,
  metaOf,
  openJournal,
  temporaryFolder,
} from "../../../support/unit/journal.js";

const isRoot = process.geteuid?.() === 0;
if (!isRoot) console.warn("NOT RUN: journals of another user need root");
const DEAD = "4999999-00000000dead.journal";
const here = factsOfThisProcess();
const elsewhere = { pidNamespace: "pid:[1]", host: "another" };

function folderWith(bytes: Buffer, name = DEAD) {
  const dir = temporaryFolder();
  writeFileSync(path.join(dir, name), bytes);
  return dir;
}

/** Starts a journal in `dir` that takes over what it finds. */
function adopt(dir: string, options: Parameters<typeof openJournal>[1] = {}, room = Infinity) {
  const sink = new MemorySink();
  sink.room = room;
  const opened = openJournal(dir, options);
  opened.journal.adoptInto(sink);
  return { ...opened, sink };
}

const names = (dir: string) => readdirSync(dir).sort();
const settleAll = (sink: MemorySink) => {
  for (const { kept } of sink.taken) kept.settle();
};

describe("adopting journals", () => {
  describe("the journal of a dead process", () => {
    test("is taken over: each result that has not left, with its own workerId and bytes", () => {
      const owners: DeadOwner[] = [];
      const { sink } = adopt(folderWith(journalBytes(headerOf(), 3, [2])), {
        onAdopted: (owner) => void owners.push(owner),
      });
      expect(
        sink.taken.map(({ entry, parcel }) => [entry.ids, entry.worker.workerId, entry.task.pollCount, parcel]),
      ).toEqual(
        [1, 3].map((n) => {
          const taskId = `task-${n}`;
          const result = { taskId, workflowInstanceId: "wf-1", workerId: "w", status: "COMPLETED", outputData: { n } };
          const ids = { taskType: "t", taskId, workflowInstanceId: "wf-1" };
          return [ids, "old", 1, { status: "COMPLETED", body: Buffer.from(JSON.stringify(result)) }];
        }),
      );
      const ended = [1, 2, 3].map((n) => ({ taskId: `task-${n}`, pollCount: 1, updateTime: Number.MAX_SAFE_INTEGER }));
      expect(owners).toEqual([{ workerIds: ["old"], pid: 4_999_999, host: here.host, isCertain: true, ended }]);
    });

    test("is removed when the last result has left, and not before", async () => {
      const dir = folderWith(journalBytes(headerOf(), 2));
      const { sink, journal } = adopt(dir);
      const neighbour = new Journal({ dir, fsync: false, workerIds: ["n"], clock: systemClock, log: silentLogger });
      const seen = () => Promise.all([journal, neighbour].map(async (each) => [...(await each.finishedElsewhere())]));
      expect(await seen()).toEqual([
        ["task-1 1", "task-2 1"],
        ["task-1 1", "task-2 1"],
      ]);
      sink.taken[0]!.kept.settle();
      expect(await seen()).toEqual([["task-2 1"], ["task-2 1"]]);
      neighbour.close();
      const claimed = names(dir).find((name) => name.endsWith(".claimed"))!;
      expect(liveTasks(readFileSync(path.join(dir, claimed)))).toEqual(["task-2"]);
      sink.taken[1]!.kept.settle();
      expect(names(dir)).toHaveLength(1);
      journal.close();
      expect(names(dir)).toEqual([]);
    });

    test("with nothing left in it is removed", () => {
      const dir = folderWith(journalBytes(headerOf(), 1, [1]));
      const { sink } = adopt(dir);
      expect(sink.taken).toEqual([]);
      expect(names(dir)).toHaveLength(1);
    });

    test("that is large is looked through in slices, and what it had is delivered at the end", async () => {
      const RESULTS = 12;
      const lines = [encodeHeader(headerOf())];
      const body = Buffer.from(JSON.stringify({ text: "x".repeat(1024 * 1024) }));
      for (let n = 1; n <= RESULTS; n += 1) lines.push(encodeResult(metaOf(n), body));
      const dir = folderWith(Buffer.concat([...lines, encodeSettled(1)]));
      const owners: DeadOwner[] = [];
      const { sink, clock, journal } = adopt(dir, { onAdopted: (owner) => void owners.push(owner) });
      // Whose it is is known at once, and what has left is not before its end.
      expect(owners).toHaveLength(1);
      expect(sink.taken).toEqual([]);
      let turns = 0;
      for (; sink.taken.length === 0 && turns < 100; turns += 1) clock.advance(1);
      expect(turns).toBeGreaterThan(0);
      expect(sink.taskIds).toEqual(Array.from({ length: RESULTS - 1 }, (_, i) => `task-${i + 2}`));
      const seen = journal.finishedElsewhere();
      for (let i = 0; i < 100; i += 1) await clock.advanceAsync(1);
      expect((await seen).size).toBe(RESULTS - 1);
      settleAll(sink);
      expect(names(dir)).toHaveLength(1);
    });

    test("that is being looked through when this process stops is left to the next one", async () => {
      const filler = Buffer.from(JSON.stringify({ text: "x".repeat(9 * 1024 * 1024) }));
      const dir = folderWith(Buffer.concat([encodeHeader(headerOf()), encodeResult(metaOf(1), filler)]));
      const first = adopt(dir);
      first.journal.close();
      first.clock.advance(1_000);
      expect(first.sink.taken).toEqual([]);
      const next = adopt(dir);
      await next.clock.advanceAsync(1_000);
      expect(next.sink.taskIds).toEqual(["task-1"]);
    });

    test("whose slices cannot be read for a while is read on later", async () => {
      const filler = Buffer.from(JSON.stringify({ text: "x".repeat(9 * 1024 * 1024) }));
      const dir = folderWith(Buffer.concat([encodeHeader(headerOf()), encodeResult(metaOf(1), filler)]));
      const { sink, clock, lines } = adopt(dir);
      const broken = vi.spyOn(JournalScan.prototype, "readOn").mockImplementation(() => {
        throw new Error("EIO: i/o error, read");
      });
      await clock.advanceAsync(12_000);
      broken.mockRestore();
      expect(sink.taken).toEqual([]);
      expect(lines.filter((line) => line.includes("reading a journal failed"))).toHaveLength(1);
      await clock.advanceAsync(6_000);
      expect(sink.taskIds).toEqual(["task-1"]);
    });

    test("has what its owner still owed a search for, also where no result is left in it", () => {
      const dir = temporaryFolder();
      const owed = [{ taskType: "t", domain: "d", workerId: "w", isUnique: true, leftNothing: true }];
      const { journal } = openJournal(dir);
      keep(journal, "delivered").settle();
      journal.close(owed);
      expect(names(dir)).toHaveLength(1);
      const owners: DeadOwner[] = [];
      const next = adopt(dir, { onAdopted: (owner) => void owners.push(owner) });
      expect(owners).toMatchObject([{ workerIds: ["w"], isCertain: true, owed }]);
      expect(next.sink.taken).toEqual([]);
      expect(names(dir)).toHaveLength(1);
      next.journal.close();
      expect(names(dir)).toEqual([]);
    });

    test("has what is owed beside its results", () => {
      const dir = temporaryFolder();
      const owed = [{ taskType: "t", domain: undefined, workerId: "w", isUnique: true, leftNothing: false }];
      const { journal } = openJournal(dir);
      keep(journal, "left");
      journal.close(owed);
      const owners: DeadOwner[] = [];
      const { sink } = adopt(dir, { onAdopted: (owner) => void owners.push(owner) });
      expect(sink.taskIds).toEqual(["left"]);
      expect(owners[0]?.owed).toMatchObject([{ taskType: "t", workerId: "w", leftNothing: false }]);
    });

    test.each([
      ["not before that has ended", true, 0],
      ["not at all where this process stopped before", false, 1],
    ])("is removed when all that its owner had is found, and %s", async (_when, isDone, filesLeft) => {
      const dir = folderWith(journalBytes(headerOf(), 1));
      let end: (isDone: boolean) => void = () => undefined;
      const search = new Promise<boolean>((resolve) => (end = resolve));
      const { sink, journal, clock } = adopt(dir, { onAdopted: () => search });
      settleAll(sink);
      await clock.advanceAsync(60_000);
      expect(names(dir)).toHaveLength(2);
      end(isDone);
      await clock.advanceAsync(1);
      journal.close();
      expect(names(dir)).toHaveLength(filesLeft);
    });

    test("is handed over as there is room", async () => {
      const dir = folderWith(journalBytes(headerOf(), 5));
      const { sink, clock } = adopt(dir, {}, 2);
      expect(sink.taskIds).toEqual(["task-1", "task-2"]);
      sink.room = 3;
      sink.taken[0]!.kept.settle();
      expect(sink.taskIds).toEqual(["task-1", "task-2", "task-3"]);
      // Room that somebody else has made is found at the next look.
      sink.room = 5;
      await clock.advanceAsync(5_000);
      expect(sink.taskIds).toHaveLength(5);
      settleAll(sink);
      expect(names(dir)).toHaveLength(1);
    });

    test("for another server keeps what ours does not know, for a worker there, and is not taken again", async () => {
      const dir = folderWith(journalBytes(headerOf({ server: "http://theirs/api" }), 2));
      const { sink, clock, lines } = adopt(dir, { server: "http://ours/api" });
      sink.taken[0]!.kept.leave!();
      sink.taken[1]!.kept.settle();
      expect(names(dir)).toContain(DEAD);
      expect(liveTasks(readFileSync(path.join(dir, DEAD)))).toEqual(["task-1"]);
      await clock.advanceAsync(60_000);
      expect(sink.taken).toHaveLength(2);
      expect(lines.filter((line) => line.includes("is for another server"))).toHaveLength(1);

      const there = adopt(dir, { server: "http://theirs/api" });
      expect(there.sink.taskIds).toEqual(["task-1"]);
      // Who never heard of it there says so for good.
      expect(there.sink.taken[0]!.kept.leave).toBeUndefined();
    });

    test("that cannot be opened at once is tried again", async () => {
      const dir = folderWith(journalBytes(headerOf(), 2));
      const spy = vi.spyOn(Folder.prototype, "open").mockImplementation((name) => {
        if (name.endsWith(".journal")) return openSync(path.join(dir, name), "r+");
        throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
      });
      const { sink, clock } = adopt(dir);
      expect(names(dir).some((name) => name.endsWith(".claimed"))).toBe(true);
      await clock.advanceAsync(60_000);
      spy.mockRestore();
      expect(sink.taken).toEqual([]);
      await clock.advanceAsync(60_000);
      expect(sink.taskIds).toEqual(["task-1", "task-2"]);
      settleAll(sink);
      expect(names(dir)).toHaveLength(1);
    });

    test("that cannot be read for a while loses nothing", async () => {
      const dir = folderWith(journalBytes(headerOf(), 2));
      const opened: number[] = [];
      const spy = vi.spyOn(Folder.prototype, "open").mockImplementation((name) => {
        opened.push(openSync(path.join(dir, name), "r+"));
        return opened.at(-1)!;
      });
      const lines: string[] = [];
      const log = { ...silentLogger, error: (_: object, message: string) => lines.push(message) };
      const { sink, clock } = adopt(dir, { log }, 0);
      spy.mockRestore();
      const [fd] = opened;
      closeSync(fd!);
      sink.room = 5;
      await clock.advanceAsync(20_000);
      expect(sink.taken).toEqual([]);
      expect(lines).toEqual(["reading a journal failed; trying again"]);
      // The lowest number that is free.
      const claimed = names(dir).find((name) => name.endsWith(".claimed"))!;
      expect(openSync(path.join(dir, claimed), "r+")).toBe(fd);
      await clock.advanceAsync(10_000);
      expect(sink.taskIds).toEqual(["task-1", "task-2"]);
      settleAll(sink);
    });

    test("that its new owner leaves in turn is taken over by the next, without what has left meanwhile", () => {
      const dir = folderWith(journalBytes(headerOf(), 3));
      const first = adopt(dir);
      keep(first.journal, "own");
      first.sink.taken[1]!.kept.settle();
      first.journal.close();
      const second = adopt(dir);
      expect(second.sink.taskIds.sort()).toEqual(["own", "task-1", "task-3"]);
      settleAll(second.sink);
      expect(names(dir)).toHaveLength(1);
    });

    test("is damaged in places: the rest is delivered, and it is said once", () => {
      const bytes = journalBytes(headerOf(), 3);
      bytes[bytes.indexOf("task-2")] = 0x58;
      const { sink, lines } = adopt(folderWith(bytes.subarray(0, -30)));
      expect(sink.taskIds).toEqual(["task-1"]);
      expect(lines.filter((line) => line.startsWith("warn"))).toEqual([
        "warn a journal is damaged in places; what is left of it is delivered",
      ]);
    });

    test("goes on being written to (its owner had only been taken for dead): nothing is removed with it", () => {
      const dir = folderWith(journalBytes(headerOf(), 1));
      const { sink } = adopt(dir);
      const claimed = path.join(
        dir,
        names(dir).find((name) => name.endsWith(".claimed"))!,
      );
      const late = journalBytes(headerOf(), 2);
      writeFileSync(claimed, late.subarray(late.indexOf("\np ", late.indexOf("\np ") + 3) + 1), { flag: "a" });
      sink.taken[0]!.kept.settle();
      expect(sink.taskIds).toEqual(["task-1", "task-2"]);
      settleAll(sink);
      expect(existsSync(claimed)).toBe(false);
    });
  });

  describe("a journal is left alone", () => {
    test.each([
      ["of a living process", journalBytes(headerOf(here), 1), []],
      ["of a living process, seen for minutes", journalBytes(headerOf(here), 1), []],
      [
        "of another format",
        journalBytes(headerOf({ format: 2 }), 1),
        ["warn a journal is left alone: its format is 2 and not 1; its own version reads it"],
      ],
    ])("%s", async (_what, bytes, warnings) => {
      const dir = folderWith(bytes);
      const { sink, clock, lines } = adopt(dir);
      await clock.advanceAsync(300_000);
      expect(sink.taken).toEqual([]);
      expect(names(dir)).toContain(DEAD);
      expect(readFileSync(path.join(dir, DEAD)).equals(bytes)).toBe(true);
      expect(lines.filter((line) => line.startsWith("warn"))).toEqual(warnings);
    });

    test.runIf(isRoot)("of another user", () => {
      const dir = folderWith(journalBytes(headerOf(), 1));
      chownSync(path.join(dir, DEAD), 65534, 65534);
      const { sink, lines } = adopt(dir);
      expect(sink.taken).toEqual([]);
      expect(lines).toContain("warn a journal is left alone: it belongs to another user");
    });

    test.runIf(isRoot)("that may not be read", async () => {
      const dir = folderWith(journalBytes(headerOf(), 1));
      chownSync(dir, 65534, 65534);
      const child = startProcess({
        source: inOneFile(`
        import { TaskHandler, defineWorker } from "ostinato";
        const worker = defineWorker({ taskDefName: "work", execute: () => ({}) });
        const options = { serverUrl: "http://127.0.0.1:1", workers: [worker], journal: { dir: ${JSON.stringify(dir)} } };
        const handler = new TaskHandler(options);
        process.setgid(65534);
        process.setuid(65534);
        (await import("node:fs")).chmodSync(options.journal.dir, 0o700);
        await handler.start();
        await handler.stop();
        console.log("stopped well");`),
      });
      // Owned by root and readable by all is not ours either; here it is not even that.
      (await import("node:fs")).chmodSync(path.join(dir, DEAD), 0o600);
      await child.waitForLine(/a journal is left alone: it cannot be opened/);
      await child.waitForLine(/stopped well/);
      expect(names(dir)).toEqual([DEAD]);
    });

    test("that is a link, or a folder", () => {
      const dir = temporaryFolder();
      const target = path.join(dir, "target");
      writeFileSync(target, journalBytes(headerOf(), 1));
      symlinkSync(target, path.join(dir, DEAD));
      mkdirSync(path.join(dir, "4999999-00000000beef.journal"));
      const { sink, lines } = adopt(dir);
      expect(sink.taken).toEqual([]);
      expect(lines.filter((line) => line.startsWith("warn"))).toHaveLength(2);
      expect(existsSync(target)).toBe(true);
    });

    test("files of other names", () => {
      const dir = folderWith(journalBytes(headerOf(), 1), "notes.journal");
      adopt(dir).journal.close();
      expect(names(dir)).toEqual(["notes.journal"]);
    });
  });

  describe("an owner that cannot be looked up", () => {
    test.each([
      ["in another container", journalBytes(headerOf(elsewhere), 1)],
      ["whose header is damaged", Buffer.from(journalBytes(headerOf(), 1)).fill("x", 20, 25)],
    ])("(%s) is dead when it has not touched its file for 30 s", async (_what, bytes) => {
      const { sink, clock } = adopt(folderWith(bytes));
      await clock.advanceAsync(29_000);
      expect(sink.taken).toEqual([]);
      await clock.advanceAsync(11_000);
      expect(sink.taskIds).toEqual(["task-1"]);
    });

    test("is not while it touches it, whatever its clock says", async () => {
      const dir = folderWith(journalBytes(headerOf(elsewhere), 1));
      const { sink, clock } = adopt(dir);
      for (let i = 0; i < 30; i += 1) {
        utimesSync(path.join(dir, DEAD), 1_000 + i, 1_000 + i);
        await clock.advanceAsync(5_000);
      }
      expect(sink.taken).toEqual([]);
    });

    test("touches it: two that cannot see each other leave each other alone", async () => {
      const dir = temporaryFolder();
      const one = adopt(dir, { self: { ...here, pidNamespace: "pid:[1]", pid: 1 } });
      const other = adopt(dir, { self: { ...here, pidNamespace: "pid:[2]", pid: 1 } });
      keep(one.journal, "a");
      keep(other.journal, "b");
      for (let i = 0; i < 60; i += 1) {
        // In real time between two tendings the file's time moves on; here it does in between.
        await new Promise((resolve) => setTimeout(resolve, 2));
        await one.clock.advanceAsync(5_000);
        await other.clock.advanceAsync(5_000);
      }
      expect([...one.sink.taken, ...other.sink.taken]).toEqual([]);
    });

    test("need not be when it has said that it is done", () => {
      const bytes = Buffer.concat([journalBytes(headerOf(elsewhere), 1), END_LINE]);
      expect(adopt(folderWith(bytes)).sink.taskIds).toEqual(["task-1"]);
    });

    test("and was taken for dead writes all that is live into a new file", async () => {
      const dir = temporaryFolder();
      const slow = adopt(dir, { self: { ...here, pidNamespace: "pid:[1]", pid: 1 } });
      keep(slow.journal, "a");
      const quick = adopt(dir, { self: { ...here, pidNamespace: "pid:[2]", pid: 1 } });
      await quick.clock.advanceAsync(40_000);
      expect(quick.sink.taskIds).toEqual(["a"]);
      await slow.clock.advanceAsync(5_000);
      settleAll(quick.sink);
      expect(names(dir)).toHaveLength(2);
      slow.journal.close();
      await quick.clock.advanceAsync(10_000);
      expect(quick.sink.taskIds).toEqual(["a", "a"]);
    });
  });

  describe("a claim", () => {
    const claimedBy = (claimer: string) => `4999999-00000000dead~${claimer}.claimed`;

    test("of a living process is respected", async () => {
      const dir = folderWith(journalBytes(headerOf(), 1), claimedBy("1-00000000a11e"));
      writeFileSync(path.join(dir, "1-00000000a11e.journal"), journalBytes(headerOf(here), 0));
      const { sink, clock } = adopt(dir);
      await clock.advanceAsync(300_000);
      expect(sink.taken).toEqual([]);
      expect(names(dir)).toContain(claimedBy("1-00000000a11e"));
    });

    test("of a dead process is taken over, and what that one had of its own", () => {
      const dir = folderWith(journalBytes(headerOf(), 1), claimedBy("4999998-00000000dea2"));
      writeFileSync(path.join(dir, "4999998-00000000dea2.journal"), journalBytes(headerOf(), 2, [1]));
      expect(adopt(dir).sink.taskIds.sort()).toEqual(["task-1", "task-2"]);
    });

    test("whose process has left no journal is taken over", () => {
      const dir = folderWith(journalBytes(headerOf(), 1), claimedBy("1-00000000a11e"));
      expect(adopt(dir).sink.taskIds).toEqual(["task-1"]);
    });
  });
});
