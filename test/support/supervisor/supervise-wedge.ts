import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { createConductorClient } from "../../../src/index.js";
import { startConductorProxy } from "../network/conductor-proxy.js";
import { startProcess, type RunningProcess } from "../process/process-harness.js";
import { waitFor } from "../time/wait-for.js";
import type { Wedge } from "../wedge/wedges.js";
import { PROGRAM, STALL_MS } from "../wedge/worker-process.js";
import { isAlive, lines } from "./with-supervisor.js";

const MAIN = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
/** As many as the program's processes have slots, less two: whichever gets the wedge has some of these beside it. */
const BYSTANDERS = 6;

/** One task of a workflow of one task: each of its attempts, as the server has it. */
export interface Attempt {
  readonly taskId: string;
  readonly status: string;
  readonly workerId: string | undefined;
  readonly pollCount: number | undefined;
  readonly reason: string | undefined;
}

/** What was handed out to a process when the other one, or itself, died, and what became of it. */
export interface Held {
  /** A task that never ends by itself, not the one that got stuck. */
  readonly isBystander: boolean;
  readonly atDeath: Attempt;
  readonly attempts: readonly Attempt[];
}

/** What became of a process that got stuck, and of what it had. Times in ms. */
export interface WedgeStory {
  readonly name: string;
  /** Why it ended, as the supervisor has it. */
  readonly exitReason: string;
  readonly exitLine: string;
  /** From the death until the server got the first poll of the process that took its place. */
  readonly successorPolledMs: number;
  /** From that poll until the last task of the dead process had run again, or was reported by it before it died. */
  readonly allEndedMs: number;
  /** Workflows of which the dead process had a task; each has run to its end. */
  readonly ofTheDead: readonly Held[];
  /** Workflows of which the process that goes on has a task. */
  readonly ofTheLiving: readonly Held[];
  readonly primary: RunningProcess;
}

export interface WedgeRun {
  readonly wedge: Wedge;
  readonly serverUrl: string;
  /** Gives each process a journal in a folder of its own. */
  readonly journal?: boolean;
  /** Options of the program's handler, instead of its own. */
  readonly handler?: object;
  /** How long each task of the dead process may take to run to its end, in ms. Default 30000. */
  readonly endBoundMs?: number;
}

let lastType = 0;

/**
 * Runs two processes, lets one of them get stuck among tasks that never end by themselves, and watches what follows until
 * each task of the dead one has run to its end.
 */
