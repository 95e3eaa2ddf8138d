import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { LineWriter, type LineWriterOptions } from "../../../src/log/line-writer.js";

const isLinux = process.platform === "linux";
if (!isLinux) console.warn("NOT RUN: the line writer before a full pipe needs a FIFO of Linux");
const KB = 1024;
/** More than a pipe holds. */
const LONG = "x".repeat(100 * KB);

function temporaryFolder(): string {
  const dir = mkdtempSync(path.join(tmpdir(), "ostinato-lines-"));
  onTestFinished(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

function writerTo(fd: number, options: Partial<LineWriterOptions> = {}) {
  const rescued: string[] = [];
  const lost: object[] = [];
  const writer = new LineWriter({
    fd,
    maxOnlyCopyBytes: 1_000 * KB,
    rescue: (lines) => {
      rescued.push(...lines.map(String));
      return true;
    },
    onLost: (what) => lost.push(what),
    ...options,
  });
  return { writer, rescued, lost };
}

/** A pipe with nobody at its other end but the test. */
function pipe() {
  const file = path.join(temporaryFolder(), "fifo");
  execFileSync("mkfifo", [file]);
  // Both ends: one of them alone would wait for the other.
  const fd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
  onTestFinished(() => {
    closeSync(fd);
  });
  const chunk = Buffer.alloc(256 * KB);
  let text = "";
  return {
    fd,
    /** Reads what there is; gives all that was ever read. */
    read() {
      for (;;) {
        try {
          text += chunk.toString("utf8", 0, readSync(fd, chunk));
        } catch {
          return text;
        }
      }
    },
  };
}

/** Turns the clock while the test reads what comes. */
function readUntilEmpty(end: ReturnType<typeof pipe>): string {
  let text = "";
  for (let i = 0; i < 100; i += 1) {
    text = end.read();
    vi.advanceTimersByTime(100);
  }
  return text;
}

/** `performance.now()` stands still with the timers. */
function fakeTime() {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
}

describe("the line writer", () => {
  test("writes lines in order, whole, where they are taken", () => {
    const file = path.join(temporaryFolder(), "log");
    const fd = openSync(file, "w");
    const { writer, rescued } = writerTo(fd);
    const listeners = process.listenerCount("exit");
    writer.write("a\n", false);
    writer.write(`${LONG}\n`, true);
    writer.write("ü\n", false);
    closeSync(fd);
    expect(readFileSync(file, "utf8")).toBe(`a\n${LONG}\nü\n`);
    expect(rescued).toEqual([]);
    expect(process.listenerCount("exit")).toBe(listeners);
  });

  describe.runIf(isLinux)("before a pipe that nobody reads", () => {
    test("goes on in order once it is read, a line amid which it stopped included", () => {
      fakeTime();
      const end = pipe();
      const { writer, rescued, lost } = writerTo(end.fd);
      const listeners = process.listenerCount("exit");
      const lines = [`1${LONG}ü\n`, "2\n", `3${LONG}\n`, "4\n"];
      for (const [at, line] of lines.entries()) writer.write(line, at === 2);
      expect(process.listenerCount("exit")).toBe(listeners + 1);
      expect(readUntilEmpty(end)).toBe(lines.join(""));
      expect({ rescued, lost }).toEqual({ rescued: [], lost: [] });
      expect(process.listenerCount("exit")).toBe(listeners);
    });

    test("drops ordinary lines beyond a megabyte, keeps only copies, and tells how many it dropped", () => {
      fakeTime();
      const end = pipe();
      const { writer, lost } = writerTo(end.fd);
      for (let i = 0; i < 20; i += 1) writer.write(`${i} ${LONG}\n`, false);
      writer.write("only\n", true);
      const got = readUntilEmpty(end).split("\n");
      expect(got.map((line) => line.split(" ")[0])).toEqual([...Array(11).keys()].map(String).concat("only", ""));
      expect(lost).toEqual([{ lines: 9, onlyCopies: 0 }]);
    });

    test("rescues only copies when nothing was taken for five seconds, each whole, and ends the line it began", () => {
      fakeTime();
      const end = pipe();
      const { writer, rescued } = writerTo(end.fd);
      const lines = [`1${LONG}\n`, `2${LONG}\n`, "3\n"];
      writer.write(lines[0]!, true);
      writer.write("ordinary\n", false);
      writer.write(lines[1]!, true);
      writer.write(lines[2]!, true);
      vi.advanceTimersByTime(4_900);
      expect(rescued).toEqual([]);
      vi.advanceTimersByTime(300);
      expect(rescued).toEqual(lines);
      expect(readUntilEmpty(end)).toBe(`${lines[0]!}ordinary\n`);
    });

    test("waits for a slow reader as long as it reads", () => {
      fakeTime();
      const end = pipe();
      const { writer, rescued } = writerTo(end.fd, { maxOnlyCopyBytes: Infinity });
      for (let i = 0; i < 40; i += 1) writer.write(`${i}${LONG}\n`, true);
      let text = "";
      for (let i = 0; i < 100; i += 1) {
        text = end.read();
        vi.advanceTimersByTime(3_000);
      }
      expect(text.split("\n")).toHaveLength(41);
      expect(rescued).toEqual([]);
    });

    test("rescues only copies at once beyond their bound", () => {
      fakeTime();
      const { writer, rescued } = writerTo(pipe().fd, { maxOnlyCopyBytes: 250 * KB });
      for (const name of "123") writer.write(`${name}${LONG}\n`, true);
      expect(rescued.map((line) => line[0])).toEqual(["1", "2", "3"]);
    });

    test("loses the oldest where they cannot be rescued, and says so", () => {
      fakeTime();
      const end = pipe();
      const { writer, lost } = writerTo(end.fd, { maxOnlyCopyBytes: 250 * KB, rescue: () => false });
      for (const name of "12345") writer.write(`${name}${LONG}\n`, true);
      const got = readUntilEmpty(end).split("\n");
      expect(got.map((line) => line.slice(0, 1))).toEqual(["1", "5", ""]);
      expect(lost).toEqual([{ lines: 0, onlyCopies: 3 }]);
    });
  });
});
