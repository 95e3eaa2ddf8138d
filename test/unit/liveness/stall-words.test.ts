import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { runInThisContext } from "node:vm";
import { afterEach, describe, expect, test } from "vitest";
import type { StallReport } from "../../../src/liveness/stall-report.js";
import { NATIVE_CALL_SOURCE } from "../../../src/liveness/thread/native-call-source.js";
import { REPORT_SOURCE } from "../../../src/liveness/thread/report-source.js";

interface KernelView {
  readonly state: string;
  readonly wchan: string;
  readonly syscall: string;
  readonly cpuTicks: number;
}
// The text that the thread runs.
const load = runInThisContext(
  `(require) => { const fs = require('node:fs'); const os = require('node:os');
   ${NATIVE_CALL_SOURCE} ${REPORT_SOURCE}
   return { describeNativeCall, kernelView, tellStall, logLine, writeFileWhole, guiltyFrame }; }`,
) as (require: NodeJS.Require) => unknown;
const thread = load(createRequire(import.meta.url)) as {
  describeNativeCall(before: KernelView | null, after: KernelView | null, gapMs: number, arch: string): string;
  kernelView(): KernelView | null;
  tellStall(report: StallReport, exitCode: number): string;
  logLine(level: number, fields: object, msg: string): string;
  writeFileWhole(file: string, text: string): void;
  guiltyFrame(stack: string): string;
};

describe("the report of a stall", () => {
  describe("what the kernel sees the main thread do", () => {
    const view = (state: string, wchan: string, syscall: string, cpuTicks = 0) => ({ state, wchan, syscall, cpuTicks });
    const tell = (after: KernelView, arch = "x64") => thread.describeNativeCall(view("S", "", ""), after, 1_000, arch);

    test.each([
      [
        view("S", "do_epoll_wait", "281"),
        /^waiting for a child process \(execSync, spawnSync\) \(state S, wchan do_epoll_/,
      ],
      [view("S", "anon_pipe_read", "0"), /^reading from a pipe or FIFO \(/],
      [view("S", "futex_do_wait", "202"), /^waiting for a lock or for another thread \(/],
      [view("S", "wait_for_partner", "257"), /^opening a FIFO/],
      [view("D", "rpc_wait_bit_killable", "0"), /^waiting for a network file system \(state D/],
      [view("D", "folio_wait_bit_common", "0"), /^waiting for the disk/],
      // Where the kernel hides the place, the number of the call says something.
      [view("S", "0", "61"), /^waiting for a child process \(/],
      [view("D", "", ""), /^waiting for the disk \(state D, wchan \?, syscall \?\)/],
      [view("S", "something_new", "999"), /^waiting \(state S, wchan something_new, syscall 999\)/],
      [view("R", "0", "running", 98), /^computing \(.* 98 % of a CPU \(state R/],
      // Seen between two slices of the processor.
      [view("S", "0", "running"), /^computing \(/],
      [view("S", "0", "202", 60), /^computing \(/],
    ])("%o", (seen, words) => {
      expect(tell(seen)).toMatch(words);
    });

    test("knows that the calls have other numbers on another processor", () => {
      expect(tell(view("S", "0", "63"), "arm64")).toMatch(/^in a blocking read/);
      expect(tell(view("S", "0", "63"), "riscv64")).toMatch(/^waiting \(/);
    });

    test.runIf(process.platform === "linux")("reads it for this process", () => {
      const view = thread.kernelView();
      expect(view?.state).toMatch(/^[RSD]$/);
      expect(view?.cpuTicks).toBeGreaterThan(0);
    });
  });

  describe("a stall in a sentence", () => {
    const report: StallReport = {
      reason: "loop",
      stuck: ["resize", "mail"],
      stalledMs: 2_345,
      phase: "polling",
      lastEntered: "resize",
      mainThread: "unknown",
      inFlight: [],
      eventLoopDelayMs: 2_000,
    };
    const stack = [
      "    at RegExp.test (<anonymous>)",
      "    at node:internal/foo:1:1",
      "    at guilty (/app/a.ts:3:4)",
      "    at execute (/app/b.ts:1:1)",
    ].join("\n");

    test("names the guilty function of a main thread that is busy", () => {
      expect(thread.tellStall({ ...report, mainThread: "busy", stack }, 70)).toBe(
        "stuck: no iteration of the poll loop for 2.3 s (resize, mail); the main thread is busy in guilty (/app/a.ts:3:4); " +
          "the function entered last is of resize; ending the process with exit code 70",
      );
      expect(thread.guiltyFrame("    at JSON.parse (<anonymous>)"), "better than nothing").toBe(
        "JSON.parse (<anonymous>)",
      );
    });

    test("says what is known in the other cases", () => {
      const native = { ...report, mainThread: "native", nativeCall: "asleep (state S)" } as const;
      expect(thread.tellStall(native, 70)).toContain(
        "the main thread is in a native call: asleep (state S); the function",
      );
      expect(thread.tellStall(report, 70)).toContain("the main thread cannot be looked into; the function");
      expect(thread.tellStall({ ...report, mainThread: "busy" }, 70)).toContain(
        "the main thread is busy; the function",
      );
      expect(
        thread.tellStall(
          { ...report, reason: "request", stuck: ["GET /tasks/poll/batch/{taskType}"], mainThread: "turning" },
          70,
        ),
      ).toBe(
        "stuck: a request has not ended for 2.3 s, beyond its deadline (GET /tasks/poll/batch/{taskType}); " +
          "the event loop turns; ending the process with exit code 70",
      );
    });

    test("says that it got no CPU, where it got none most of the time", () => {
      const told = (waitedMs: number) =>
        thread.tellStall({ ...report, cpu: { ofMs: 1_000, ranMs: 1_000 - waitedMs, waitedMs } }, 70);
      expect(told(900)).toContain(
        "of resize; it waited for a CPU 0.9 of the last 1.0 s (other processes, or the container's CPU limit); ending",
      );
      expect(told(400)).not.toContain("CPU");
    });

    test("is a line as pino writes them, without a line break of its own", () => {
      const line = thread.logLine(60, { stall: { stack: "a\nb" } }, "stuck\nhere");
      expect(line.indexOf("\n")).toBe(line.length - 1);
      expect(Object.keys(JSON.parse(line) as object)).toEqual([
        "level",
        "time",
        "pid",
        "hostname",
        "name",
        "stall",
        "msg",
      ]);
      expect(JSON.parse(line)).toMatchObject({ level: 60, pid: process.pid, name: "ostinato", msg: "stuck\nhere" });
    });
  });

  describe("the report file", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "ostinato-report-"));
    afterEach(() => {
      rmSync(folder, { recursive: true, force: true });
    });

    test("is readable by its owner only, and written anew", () => {
      mkdirSync(folder, { recursive: true });
      const file = path.join(folder, "stall.json");
      writeFileSync(file, "an older and longer one", { mode: 0o644 });
      thread.writeFileWhole(file, "new");
      expect(readFileSync(file, "utf8")).toBe("new");
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(readdirSync(folder)).toEqual(["stall.json"]);
    });

    test("leaves nothing half behind where it cannot be put", () => {
      mkdirSync(path.join(folder, "taken", "by"), { recursive: true });
      expect(() => {
        thread.writeFileWhole(path.join(folder, "taken"), "new");
      }).toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
      expect(readdirSync(folder)).toEqual(["taken"]);
    });
  });
});
