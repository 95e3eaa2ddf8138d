import path from "node:path";
import { describe, expect, test } from "vitest";
import { repositoryRoot } from "../support/e2e/packed-package.js";
import { startProcess } from "../support/process/process-harness.js";
import { startRealConductor } from "../support/servers/real-conductor/real-conductor.js";

const BOUND_MS = 280_000;

describe("the contract suite", () => {
  test.each([
    ["sqlite", "patient"],
    ["redis", "eager"],
  ] as const)("the contract holds on the real server, on %s", async (queue, kind) => {
    await using conductor = await startRealConductor({ queue });
    const suite = startProcess({
      script: path.join(repositoryRoot, "node_modules/vitest/vitest.mjs"),
      args: ["run", "--project", "contract", "--no-file-parallelism"],
      env: { CONTRACT_SERVER_URL: conductor.serverUrl, CONTRACT_SERVER_QUEUE: kind, NO_COLOR: "1" },
    });
    try {
      const end = await suite.waitForExit(BOUND_MS);
      const summary = /Tests +.*/.exec(suite.output)?.[0] ?? "";
      console.log(`${queue}: ${summary}`);
      expect(end, suite.output.slice(-8_000)).toEqual({ code: 0, signal: null });
      expect(summary).toMatch(/\d{2,} passed/);
    } finally {
      await suite.kill();
    }
  });
});