export async function superviseWedge(run: WedgeRun): Promise<WedgeStory> {
  const { wedge, serverUrl, journal = false, handler = {}, endBoundMs = 30_000 } = run;
  const type = `supervised-${process.pid}-${++lastType}`;
  const folder = mkdtempSync(path.join(tmpdir(), "ostinato-wedged-"));
  const fifo = path.join(folder, "fifo");
  execFileSync("mkfifo", [fifo]);
  const proxy = await startConductorProxy(serverUrl);
  /** By the process id that the name of a poller has in it. */
  const firstPolls = new Map<number, number>();
  proxy.treat(({ path: asked, query }) => {
    const pid = pidOf(query.get("workerid") ?? undefined);
    if (asked.includes("/tasks/poll/") && !firstPolls.has(pid)) firstPolls.set(pid, Date.now());
    return "pass";
  });
  const client = createConductorClient({ serverUrl });
  const handlerOptions = { ...handler, ...(journal ? { journal: { dir: path.join(folder, "journal") } } : {}) };
  const primary = startProcess({
    script: MAIN,
    args: ["run", PROGRAM, "--processes", "2"],
    env: {
      WEDGE: wedge.name,
      SERVER_URL: proxy.serverUrl,
      TASK_TYPE: type,
      FIFO: fifo,
      ONCE: path.join(folder, "once"),
      HANDLER_OPTIONS: JSON.stringify(handlerOptions),
      CONDUCTOR_LOG_FORMAT: "json",
    },
    ownGroup: true,
  });
  try {
    await client.metadata.registerTaskDefs([
      { name: type, retryCount: 3, retryDelaySeconds: 0, responseTimeoutSeconds: 3_600, timeoutSeconds: 0 },
    ]);
    const inputParameters = { what: "${workflow.input.what}" };
    await client.metadata.registerWorkflowDefs([
      { name: type, tasks: [{ name: type, taskReferenceName: "only", inputParameters }] },
    ]);
    const begin = (what: string) => client.workflows.start({ name: type, version: 1, input: { what } });
    const attempts = async (workflowId: string): Promise<Attempt[]> => {
      const { tasks = [] } = await client.workflows.get(workflowId);
      return tasks.map((task) => ({
        taskId: task.taskId,
        status: task.status,
        workerId: task.workerId,
        pollCount: task.pollCount,
        reason: task.reasonForIncompletion,
      }));
    };

    const readyPids = () => lines(primary, "a worker process is ready").map(({ childPid }) => childPid as number);
    await waitFor(() => readyPids().length >= 2, {
      boundMs: 30_000,
      what: () => `two processes to be ready; ${primary.output}`,
    });
    const pids = readyPids();
    const death = waitFor(
      () => {
        const dead = pids.find((pid) => !isAlive(pid));
        return dead === undefined ? undefined : { pid: dead, at: Date.now() };
      },
      {
        boundMs: STALL_MS + 30_000,
        what: () => `one of ${pids.join(" and ")} to end; ${primary.output}`,
      },
    );
    death.catch(() => undefined);

    const workflows: string[] = [];
    if (wedge.withoutTasks === undefined) {
      const began = (what: string) => primary.stdout.filter((line) => line === `began ${what}`).length;
      for (let i = 0; i < BYSTANDERS; i += 1) workflows.push(await begin("bystander"));
      await waitFor(() => began("bystander") === BYSTANDERS, { boundMs: 15_000, what: "the bystanders to run" });
      const wedging = await begin("wedge");
      workflows.push(wedging);
      await waitFor(() => began("wedge") === 1, { boundMs: 15_000, what: "the wedge to run" });
      if (wedge.name === "draining") process.kill(pidOf((await attempts(wedging))[0]?.workerId), "SIGTERM");
    }

    const { pid: dead, at: diedAt } = await death;
    const held = await Promise.all(
      workflows.map(async (id, i) => ({ id, isBystander: i < BYSTANDERS, atDeath: (await attempts(id))[0]! })),
    );
    const ofTheDead = held.filter(({ atDeath }) => pidOf(atDeath.workerId) === dead);
    const ofTheLiving = held.filter(({ atDeath }) => pidOf(atDeath.workerId) !== dead);
    await waitFor(() => readyPids().length >= 3, {
      boundMs: 30_000,
      what: () => `another process; ${primary.output}`,
    });
    const successor = readyPids()[2]!;
    const polledAt = await waitFor(() => firstPolls.get(successor), { boundMs: 15_000, what: "it to poll" });

    const isOver = async (id: string) => (await client.workflows.get(id)).status === "COMPLETED";
    await Promise.all(
      ofTheDead.map(({ id }) =>
        waitFor(() => isOver(id), { boundMs: endBoundMs, everyMs: 50, what: `workflow ${id} to be completed` }),
      ),
    ).catch(async (error: unknown) => {
      const state = await Promise.all(ofTheDead.map(({ id }) => attempts(id)));
      throw new Error(`${JSON.stringify(state, undefined, 1)}\n${primary.output}`, { cause: error });
    });
    const endedAt = Date.now();
    const nowOf = (some: typeof held) =>
      Promise.all(some.map(async ({ id, ...rest }) => ({ ...rest, attempts: await attempts(id) })));
    const line = lines(primary, "a worker process has ended")[0] as { reason: string; msg: string };
    return {
      name: wedge.name,
      exitReason: line.reason,
      exitLine: line.msg,
      successorPolledMs: polledAt - diedAt,
      allEndedMs: endedAt - polledAt,
      ofTheDead: await nowOf(ofTheDead),
      ofTheLiving: await nowOf(ofTheLiving),
      primary,
    };
  } finally {
    await primary.kill();
    await client[Symbol.asyncDispose]();
    await proxy.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The default `workerId` is host:pid:random. */
export function pidOf(workerId: string | undefined): number {
  return Number(workerId?.split(":").at(-2));
}
