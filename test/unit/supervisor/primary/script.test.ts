import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findScript, typeScriptProblem, type RunConditions } from "../../../../src/supervisor/primary/script.js";

const conditions = (given: Partial<RunConditions> = {}): RunConditions => ({
  stripsTypes: false,
  nodeVersion: "v20.20.2",
  execArgv: [],
  nodeOptions: undefined,
  ...given,
});

describe("the script of the supervisor", () => {
  describe("finding the script", () => {
    let folder: string;
    beforeAll(() => {
      folder = mkdtempSync(path.join(tmpdir(), "ostinato-script-"));
      writeFileSync(path.join(folder, "worker.js"), "");
    });
    afterAll(() => {
      rmSync(folder, { recursive: true });
    });

    test("its path is made absolute", () => {
      const relative = path.relative(process.cwd(), path.join(folder, "worker.js"));
      expect(findScript(relative, conditions())).toEqual({ file: path.join(folder, "worker.js") });
    });

    test("what is not there, or no file, is said", () => {
      expect(findScript(path.join(folder, "other.js"), conditions())).toEqual({
        problem: `there is no file ${folder}/other.js`,
      });
      expect(findScript(folder, conditions())).toEqual({ problem: expect.stringContaining(`${folder} is not a file`) });
    });
  });

  describe("naming the script", () => {
    test("a file: URL is as good as a path", () => {
      const url = new URL("../../../../package.json", import.meta.url);
      const file = fileURLToPath(url);
      expect(findScript(url, conditions())).toEqual({ file });
      expect(findScript(url.href, conditions())).toEqual({ file });
      expect(findScript(new URL("https://example.com/worker.js"), conditions())).toHaveProperty("problem");
    });

    test.each([undefined, null, "", 5, {}, "a\0b", "file://host/worker.js?x"])(
      "%j is a problem and no throw",
      (script) => {
        expect(findScript(script, conditions())).toHaveProperty("problem");
      },
    );
  });

  describe("TypeScript", () => {
    test.each([
      ["worker.ts", {}, false],
      ["worker.mts", {}, false],
      ["worker.tsx", {}, false],
      ["worker.js", {}, true],
      ["worker.ts.mjs", {}, true],
      ["worker.ts", { stripsTypes: true }, true],
      ["worker.ts", { execArgv: ["--import", "tsx"] }, true],
      ["worker.ts", { execArgv: ["--import=tsx"] }, true],
      ["worker.ts", { execArgv: ["-r", "ts-node/register"] }, true],
      ["worker.ts", { execArgv: ["--max-old-space-size=64"] }, false],
      ["worker.ts", { nodeOptions: "--no-warnings --import tsx" }, true],
      ["worker.ts", { nodeOptions: "--report-on-fatalerror" }, false],
    ])("%s with %o", (file, given, runs) => {
      expect(typeScriptProblem(file, conditions(given)) === undefined).toBe(runs);
    });

    test("the problem says what to do", () => {
      const problem = typeScriptProblem("worker.ts", conditions());
      expect(problem).toContain("Node v20.20.2 does not run by itself");
      expect(problem).toContain("--node-arg=--import=tsx");
      expect(problem).toContain("22.18");
    });
  });
});
