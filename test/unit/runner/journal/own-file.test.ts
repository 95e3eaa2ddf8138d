import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ConfigurationError } from "../../../../src/base/errors.js";
import { inOneFile } from "../../../support/process/in-one-file.js";
import { startProcess } from "../../../support/process/process-harness.js";
import {
  keep,
  liveIn,
  liveTasks,
  onlyFile,
  openJournal,
  parcelOf,
  scanBytes,
  temporaryFolder,
} from "../../../support/unit/journal.js";
import { entryOf } from "../../../support/unit/runner.js";

const isRoot = process.geteuid?.() === 0;
if (!isRoot) console.warn("NOT RUN: a journal's folder that may not be written to needs root");
const isPosix = process.platform !== "win32";

describe("the journal's own file", () => {
  describe("the journal of this process", () => {
    test.runIf(isPosix)("is readable by its owner only, and so is a folder that it made", () => {
      const dir = path.join(temporaryFolder(), "deep", "journal");
      openJournal(dir);
      expect((statSync(dir).mode & 0o777).toString(8)).toBe("700");
      expect((statSync(onlyFile(dir)).mode & 0o777).toString(8)).toBe("600");
    });

    test("says whose it is, and nothing of the tasks", () => {
      const dir = temporaryFolder();
      openJournal(dir, { workerIds: ["a", "b", "a"] });
      const { header } = scanBytes(readFileSync(onlyFile(dir)));
      expect(header).toMatchObject({ format: 1, workerIds: ["a", "b"], pid: process.pid });
      expect(Object.keys(header!).sort()).toEqual(
        ["format", "version", "workerIds", "pid", "host", "bootId", "pidNamespace", "startTime"].sort(),
      );
    });

    test("has a result when keep() returns, with the hand-out that it answers", () => {
      const dir = temporaryFolder();
      const { journal } = openJournal(dir);
      const parcel = parcelOf("a", { n: 1 });
      const kept = journal.keep(entryOf({ taskId: "a", pollCount: 3, retryCount: 2 }, { workerId: "me" }), parcel);
      expect(kept).toMatchObject({ isOnDisk: true, synced: undefined });
      const bytes = readFileSync(onlyFile(dir));
      const [place] = scanBytes(bytes).live.values();
      expect(place!.meta).toEqual({
        n: 1,
        taskType: "t",
        taskId: "a",
        workflowInstanceId: "wf-1",
        workerId: "me",
        pollCount: 3,
        retryCount: 2,
      });
      expect(bytes.toString("utf8", place!.offset, place!.offset + place!.length)).toContain(String(parcel.body));
    });

    test.each([
      ["dead", "dead"],
      [7, "me"],
    ])("has the owner that the server shows, who may have died (workerId %j)", (workerId, owner) => {
      const dir = temporaryFolder();
      const entry = entryOf({ taskId: "a", pollCount: 1, workerId: workerId as string }, { workerId: "me" });
      openJournal(dir).journal.keep(entry, parcelOf("a", {}));
      const [place] = scanBytes(readFileSync(onlyFile(dir))).live.values();
      expect(place!.meta.workerId).toBe(owner);
    });

    test("has it no more when it is settled; a second time changes nothing", () => {
      const dir = temporaryFolder();
      const { journal } = openJournal(dir);
      const a = keep(journal, "a");
      keep(journal, "b");
      a.settle();
      expect(liveIn(dir)).toEqual(["b"]);
      const { size } = statSync(onlyFile(dir));
      a.settle();
      expect(statSync(onlyFile(dir)).size).toBe(size);
    });

    test("goes when nothing is left in it", () => {
      const dir = temporaryFolder();
      const { journal } = openJournal(dir);
      keep(journal, "a").settle();
      journal.close();
      expect(readdirSync(dir)).toEqual([]);
    });

    test("stays when something is left in it", () => {
      const dir = temporaryFolder();
      const { journal } = openJournal(dir);
      keep(journal, "a");
      journal.close();
      expect(liveIn(dir)).toEqual(["a"]);
    });

    test("with fsync: a result is synced, many at once by few calls", async () => {
      const dir = temporaryFolder();
      const { journal } = openJournal(dir, { fsync: true });
      const kept = Array.from({ length: 50 }, (_, n) => keep(journal, `t${n}`));
      expect(kept.every(({ synced }) => synced !== undefined)).toBe(true);
      for (const { synced } of kept) await synced;
      expect(liveIn(dir)).toHaveLength(50);
    });
  });

  describe("compaction", () => {
    const compaction = { minBytes: 20_000, deadShare: 0.5 };

    test("keeps the file small and every live result in it", () => {
      const dir = temporaryFolder();
      const { journal, lines } = openJournal(dir, { compaction });
      const text = "x".repeat(500);
      const held = [keep(journal, "first", { text })];
      let compactions = 0;
      let largest = 0;
      let before = 0;
      for (let n = 0; n < 500; n += 1) {
        const kept = keep(journal, `t${n}`, { text });
        if (n % 50 === 0) held.push(kept);
        else kept.settle();
        const { size } = statSync(onlyFile(dir));
        if (size < before) compactions += 1;
        largest = Math.max(largest, size);
        before = size;
      }
      expect(liveIn(dir)).toEqual(["first", ...Array.from({ length: 10 }, (_, i) => `t${i * 50}`)]);
      expect(largest).toBeLessThan(22_000);
      expect(compactions).toBeGreaterThan(5);
      for (const kept of held) kept.settle();
      expect(liveIn(dir)).toEqual([]);
      expect(lines.filter((line) => !line.startsWith("info"))).toEqual([]);
      expect((statSync(onlyFile(dir)).mode & 0o777).toString(8)).toBe(isPosix ? "600" : "666");
    });

    test("is not needed where nothing is live: the file is cut back", () => {
      const dir = temporaryFolder();
      const { journal } = openJournal(dir);
      const { size, ino } = statSync(onlyFile(dir));
      keep(journal, "a", { text: "x".repeat(300_000) }).settle();
      expect(statSync(onlyFile(dir))).toMatchObject({ size, ino });
      keep(journal, "b");
      expect(liveIn(dir)).toEqual(["b"]);
    });

    test("that fails leaves the file as it was, and is said once", () => {
      const dir = temporaryFolder();
      const { journal, lines } = openJournal(dir, { compaction });
      // Nobody can create a file of that name.
      mkdirSync(path.join(dir, path.basename(onlyFile(dir)).replace(".journal", ".new")));
      keep(journal, "a");
      for (let n = 0; n < 100; n += 1) keep(journal, `t${n}`, { text: "x".repeat(500) }).settle();
      const file = readdirSync(dir).find((name) => name.endsWith(".journal"))!;
      expect([...scanBytes(readFileSync(path.join(dir, file))).live.values()].map(({ meta }) => meta.taskId)).toEqual([
        "a",
      ]);
      expect(lines.filter((line) => line.startsWith("warn"))).toEqual([
        "warn compacting the journal failed; it grows for now",
      ]);
      rmSync(path.join(dir, file.replace(".journal", ".new")), { recursive: true, force: true });
    });
  });

  describe("trouble with the folder", () => {
    test("removed meanwhile: a new file in a new folder has all that is live, and it is said once", async () => {
      const dir = path.join(temporaryFolder(), "journal");
      const { journal, clock, lines } = openJournal(dir);
      const a = keep(journal, "a");
      rmSync(dir, { recursive: true });
      keep(journal, "b");
      await clock.advanceAsync(5_000);
      expect(liveIn(dir)).toEqual(["a", "b"]);
      a.settle();
      keep(journal, "c");
      expect(liveIn(dir)).toEqual(["b", "c"]);
      expect(lines.filter((line) => line.startsWith("warn"))).toEqual([
        "warn the journal was removed or taken over; writing a new one",
      ]);
    });

    test("a file that somebody cut is written anew, with all that is live", async () => {
      const dir = temporaryFolder();
      const { journal, clock } = openJournal(dir);
      const file = onlyFile(dir);
      keep(journal, "a");
      truncateSync(file);
      keep(journal, "b");
      await clock.advanceAsync(5_000);
      const others = readdirSync(dir).filter((name) => name !== path.basename(file));
      expect(others.map((name) => liveTasks(readFileSync(path.join(dir, name))))).toEqual([["a", "b"]]);
    });

    test("a path through a file is refused at start", () => {
      const file = path.join(temporaryFolder(), "file");
      writeFileSync(file, "");
      for (const dir of [file, path.join(file, "below")]) {
        expect(() => openJournal(dir)).toThrow(ConfigurationError);
        expect(() => openJournal(dir)).toThrow(/journal cannot be kept in .*file.* must be a folder/);
      }
    });

    test.runIf(isRoot)(
      "a folder that may not be written to is refused at start, and a strange one is pointed at",
      async () => {
        const dir = temporaryFolder();
        chmodSync(dir, 0o755);
        const child = startProcess({
          source: inOneFile(`
        import { TaskHandler, defineWorker } from "ostinato";
        const worker = defineWorker({ taskDefName: "work", execute: () => ({}) });
        const handler = new TaskHandler({ workers: [worker], journal: { dir: ${JSON.stringify(dir)} } });
        process.setgid(65534);
        process.setuid(65534);
        await handler.start().then(() => console.log("started"), (error) => console.log(error.name + ": " + error.message));
        process.exit();`),
        });
        const [line] = await child.waitForLine(/ConfigurationError.*|started/);
        expect(line).toMatch(/^ConfigurationError: .*EACCES.*must be a folder that this process may create files in/);
        await child.waitForExit();

        chmodSync(dir, 0o777);
        expect(openJournal(dir).lines).toContain("warn others may write to the journal's folder; make it 0700");
      },
    );

    /** A real file system of 64 KiB. */
    function tinyDisk(): string {
      const dir = temporaryFolder();
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", dir], { stdio: "ignore" });
      onTestFinished(() => {
        execFileSync("umount", ["-l", dir]);
      });
      return dir;
    }
    const mayMount = canMount();
    if (!mayMount) console.warn("NOT RUN: a full disk under a journal needs the right to mount a tmpfs");

    test.runIf(mayMount)(
      "full: results are in memory only, which is said once, and written when there is room",
      async () => {
        const dir = tinyDisk();
        const { journal, clock, lines } = openJournal(dir);
        const text = "x".repeat(9_000);
        const kept = Array.from({ length: 10 }, (_, n) => keep(journal, `t${n}`, { text }));
        const onDisk = kept.filter(({ isOnDisk }) => isOnDisk).length;
        expect(onDisk).toBeGreaterThan(3);
        expect(onDisk).toBeLessThan(8);
        // What was half-written is gone: the next line is whole.
        expect(scanBytes(readFileSync(onlyFile(dir)))).toMatchObject({ damagedLines: 0 });
        expect(liveIn(dir)).toHaveLength(onDisk);
        await clock.advanceAsync(20_000);
        expect(lines.filter((line) => line.startsWith("warn"))).toHaveLength(1);
        expect(lines.join("\n")).toContain(
          "warn writing a result to the journal failed; until that works it is only in memory",
        );

        // All on disk have left, but on a full disk not even that can be written down.
        for (const each of kept.slice(0, onDisk)) each.settle();
        await clock.advanceAsync(5_000);
        expect(liveIn(dir)).toEqual(kept.slice(onDisk).map((_, i) => `t${onDisk + i}`));
        expect(kept.slice(onDisk).every(({ isOnDisk }) => isOnDisk)).toBe(true);
        expect(lines.at(-1)).toMatch(/^info writing the journal: works again/);
      },
    );

    test.runIf(mayMount)("full from the start: the worker starts, and writes when there is room", async () => {
      const dir = tinyDisk();
      const ballast = path.join(dir, "ballast");
      try {
        writeFileSync(ballast, "x".repeat(200_000));
      } catch {
        // That is the point.
      }
      const { journal, clock, lines } = openJournal(dir);
      expect(keep(journal, "a").isOnDisk).toBe(false);
      expect(lines).toContain("warn creating the journal failed; until that works results are only in memory");
      rmSync(ballast);
      await clock.advanceAsync(5_000);
      expect(liveIn(dir)).toEqual(["a"]);
    });
  });
});

function canMount(): boolean {
  if (!isRoot || process.platform !== "linux") return false;
  try {
    execFileSync("unshare", ["-m", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
