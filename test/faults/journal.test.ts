import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { scan, type ReadAt } from "../../src/runner/journal/scan.js";
import { startEmbeddedConductor, type EmbeddedConductor } from "../../src/testing/index.js";
import { startTcpProxy, type TcpProxy } from "../support/network/tcp-proxy.js";
import { startProcess, type RunningProcess } from "../support/process/process-harness.js";
import { waitFor } from "../support/time/wait-for.js";

/** How often the worker of the second test is killed: `OSTINATO_KILLS`, default 20. */
const KILLS = Number(process.env.OSTINATO_KILLS ?? 20);
const WORKFLOWS_PER_KILL = 20;
const CONCURRENCY = 10;

let conductor: EmbeddedConductor;
let proxy: TcpProxy;
let root: string;
let dir: string;
let runsFile: string;
const workers: RunningProcess[] = [];

describe("the journal of a killed worker process", () => {
  beforeEach(async () => {
    conductor = await startEmbeddedConductor({ ownProcess: true });
    proxy = await startTcpProxy(conductor.serverUrl);
    root = mkdtempSync(path.join(tmpdir(), "ostinato-journal-"));
    dir = path.join(root, "journal");
    runsFile = path.join(root, "runs");
  });

  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.kill()));
    await proxy.close();
    await conductor.close();
    rmSync(root, { recursive: true, force: true });
  });

  /** A worker in a process of its own that writes down what it runs, in a file that outlives it. */
  function startWorker(taskTypes: readonly string[], { concurrency = CONCURRENCY, minMs = 20, maxMs = 60 } = {}) {
    const worker = startProcess({
      source: `
      import { appendFileSync } from "node:fs";
      import { TaskHandler, defineWorker } from "ostinato";
      const execute = async (input, { taskId }) => {
        appendFileSync(${JSON.stringify(runsFile)}, "began " + taskId + "\\n");
        await new Promise((resolve) => setTimeout(resolve, ${minMs} + Math.random() * ${maxMs - minMs}));
        appendFileSync(${JSON.stringify(runsFile)}, "ended " + taskId + "\\n");
        return { pid: process.pid };
      };
      const handler = new TaskHandler({
        serverUrl: ${JSON.stringify(`${proxy.url}/api`)},
        registry: false,
        journal: { dir: ${JSON.stringify(dir)} },
        workers: ${JSON.stringify(taskTypes)}.map((taskDefName) =>
          defineWorker({ taskDefName, concurrency: ${concurrency}, longPollMs: 500, execute })),
      });
      handler.on("taskReclaimed", ({ taskId, reason }) => console.log("reclaimed " + taskId + " " + reason));
      handler.on("taskMoot", ({ taskId }) => console.log("moot " + taskId));
      await handler.run();`,
      env: { CONDUCTOR_LOG_LEVEL: "warn", CONDUCTOR_LOG_FORMAT: "json" },
    });
    workers.push(worker);
    return worker;
  }

  async function defineWorkflow(name: string, definition: object): Promise<void> {
    await conductor.registerTaskDefs([{ name, retryCount: 3, retryDelaySeconds: 0, timeoutSeconds: 0, ...definition }]);
    await conductor.registerWorkflowDef({ name, tasks: [{ name, taskReferenceName: "only" }] });
  }

  const start = (name: string, count: number) =>
    Promise.all(Array.from({ length: count }, () => conductor.startWorkflow({ name })));

  /** What functions have written, as `began` or `ended` with a task. */
  const runs = (): string[] =>
    existsSync(runsFile)
      ? readFileSync(runsFile, "utf8")
          .split("\n")
          .filter((line) => line !== "")
      : [];
  const began = (taskId: string): number => runs().filter((line) => line === `began ${taskId}`).length;

  const readAtOfBytes =
    (bytes: Buffer): ReadAt =>
    (buffer, position) =>
      bytes.copy(buffer, 0, position, position + buffer.length);

  /** The tasks whose result is in a journal and has not left. */
  function journalled(): string[] {
    if (!existsSync(dir)) return [];
    return readdirSync(dir)
      .filter((name) => !name.endsWith(".new"))
      .flatMap((name) => [...scan(readAtOfBytes(readFileSync(path.join(dir, name)))).live.values()])
      .map(({ meta }) => meta.taskId);
  }

  async function post(url: string, body: object): Promise<void> {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${conductor.serverUrl}${url}`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
  }

  async function goAway(): Promise<void> {
    proxy.refuse();
    proxy.resetAll();
  }

  test("killed with finished results while the server was away: a successor delivers them, no function runs again", async () => {
    await defineWorkflow("lasting", { responseTimeoutSeconds: 3_600 });
    await defineWorkflow("brief", { responseTimeoutSeconds: 4 });
    const lasting = await start("lasting", 20);
    const brief = await start("brief", 5);
    const first = startWorker(["lasting", "brief"], { concurrency: 20, minMs: 1_500, maxMs: 1_600 });
    await waitFor(() => runs().length >= 25, { boundMs: 20_000, what: "25 functions to begin" });
    await goAway();
    await waitFor(() => journalled().length === 25, { boundMs: 10_000, what: "25 results in the journal" });
    await first.kill();

    const tasksOf = async (workflowIds: readonly string[]) =>
      (await Promise.all(workflowIds.map((id) => conductor.workflow(id)))).map(({ tasks }) => tasks[0]!.taskId);
    const [moved = "", ...kept] = await tasksOf(lasting);
    const timedOut = await tasksOf(brief);
    // The brief ones time out and are tried again; one of the others is handed back and given to somebody else.
    const isTimedOut = async (taskId: string) => (await conductor.task(taskId)).status === "TIMED_OUT";
    await waitFor(async () => (await Promise.all(timedOut.map(isTimedOut))).every(Boolean), {
      what: "time to run out",
    });
    const workflowInstanceId = lasting[0]!;
    await post("/tasks", { taskId: moved, workflowInstanceId, status: "IN_PROGRESS", callbackAfterSeconds: 0 });
    const poll = await fetch(`${conductor.serverUrl}/tasks/poll/batch/lasting?workerid=other&count=1&timeout=1000`);
    expect(await poll.json()).toMatchObject([{ taskId: moved }]);

    await proxy.accept();
    const second = startWorker(["lasting", "brief"]);
    await Promise.all(lasting.slice(1).map((id) => conductor.waitForWorkflow(id, { timeoutMs: 20_000 })));
    await Promise.all(brief.map((id) => conductor.waitForWorkflow(id, { timeoutMs: 20_000 })));

    for (const taskId of kept) {
      expect(await conductor.task(taskId)).toMatchObject({ status: "COMPLETED", outputData: { pid: first.pid } });
      expect(began(taskId), "times it ran").toBe(1);
    }
    for (const taskId of timedOut) {
      expect(await conductor.task(taskId)).toMatchObject({ status: "TIMED_OUT" });
      await second.waitForLine(new RegExp(`^moot ${taskId}`));
    }
    await second.waitForLine(new RegExp(`^moot ${moved}`));
    expect(await conductor.task(moved)).toMatchObject({ status: "IN_PROGRESS", workerId: "other", pollCount: 2 });
    const ledger = await conductor.ledger();
    const endings = ledger.filter((entry) => entry.kind === "update" && entry.status === "COMPLETED");
    expect(endings.filter(({ taskId }) => taskId === moved || timedOut.includes(taskId))).toEqual([]);
    for (const taskId of [moved, ...kept, ...timedOut])
      expect(second.output).toContain(`reclaimed ${taskId} predecessor`);

    second.signal("SIGTERM");
    expect(await second.waitForExit()).toEqual({ code: 0, signal: null });
    expect(readdirSync(dir), "files that are left").toEqual([]);
  });

  test(
    `killed ${KILLS} times at random moments: no result that was written is lost, no such function runs again`,
    async () => {
      await defineWorkflow("work", { responseTimeoutSeconds: 3_600 });
      const workflowIds: string[] = [];
      const written = new Set<string>();
      let killedBeforeWriting = 0;
      for (let round = 0; round < KILLS; round += 1) {
        workflowIds.push(...(await start("work", WORKFLOWS_PER_KILL)));
        const before = runs().length;
        const worker = startWorker(["work"]);
        // Some die before they have taken over what their predecessor left, most while they work.
        if (round % 4 !== 3) await waitFor(() => runs().length > before, { boundMs: 20_000, what: "work to begin" });
        await pause(Math.random() * 250);
        if (round % 2 === 0) {
          await goAway();
          await pause(Math.random() * 150);
        }
        const { signal } = await worker.kill();
        expect(signal).toBe("SIGKILL");
        if (round % 2 === 0) await proxy.accept();

        const now = journalled();
        for (const taskId of now) written.add(taskId);
        for (const line of runs().slice(before)) {
          const [what, taskId = ""] = line.split(" ");
          if (what !== "ended" || written.has(taskId)) continue;
          if ((await conductor.task(taskId)).status !== "COMPLETED") killedBeforeWriting += 1;
        }
      }
      const last = startWorker(["work"]);
      await waitFor(async () => (await Promise.all([...written].map((id) => conductor.task(id)))).every(isCompleted), {
        boundMs: 30_000,
        everyMs: 100,
        what: "every result that was written to be delivered",
      });
      for (const taskId of written) expect(began(taskId), `times ${taskId} ran`).toBe(1);
      await waitFor(() => journalled().length === 0, { boundMs: 10_000, what: "the journals to be empty" });
      // What was killed in the middle is not the journal's to repair: here a failure reports it, and it is run again.
      const isOver = async () => {
        for (const { taskId, workflowInstanceId, workerId } of (await conductor.audit()).violations.lost) {
          if (workerId?.includes(`:${last.pid}:`) === true) continue;
          await post("/tasks", { taskId, workflowInstanceId, workerId, status: "FAILED" });
        }
        return (await conductor.audit()).workflows.COMPLETED === workflowIds.length;
      };
      await waitFor(isOver, { boundMs: 30_000, everyMs: 200, what: "every workflow to be completed" });
      for (const taskId of written) expect(began(taskId), `times ${taskId} ran`).toBe(1);
      last.signal("SIGTERM");
      expect(await last.waitForExit()).toEqual({ code: 0, signal: null });
      expect(readdirSync(dir), "files that are left").toEqual([]);
      const damaged = workers.filter(({ output }) => output.includes("a journal is damaged")).length;
      console.info(
        `${KILLS} kills, ${workflowIds.length} workflows: ${written.size} results were in a journal at a kill and all were ` +
          `delivered; ${killedBeforeWriting} functions had ended and nothing was written yet; ${damaged} torn journals`,
      );
      expect(written.size, "results in journals: without any this proves nothing").toBeGreaterThan(KILLS / 4);
    },
    60_000 + KILLS * 5_000,
  );
});

const isCompleted = ({ status }: { status: string }): boolean => status === "COMPLETED";
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
