import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { createConductorClient } from "../../src/index.js";
import { startProcess } from "../support/process/process-harness.js";
import { startRealConductor } from "../support/servers/real-conductor/real-conductor.js";
import { waitFor } from "../support/time/wait-for.js";

const BOOT_BOUND_MS = 120_000;
const main = fileURLToPath(new URL("../support/servers/real-conductor/main.ts", import.meta.url));

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("the real server that tests start", () => {
  test("a server that is killed comes back on its port and its database", async () => {
    const steps: string[] = [];
    const deaths: Error[] = [];
    const conductor = await startRealConductor({
      queue: "sqlite",
      onProgress: (step) => void steps.push(step),
      onDeath: (error) => void deaths.push(error),
    });
    let pid: number;
    try {
      expect(steps.at(-1)).toBe("starting Conductor on SQLite");
      await using client = createConductorClient({ serverUrl: conductor.serverUrl });
      const tasks = [{ name: "wait", taskReferenceName: "wait", type: "SIMPLE" as const }];
      await client.metadata.registerWorkflowDefs([
        { name: "kept", version: 1, schemaVersion: 2, ownerEmail: "e2e@example.com", tasks },
      ]);
      const workflowId = await client.workflows.start({ name: "kept", version: 1 });

      const before = conductor.pid;
      expect(conductor.cpuMs()).toBeGreaterThan(1_000);
      await conductor.restart();
      expect(isAlive(before)).toBe(false);
      expect(conductor.pid).not.toBe(before);
      expect(await client.workflows.get(workflowId)).toMatchObject({ workflowId, status: "RUNNING" });
      expect(deaths).toEqual([]);

      pid = conductor.pid;
      process.kill(pid, "SIGKILL");
      await waitFor(() => deaths.length === 1, { what: "the news of its death" });
      expect(deaths[0]?.message).toMatch(/The Conductor server has ended \(exit code 137\)\. It said last:\n/);
      expect(() => conductor.pid).toThrow(/does not run/);
    } finally {
      await conductor.close();
    }
    await conductor.close();
  });

  test("the command starts a server on Redis, tells its address, and ends both on SIGTERM", async () => {
    const child = startProcess({ script: main, args: ["--port", "0", "--queue", "redis"] });
    try {
      const [, serverUrl = ""] = await child.waitForLine(/CONDUCTOR_SERVER_URL=(\S+)/, BOOT_BOUND_MS);
      const [, pid] = await child.waitForLine(/process (\d+)/);
      expect(child.stdout).toContain("starting Redis …");
      const answer = await fetch(`${serverUrl}/tasks/queue/all`);
      expect(answer.status).toBe(200);

      child.signal("SIGTERM");
      expect(await child.waitForExit(30_000)).toEqual({ code: 0, signal: null });
      expect(isAlive(Number(pid))).toBe(false);
      expect(child.stderr).toEqual([]);
    } finally {
      await child.kill();
    }
  });

  test("the command is stopped while it starts", async () => {
    const child = startProcess({ script: main, args: ["--port", "0"] });
    try {
      await child.waitForLine(/starting Conductor/);
      child.signal("SIGINT");
      expect(await child.waitForExit(30_000)).toEqual({ code: 0, signal: null });
      expect(child.output).not.toContain("CONDUCTOR_SERVER_URL");
    } finally {
      await child.kill();
    }
  });

  test("a server that cannot start is an error that shows what it said", async () => {
    const child = startProcess({
      script: main,
      args: ["--port", "0"],
      env: { CONDUCTOR_SERVER_JAR: fileURLToPath(new URL("../../package.json", import.meta.url)) },
    });
    try {
      expect(await child.waitForExit(30_000)).toEqual({ code: 1, signal: null });
      expect(child.stderr.join("\n")).toMatch(/has ended \(exit code 1\)\. It said last:\n.*corrupt jarfile/i);
    } finally {
      await child.kill();
    }
  });
});
