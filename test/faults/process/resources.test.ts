import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect } from "vitest";
import {
  CYCLING_WORKER,
  HOLDINGS_MARK,
  type CyclingSettings,
  type Holdings,
} from "../../support/faults/cycling-worker.js";
import { fault, type FaultRun } from "../../support/faults/fault.js";
import { sleep } from "../../support/faults/helpers.js";
import { misbehaving } from "../../support/faults/misbehaving-worker.js";
import { startProcessWorld } from "../../support/faults/process-world.js";
import { startTcpProxy } from "../../support/network/tcp-proxy.js";
import { waitFor } from "../../support/time/wait-for.js";

const group = "Process";
const CYCLES = 200;

function temporaryFolder(run: FaultRun): string {
  const folder = mkdtempSync(path.join(tmpdir(), "ostinato-fault-"));
  run.onEnd(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

describe.concurrent("resources", () => {
  fault(
    {
      number: 36,
      group,
      name: `${CYCLES} start/stop cycles`,
      boundMs: 3_000,
      guard: "whatever a start opens its stop closes",
    },
    async (run) => {
      const world = await startProcessWorld(run);
      const settings: Partial<CyclingSettings> = {
        cycles: CYCLES,
        journalDir: path.join(temporaryFolder(run), "journal"),
      };
      const worker = await world.startWorker(settings, { script: CYCLING_WORKER, nodeArgs: ["--expose-gc"] });
      const ids: string[] = [];
      const isCycled = () => worker.stdout.includes("cycled");
      const endAt = performance.now() + 60_000;
      while (!isCycled() && worker.running && performance.now() < endAt) {
        ids.push(...(await world.begin()));
        await sleep(100);
      }
      expect(isCycled(), worker.stderr.join("\n")).toBe(true);
      run.injected();
      await run.worksAgain(world);
      await world.done(ids);
      const seen = worker.stdout
        .filter((line) => line.startsWith(HOLDINGS_MARK))
        .map((line) => JSON.parse(line.slice(HOLDINGS_MARK.length)) as Holdings);
      const [first, last] = [seen[0]!, seen.at(-1)!];
      const all = JSON.stringify(seen);
      expect(last.cycle - first.cycle).toBe(150);
      // 150 cycles that each left 20 kB behind would be 3 MB.
      expect(last.heapMb - first.heapMb, all).toBeLessThan(2);
      expect(last.externalMb - first.externalMb, all).toBeLessThan(2);
      for (const what of ["descriptors", "threads", "resources", "listeners"] as const) {
        expect(last[what], `${what}: ${all}`).toBeLessThanOrEqual(first[what]);
      }
      return "With tasks, journal, metrics, watchdog and admin endpoint: between the 50th and the 200th the heap grew by less than 2 MB, and there was not one more file, socket, thread, timer or listener.";
    },
  );

  fault(
    {
      number: 37,
      group,
      name: "file descriptors run out",
      boundMs: 3_000,
      guard: "a connection that cannot be made is tried again",
    },
    async (run) => {
      const world = await startProcessWorld(run);
      const proxy = await startTcpProxy(new URL(world.conductor.serverUrl).origin);
      run.onEnd(() => proxy.close());
      const worker = await world.startWorker(
        ...misbehaving({ serverUrl: `${proxy.url}/api`, stallTimeoutSeconds: 3, logs: true }),
      );
      const limit = (descriptors: string) =>
        execFileSync("prlimit", [`--pid=${worker.pid}`, `--nofile=${descriptors}`]);
      const ids = await world.begin(5, { mode: "slow", data: 2_000 });
      await world.began(5);
      const before = /Max open files\s+(\d+)/.exec(readFileSync(`/proc/${worker.pid}/limits`, "utf8"))?.[1] ?? "1024";
      // Fewer than it has: every new one fails.
      limit("1:");
      proxy.resetAll();
      await worker.waitForLine(/EMFILE/);
      await sleep(5_000);
      expect(worker.running, worker.output).toBe(true);
      expect(worker.events.filter(({ name }) => name === "taskUpdated")).toEqual([]);
      limit(`${before}:`);
      run.injected();
      await run.worksAgain(world);
      for (const { tasks } of await world.done(ids)) expect(tasks).toHaveLength(1);
      return "No connection could be made for 5 s, and the log said why. Results that were finished meanwhile were kept and delivered.";
    },
  );
});

/** A file system of 256 kB. */
function tinyDisk(run: FaultRun): string {
  const folder = temporaryFolder(run);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]);
  run.onEnd(() => execFileSync("umount", ["--lazy", folder]));
  return folder;
}

