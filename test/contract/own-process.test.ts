import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type EmbeddedConductor, startEmbeddedConductor } from "../../src/testing/index.js";

describe("an embedded Conductor in its own process", () => {
  let conductor: EmbeddedConductor;
  beforeAll(async () => {
    conductor = await startEmbeddedConductor({ ownProcess: true, queue: "eager" });
    await conductor.registerTaskDefs([{ name: "t", responseTimeoutSeconds: 30, retryDelaySeconds: 0 }]);
    await conductor.registerWorkflowDef({ name: "w", tasks: [{ name: "t", taskReferenceName: "a" }] });
  });
  afterAll(async () => {
    await conductor.close();
  });

  test("is reached by the same handle", async () => {
    expect(conductor.pid).not.toBe(process.pid);
    expect(conductor.queue).toBe("eager");
    const workflowId = await conductor.startWorkflow({ name: "w" });
    const polled = await fetch(`${conductor.serverUrl}/tasks/poll/batch/t?workerid=me&timeout=1000`);
    const [task] = (await polled.json()) as { taskId: string }[];
    await conductor.advance(30_000);
    expect((await conductor.task(task!.taskId)).status).toBe("TIMED_OUT");
    expect((await conductor.workflow(workflowId)).tasks).toHaveLength(2);
    expect(await conductor.workflows()).toHaveLength(1);
    expect(await conductor.ledger()).toMatchObject([{ kind: "handOut", workerId: "me", answerWritten: true }]);
    expect((await conductor.audit()).timedOut).toBe(1);
    const ended = conductor.waitForWorkflow(workflowId);
    await conductor.terminateWorkflow(workflowId, "done");
    expect(await ended).toMatchObject({ status: "TERMINATED", reasonForIncompletion: "done" });
  });

  test("rejects with the server's words", async () => {
    await expect(conductor.startWorkflow({ name: "nope" })).rejects.toThrow("No such workflow defined. name=nope");
  });

  test("rejects when the child cannot listen, and when asked for what cannot cross over", async () => {
    await expect(startEmbeddedConductor({ ownProcess: true, port: conductor.port })).rejects.toThrow(/EADDRINUSE/);
    await expect(startEmbeddedConductor({ ownProcess: true, random: () => 0 })).rejects.toThrow(/ownProcess/);
  });

  test("goes when its parent goes, however that goes", async () => {
    const module = new URL("../../dist/testing/index.js", import.meta.url).href;
    const script = `const { startEmbeddedConductor } = await import(${JSON.stringify(module)});
      console.log((await startEmbeddedConductor({ ownProcess: true })).pid);`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(line.toString());
    expect(() => process.kill(pid, 0)).not.toThrow();
    parent.kill("SIGKILL");
    await vi.waitFor(() => {
      expect(() => process.kill(pid, 0)).toThrow();
    }, 5000);
  });

  test("ends with close(), and says so to later calls", async () => {
    const other = await startEmbeddedConductor({ ownProcess: true });
    const waiting = other.waitForWorkflow("none").catch((error: unknown) => error);
    await waiting;
    await Promise.all([other.close(), other.close()]);
    expect(() => process.kill(other.pid, 0)).toThrow();
    await expect(other.audit()).rejects.toThrow(/process has ended/);
  });
});
