import { describe, expect, test } from "vitest";
import type { StallReport } from "../../../../src/liveness/stall-report.js";
import { describeExit, exitKindOf, type ExitFacts } from "../../../../src/supervisor/primary/exit-kind.js";

const HEAP =
  "\n<--- Last few GCs --->\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n";
const report: StallReport = {
  reason: "loop",
  stuck: ["charge"],
  stalledMs: 300_400,
  phase: "waiting",
  mainThread: "busy",
  stack: "    at spin (/app/worker.js:12:5)\n    at Object.execute (/app/worker.js:30:3)",
  inFlight: [],
  eventLoopDelayMs: 300_000,
};

const facts = (given: Partial<ExitFacts>): ExitFacts => ({
  code: null,
  signal: null,
  asked: undefined,
  toldStopping: false,
  wasReady: true,
  killedFor: undefined,
  report: undefined,
  stderrTail: "",
  ...given,
});

describe("the supervisor on the end of a process", () => {
  describe("why a process ended", () => {
    test.each<[string, Partial<ExitFacts>, string]>([
      ["asked to stop, and did", { code: 0, asked: "stop" }, "stopped"],
      ["in a roll", { code: 0, asked: "roll" }, "rolled"],
      ["by a signal of somebody's, after a drain", { code: 0, toldStopping: true }, "stopped"],
      ["by its own code", { code: 0 }, "stopped"],
      ["without ever starting a handler", { code: 0, wasReady: false }, "notStarted"],
      ["killed, for its drain did not end", { signal: "SIGKILL", asked: "stop", killedFor: "drain" }, "stopped"],
      [
        "killed, for something else held it",
        { signal: "SIGKILL", toldStopping: true, killedFor: "lingering" },
        "stopped",
      ],
      ["the same in a roll", { signal: "SIGKILL", asked: "roll", killedFor: "drain" }, "rolled"],
      [
        "killed, for it did not start in time",
        { signal: "SIGKILL", wasReady: false, killedFor: "start" },
        "notStarted",
      ],
      ["asked before it was ready, by SIGTERM", { signal: "SIGTERM", asked: "stop", wasReady: false }, "stopped"],
      ["an error", { code: 1 }, "crashed"],
      ["an error while it drained", { code: 1, asked: "stop", toldStopping: true }, "crashed"],
      ["an error while it loaded", { code: 1, wasReady: false }, "crashed"],
      ["it could not be started", {}, "crashed"],
      ["its watchdog, by exit code", { code: 70 }, "wedged"],
      ["its watchdog, by whatever worked", { signal: "SIGSEGV", report }, "wedged"],
      ["its watchdog, while it drained", { code: 70, asked: "stop", report }, "wedged"],
      ["killed, for it did not beat", { signal: "SIGKILL", killedFor: "silence" }, "wedged"],
      ["a full heap", { signal: "SIGABRT", stderrTail: HEAP }, "outOfMemory"],
      ["a full heap, behind a shell", { code: 134, stderrTail: HEAP }, "outOfMemory"],
      ["an abort without a word of memory", { signal: "SIGABRT" }, "killed"],
      ["an error that speaks of a heap", { code: 1, stderrTail: HEAP }, "crashed"],
      ["somebody's SIGKILL", { signal: "SIGKILL" }, "killed"],
      ["a crash of native code", { signal: "SIGSEGV" }, "killed"],
    ])("%s", (_, given, kind) => {
      expect(exitKindOf(facts(given))).toBe(kind);
    });
  });

  describe("the end of a process in words", () => {
    const line = (given: Partial<ExitFacts>) => describeExit(exitKindOf(facts(given)), facts(given));

    test.each<[Partial<ExitFacts>, string]>([
      [{ code: 70, report }, "wedged in spin (/app/worker.js:12:5): charge stood still for 300 s (exit code 70)"],
      [{ code: 3 }, "crashed (exit code 3)"],
      [{ code: 0, asked: "stop" }, "stopped (exit code 0)"],
    ])("%o", (given, words) => {
      expect(line(given)).toBe(words);
    });

    test("a crash names the error that nobody caught", () => {
      const stderrTail = "file:///app/worker.js:3\n\nTypeError: boom\n    at f (worker.js:3:7)\n\nNode.js v22.0.0\n";
      expect(line({ code: 1, stderrTail })).toBe("crashed (exit code 1): TypeError: boom");
      expect(line({ code: 1, stderrTail: "Error: plain\n    at x" })).toBe("crashed (exit code 1): Error: plain");
    });

    test("Node's own frames are not the place", () => {
      const stack = "    at node:internal/timers:1:1\n    at work (/app/w.js:1:1)";
      expect(line({ code: 70, report: { ...report, stack } })).toContain("wedged in work (/app/w.js:1:1)");
      const regex = "    at RegExp.test (<anonymous>)\n    at parse (/app/w.js:2:2)";
      expect(line({ code: 70, report: { ...report, stack: regex } })).toContain("wedged in parse (/app/w.js:2:2)");
    });

    test("a native call is named where there is no stack", () => {
      const native = { ...report, stack: "", nativeCall: "pipe_read" };
      expect(line({ code: 70, report: native })).toContain("wedged in pipe_read");
    });

    test("what it did not do is said", () => {
      expect(line({ code: 0, wasReady: false })).toContain("without starting a handler");
      expect(line({ signal: "SIGKILL", killedFor: "start", wasReady: false })).toContain(
        "did not start a handler in time",
      );
      expect(line({ signal: "SIGKILL" })).toContain("perhaps by the kernel");
      expect(line({ signal: "SIGABRT", stderrTail: HEAP })).toContain("--max-old-space-size");
    });
  });
});
