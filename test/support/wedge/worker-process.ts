import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import type { StallReport } from "../../../src/liveness/stall-report.js";
import { startEmbeddedConductor, type EmbeddedConductor } from "../../../src/testing/index.js";
import { startProcess, type ProcessExit, type RunningProcess } from "../process/process-harness.js";
import { waitFor } from "../time/wait-for.js";

export const PROGRAM = fileURLToPath(new URL("program.mjs", import.meta.url));
/** The smallest that the options allow with their polls of 100 ms and requests of 200 ms. */
export const STALL_MS = 1_300;

/** A server in a process of its own, for all tests of a file; each test has a task type of its own. */
export async function startServer(): Promise<EmbeddedConductor> {
  return startEmbeddedConductor({ ownProcess: true, queue: "eager" });
}

/** A task type that nobody else polls. */
export interface TaskType {
  readonly name: string;
  /** Schedules a task; resolves with a look at it. */
  schedule(what: string): Promise<() => Promise<{ taskId: string; status: string; reason: string }>>;
}

let lastType = 0;
export async function newTaskType(server: EmbeddedConductor): Promise<TaskType> {
  const name = `work-${++lastType}`;
  await server.registerTaskDefs([{ name, retryCount: 0, responseTimeoutSeconds: 60, timeoutSeconds: 0 }]);
  const inputParameters = { what: "${workflow.input.what}" };
  await server.registerWorkflowDef({ name, tasks: [{ name, taskReferenceName: "only", inputParameters }] });
  return {
    name,
    async schedule(what) {
      const workflowId = await server.startWorkflow({ name, input: { what } });
      return async () => {
        const task = (await server.workflow(workflowId)).tasks[0]!;
        return { taskId: task.taskId, status: task.status, reason: task.reasonForIncompletion ?? "" };
      };
    },
  };
}

export interface WorkerSetup {
  readonly wedge?: string;
  readonly env?: Record<string, string>;
  readonly nodeArgs?: readonly string[];
  readonly script?: string;
  readonly args?: readonly string[];
  readonly cwd?: string;
  /** A command that becomes the process. */
  readonly under?: readonly string[];
}

export function startWorker(server: EmbeddedConductor, type: TaskType, setup: WorkerSetup = {}): RunningProcess {
  return startProcess({
    script: setup.script ?? PROGRAM,
    ...(setup.args === undefined ? {} : { args: setup.args }),
    ...(setup.nodeArgs === undefined ? {} : { nodeArgs: setup.nodeArgs }),
    ...(setup.cwd === undefined ? {} : { cwd: setup.cwd }),
    ...(setup.under === undefined ? {} : { under: setup.under }),
    env: { WEDGE: setup.wedge, SERVER_URL: server.serverUrl, TASK_TYPE: type.name, ...setup.env },
  });
}

/** As a shell tells it. */
export function codeOf({ code, signal }: ProcessExit): number {
  return code ?? 128 + constants.signals[signal!];
}

export interface StallLine {
  readonly level: number;
  readonly name: string;
  readonly pid: number;
  readonly exitCode: number;
  readonly msg: string;
  readonly stall: StallReport;
}

/** The lines of the watchdog among what a process wrote to stderr. */
export function stallLines(process: RunningProcess): StallLine[] {
  return process.stderr.filter((line) => line.includes('"stall":{')).map((line) => JSON.parse(line) as StallLine);
}

/** When the program said that it was about to be stuck, by the wall clock. */
export async function stuckAt(process: RunningProcess): Promise<number> {
  return Number((await process.waitForLine(/stuck at (\d+)/))[1]);
}

/** What `look` sees, once the task has left IN_PROGRESS. */
export async function ended<T extends { status: string }>(look: () => Promise<T>): Promise<T> {
  return waitFor(
    async () => {
      const seen = await look();
      return seen.status === "IN_PROGRESS" || seen.status === "SCHEDULED" ? undefined : seen;
    },
    { what: "the task to end" },
  );
}
