import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startProcess } from "../../../../support/process/process-harness.js";
import { startGuarded, type GuardedProcess } from "../../../../support/servers/real-conductor/guarded-process.js";
import { waitFor } from "../../../../support/time/wait-for.js";

let folder: string;
let program: GuardedProcess | undefined;

describe("a guarded process", () => {
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "ostinato-guarded-test-"));
  });

  afterEach(async () => {
    await program?.end(0);
    program = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(script: string): Promise<GuardedProcess> {
    program = await startGuarded({ command: "sh", args: ["-c", script], folder, logFile: path.join(folder, "log") });
    return program;
  }

  function isAlive(pid: number): boolean {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  }

  test("tells the exit code and what was said last, on both streams", async () => {
    const started = await start("echo one; echo two >&2; echo three; exit 7");
    expect(await started.exited).toBe(7);
    expect(started.lastLines(2)).toEqual(["two", "three"]);
    expect(started.lastLines(9)).toEqual(["one", "two", "three"]);
  });

  test("runs in its folder, with nothing to read", async () => {
    const started = await start("pwd -P; cat");
    expect(await started.exited).toBe(0);
    expect(started.lastLines(1)[0]).toMatch(new RegExp(`${path.basename(folder)}$`));
  });

  test("a program that is not there ends with 127, and says so", async () => {
    program = await startGuarded({
      command: path.join(folder, "nothing"),
      args: [],
      folder,
      logFile: path.join(folder, "log"),
    });
    expect(await program.exited).toBe(127);
    expect(program.lastLines(1)[0]).toMatch(/not found/);
  });

  test("signals the program itself, not its guard", async () => {
    const started = await start("exec sleep 600");
    expect(started.running).toBe(true);
    expect(started.signal("SIGKILL")).toBe(true);
    expect(await started.exited).toBe(128 + 9);
    expect(started.running).toBe(false);
    expect(started.signal("SIGKILL")).toBe(false);
    expect(existsSync(folder), "a folder goes only with an orphan").toBe(true);
  });

  test("end() asks first, and kills what does not listen", async () => {
    const polite = await start("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    await waitFor(() => polite.lastLines(1)[0] === "up", { what: "its first line" });
    await polite.end(5_000);
    expect(await polite.exited).toBe(0);
    expect(polite.lastLines(1)).toEqual(["bye"]);

    const deaf = await start("trap '' TERM; echo deaf; while :; do sleep 0.05; done");
    await waitFor(() => deaf.lastLines(1)[0] === "deaf", { what: "its first line" });
    await deaf.end(200);
    expect(await deaf.exited).toBe(128 + 9);
  });

  test("the program and its folder do not outlive a parent that is killed", async () => {
    const parent = startProcess({
      script: fileURLToPath(new URL("../../../../support/unit/guarded-parent.ts", import.meta.url)),
    });
    const [, pid, orphans = ""] = await parent.waitForLine(/^started (\d+) in (.+)$/);
    expect(isAlive(Number(pid))).toBe(true);
    await parent.kill();
    await waitFor(() => !isAlive(Number(pid)), { what: "the end of the program" });
    await waitFor(() => !existsSync(orphans), { what: "the end of its folder" });
  });
});
