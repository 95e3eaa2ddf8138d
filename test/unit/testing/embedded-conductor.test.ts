import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";
import { afterEach, describe, expect, test } from "vitest";
import type { Task } from "../../../src/conductor/types.js";
import {
  type EmbeddedConductor,
  type EmbeddedConductorOptions,
  startEmbeddedConductor,
} from "../../../src/testing/index.js";
import { HandClock } from "../../support/time/hand-clock.js";

describe("an embedded Conductor", () => {
  const started: EmbeddedConductor[] = [];
  const begin = async (options: EmbeddedConductorOptions = {}): Promise<EmbeddedConductor> => {
    const conductor = await startEmbeddedConductor(options);
    started.push(conductor);
    await conductor.registerTaskDefs([{ name: "t", retryDelaySeconds: 7, responseTimeoutSeconds: 30 }]);
    await conductor.registerWorkflowDef({ name: "w", tasks: [{ name: "t", taskReferenceName: "a" }] });
    return conductor;
  };
  afterEach(async () => {
    for (const conductor of started.splice(0)) await conductor.close();
  });

  const poll = async ({ serverUrl }: EmbeddedConductor, query = "timeout=0"): Promise<Task[]> =>
    (await (await fetch(`${serverUrl}/tasks/poll/batch/t?workerid=me&${query}`)).json()) as Task[];
  const update = async ({ serverUrl }: EmbeddedConductor, task: Task, fields: object = {}): Promise<number> => {
    const { taskId, workflowInstanceId } = task;
    const body = JSON.stringify({ taskId, workflowInstanceId, status: "COMPLETED", workerId: "me", ...fields });
    const headers = { "content-type": "application/json" };
    return (await fetch(`${serverUrl}/tasks`, { method: "POST", headers, body })).status;
  };

  test("notices a response timeout when it is due, and not before, when its clock is turned", async () => {
    const conductor = await begin();
    const workflowId = await conductor.startWorkflow({ name: "w" });
    const [task] = await poll(conductor);
    await conductor.advance(29_000);
    expect((await conductor.task(task!.taskId)).status).toBe("IN_PROGRESS");
    await conductor.advance(1000);
    expect((await conductor.task(task!.taskId)).status).toBe("TIMED_OUT");
    expect(await poll(conductor)).toEqual([]);
    await conductor.advance(7000);
    expect(await poll(conductor)).toMatchObject([{ retryCount: 1, workflowInstanceId: workflowId }]);
  });

  test("goes by the clock it is given, and by that alone", async () => {
    const clock = new HandClock();
    const conductor = await begin({ clock });
    const held = poll(conductor, "timeout=5000&count=2");
    await sleep(150);
    await conductor.startWorkflow({ name: "w" });
    clock.turn(4999);
    let answered = false;
    void held.then(() => (answered = true));
    await sleep(50);
    expect(answered).toBe(false);
    clock.turn(1);
    expect(await held).toMatchObject([{ scheduledTime: clock.wallNow() - 5000, startTime: clock.wallNow() }]);
  });

  test("answers held polls that fall due while its clock is turned", async () => {
    const conductor = await begin({ clock: new HandClock() });
    const held = poll(conductor, "timeout=5000");
    await sleep(100);
    await conductor.advance(5000);
    expect(await held).toEqual([]);
  });

  test("keeps a ledger of hand-outs and updates", async () => {
    const conductor = await begin();
    const workflowId = await conductor.startWorkflow({ name: "w" });
    const [task] = await poll(conductor);
    expect(await update(conductor, task!, { status: "IN_PROGRESS" })).toBe(200);
    expect(await poll(conductor)).toHaveLength(1);
    expect(await update(conductor, task!, { extendLease: true })).toBe(200);
    expect(await update(conductor, task!)).toBe(200);
    expect(await update(conductor, task!)).toBe(200);
    expect(await update(conductor, { ...task!, taskId: "nope" })).toBe(404);
    expect(await update(conductor, task!, { status: "DONE" })).toBe(500);
    const ledger = await conductor.ledger();
    const shared = { taskId: task!.taskId, workflowInstanceId: workflowId };
    const handOut = { kind: "handOut", taskType: "t", workerId: "me", by: "poll", answerWritten: true, ...shared };
    const received = { kind: "update", endpoint: "v1", ...shared };
    const applied = { ...received, applied: true, answeredStatus: 200 };
    const ignored = { ...received, applied: false };
    expect(ledger).toMatchObject([
      { ...handOut, pollCount: 1 },
      { ...applied, status: "IN_PROGRESS", extendLease: false },
      { ...handOut, pollCount: 2 },
      { ...applied, extendLease: true },
      { ...applied, status: "COMPLETED" },
      { ...ignored, ignoredReason: "task already ended", answeredStatus: 200 },
      { ...ignored, taskId: "nope", ignoredReason: "no such task", answeredStatus: 404 },
      { ...ignored, status: undefined, ignoredReason: "invalid request", answeredStatus: 500 },
    ]);
    expect(await conductor.audit()).toMatchObject({
      workflows: { COMPLETED: 1 },
      tasks: { t: { COMPLETED: 1 } },
      handedOut: 2,
      handedBack: 1,
      leasesExtended: 1,
      duplicates: 1,
      ignoredUpdates: 3,
      violations: { lost: [], reportedMoreThanOnce: [shared], handedOutTwice: [] },
    });
  });

  test("calls the task lost that went to a client which had gone", async () => {
    const conductor = await begin();
    const abort = new AbortController();
    const aborted = fetch(`${conductor.serverUrl}/tasks/poll/batch/t?timeout=3000&workerid=gone`, {
      signal: abort.signal,
    }).catch(() => undefined);
    await sleep(100);
    abort.abort();
    await aborted;
    await sleep(50);
    await conductor.startWorkflow({ name: "w" });
    await sleep(150);
    const { handedOutToNobody, violations } = await conductor.audit();
    expect(handedOutToNobody).toBe(1);
    expect(violations.lost).toMatchObject([{ workerId: "gone", detail: "handed out to a client that was gone" }]);
  });

  test("waits for a workflow to end, and says how far it has come if it does not", async () => {
    const conductor = await begin();
    const workflowId = await conductor.startWorkflow({ name: "w" });
    await expect(conductor.waitForWorkflow(workflowId, { timeoutMs: 20 })).rejects.toThrow(
      `Workflow ${workflowId} is RUNNING after 20 ms; open: a SCHEDULED`,
    );
    const ended = conductor.waitForWorkflow(workflowId);
    const [task] = await poll(conductor);
    await update(conductor, task!, { outputData: { x: 1 } });
    expect(await ended).toMatchObject({ status: "COMPLETED", output: { x: 1 } });
    expect((await conductor.waitForWorkflow(workflowId)).status).toBe("COMPLETED");
  });

  test("rejects with the server's words", async () => {
    const conductor = await begin();
    await expect(conductor.startWorkflow({ name: "nope" })).rejects.toThrow("No such workflow defined. name=nope");
    await expect(conductor.workflow("nope")).rejects.toThrow("No such workflow found by id: nope");
    await expect(conductor.registerTaskDefs([{ name: "" }])).rejects.toThrow("Validation failed");
    const wait = { name: "w2", tasks: [{ name: "x", taskReferenceName: "x", type: "WAIT" }] };
    await expect(conductor.registerWorkflowDef(wait)).rejects.toThrow("does not have tasks of type WAIT");
  });

  test("closes twice, ends held polls, and frees its port", async () => {
    const conductor = await begin();
    const held = poll(conductor, "timeout=5000").catch(() => "ended");
    await sleep(50);
    const startedAt = performance.now();
    await Promise.all([conductor.close(), conductor.close()]);
    expect(await held).toBe("ended");
    expect(performance.now() - startedAt).toBeLessThan(1000);
    const next = await begin({ port: conductor.port });
    expect(next.port).toBe(conductor.port);
  });

  test("rejects when the port is taken", async () => {
    const conductor = await begin();
    await expect(startEmbeddedConductor({ port: conductor.port })).rejects.toThrow(/EADDRINUSE/);
  });

  test("closes a connection after its hundredth request, as Tomcat does", async () => {
    const conductor = await begin();
    const pool = new Pool(new URL(conductor.serverUrl).origin, { connections: 1 });
    const seen: unknown[] = [];
    for (let index = 0; index < 101; index++) {
      const { headers, body } = await pool.request({ method: "GET", path: "/health" });
      await body.dump();
      seen.push(headers.connection);
      expect(headers["keep-alive"]).toBeUndefined();
    }
    await pool.close();
    expect(seen.indexOf("close")).toBe(99);
    expect(seen.filter((value) => value === "close")).toHaveLength(1);
  });
});
