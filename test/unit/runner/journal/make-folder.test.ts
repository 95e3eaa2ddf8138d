import { spawnSync } from "node:child_process";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { makeFolder } from "../../../../src/runner/journal/make-folder.js";
import { temporaryFolder } from "../../../support/unit/journal.js";

describe("making the journal's folder", () => {
  test("a folder is made with those above it; one that is there is fine", () => {
    const dir = path.join(temporaryFolder(), "a", "b", "c");
    makeFolder(dir);
    makeFolder(dir);
    expect(statSync(dir).isDirectory()).toBe(true);
  });

  test("what cannot be made is thrown", () => {
    const file = path.join(temporaryFolder(), "file");
    writeFileSync(file, "");
    expect(() => {
      makeFolder(file);
    }).toThrow("EEXIST");
    expect(() => {
      makeFolder(path.join(file, "a", "b"));
    }).toThrow("ENOTDIR");
  });

  // In a process of its own, for Node's own recursive mkdir never comes back.
  test.runIf(process.platform === "linux")(
    "a parent that was removed under us is an error, not an endless loop",
    () => {
      const gone = path.join(temporaryFolder(), "gone");
      mkdirSync(gone);
      const file = new URL("../../../../src/runner/journal/make-folder.ts", import.meta.url);
      const code = `
    const { makeFolder } = await import(${JSON.stringify(pathToFileURL(file.pathname).href)});
    (await import("node:fs")).rmdirSync(${JSON.stringify(gone)});
    for (const dir of ["/proc/self/cwd/journal", "/proc/self/cwd/a/b", "/proc/no-such-process/journal"])
      try { makeFolder(dir); } catch (error) { console.log(error.code); }`;
      const { stdout, signal } = spawnSync(
        process.execPath,
        ["--import", import.meta.resolve("tsx"), "--input-type=module", "-e", code],
        { cwd: gone, timeout: 10_000, killSignal: "SIGKILL", encoding: "utf8" },
      );
      expect({ stdout, signal }).toEqual({ stdout: "ENOENT\nENOENT\nENOENT\n", signal: null });
    },
  );
});