/** Why there can be none; undefined where it can be made. */
function whyNoTinyDisk(): string | undefined {
  try {
    execFileSync("unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return `a small file system cannot be mounted here: ${(error as Error).message.split("\n").at(-2) ?? ""}`;
  }
}

/** Writes until nothing goes in any more. */
function fill(disk: string): string {
  const file = path.join(disk, "filler");
  for (const size of [65_536, 4_096, 1]) {
    for (;;) {
      try {
        writeFileSync(file, Buffer.alloc(size), { flag: "a" });
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
        break;
      }
    }
  }
  return file;
}

/** Stdout goes to a file, and what was stdout is file descriptor 3. */
const loggingTo = (file: string) => ["sh", "-c", 'exec 3>&1 >>"$0"; exec "$@"', file];

describe.concurrent("a full disk", () => {
  const skip = whyNoTinyDisk();

  fault(
    {
      number: 38,
      group,
      name: "a full disk",
      variant: "under the log",
      boundMs: 2_000,
      guard: "a log line that cannot be written is lost, not the process",
      skip,
    },
    async (run) => {
      const disk = tinyDisk(run);
      const log = path.join(disk, "worker.log");
      const world = await startProcessWorld(run);
      const worker = await world.startWorker(
        ...misbehaving({ logs: true, eventsFd: 3 }, { under: loggingTo(log), env: { CONDUCTOR_LOG_LEVEL: "debug" } }),
      );
      await world.done(await world.begin(5));
      const filler = fill(disk);
      const { size } = statSync(log);
      // Each logs at least its failure.
      const ids = await world.begin(50, { mode: "fails" });
      await world.done(ids);
      expect(statSync(log).size - size, "bytes that still went into the log").toBeLessThan(4_096);
      expect(worker.running, worker.output).toBe(true);
      rmSync(filler);
      run.injected();
      await run.worksAgain(world);
      const after = await world.begin(1, { mode: "fails" });
      await world.done(after);
      await waitFor(() => readFileSync(log, "utf8").includes(after[0]!), { what: "lines to go into the log again" });
      return "Lines were lost, and nothing else; they came again when there was room.";
    },
  );

  fault(
    {
      number: 38,
      group,
      name: "a full disk",
      variant: "under the report of a stall",
      boundMs: 3_000,
      guard: "the process ends, whatever becomes of the report",
      skip,
    },
    async (run) => {
      const disk = tinyDisk(run);
      fill(disk);
      const world = await startProcessWorld(run, {
        taskDef: { responseTimeoutSeconds: 5 },
        mayTimeOut: "the process that had it was stuck, and nobody had told its successor",
      });
      const first = await world.startWorker(
        ...misbehaving(
          {
            name: "first",
            stallTimeoutSeconds: 3,
            stallReportFile: path.join(disk, "stall.json"),
            logs: true,
            eventsFd: 3,
          },
          { under: loggingTo(path.join(disk, "worker.log")) },
        ),
      );
      const ids = await world.begin(1, { mode: "wedges" });
      await world.began(1);
      const exit = await first.waitForExit(15_000);
      world.died(first);
      expect(exit, first.output).toEqual({ code: 70, signal: null });
      expect(first.stderr.join("\n")).toContain('"lastEntered":"work"');
      expect(first.stderr.join("\n")).toContain("the stall report could not be written: ENOSPC");
      await world.startWorker(...misbehaving({ name: "second" }));
      run.injected();
      await run.worksAgain(world);
      await world.done(ids, 20_000);
      return "The process ended all the same, with code 70, and its report was on stderr. The next one went on; the server timed the stuck task out, and its retry ran.";
    },
  );
});
