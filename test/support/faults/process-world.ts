import type { TaskDef, Workflow } from "../../../src/index.js";
import { startEmbeddedConductor, type EmbeddedConductor } from "../../../src/testing/index.js";
import { waitFor } from "../time/wait-for.js";
import type { SeenEvent } from "./event-log.js";
import type { FaultRun } from "./fault.js";
import {
  startWorkerProcess,
  type StartWorkerOptions,
  type WorkerProcess,
  type WorkerProcessSettings,
} from "./worker-process.js";
import { beginWorkflows, completed, defineTypes, openTasks, type Input } from "./world.js";

export interface ProcessWorldOptions {
  /** Default: one in a process of its own, on the loopback. */
  readonly conductor?: EmbeddedConductor;
  /** The definition of the tasks; see {@link defineTypes}. */
  readonly taskDef?: Partial<TaskDef>;
  /** Task types beside `work`, with their definitions. */
  readonly taskTypes?: Readonly<Record<string, Partial<TaskDef>>>;
  /** Why the server itself may time tasks out in this fault; see {@link Evidence.mayTimeOut}. */
  readonly mayTimeOut?: string;
}

/** Workers in processes of their own, against one server. */
export interface ProcessWorld {
  readonly conductor: EmbeddedConductor;
  readonly workers: readonly WorkerProcess[];
  /** Starts another worker; `serverUrl` defaults to the server's own. */
  startWorker(settings?: Partial<WorkerProcessSettings>, options?: StartWorkerOptions): Promise<WorkerProcess>;
  begin(count?: number, input?: Input, taskType?: string): Promise<string[]>;
  done(workflowIds: readonly string[], boundMs?: number): Promise<Workflow[]>;
  /** Waits until this many functions have been entered, by all workers together. */
  began(count: number): Promise<void>;
  /** Says that a process has ended without being able to end its tasks. */
  died(worker: WorkerProcess): void;
}

/** How long a worker may take to end after SIGTERM when it has nothing to do, in ms. */
const EXIT_MS = 10_000;

/** Starts it as a part of a fault: at its end the workers are stopped by SIGTERM, and what they told is audited. */
export async function startProcessWorld(run: FaultRun, options: ProcessWorldOptions = {}): Promise<ProcessWorld> {
  const conductor = options.conductor ?? (await startEmbeddedConductor({ ownProcess: true }));
  const workers: WorkerProcess[] = [];
  const dead = new Set<WorkerProcess>();
  run.audited({
    async settled() {
      await waitFor(async () => (await openTasks(conductor)) === 0, {
        boundMs: 15_000,
        everyMs: 50,
        what: "every task to end",
      });
      // Their last words are evidence, too.
      for (const worker of workers) {
        worker.signal("SIGTERM");
        await worker.waitForExit(EXIT_MS);
      }
    },
    evidence: async () => ({
      ledger: await conductor.ledger(),
      workflows: await conductor.workflows(),
      events: workers.flatMap((worker) => [...worker.events, ...(dead.has(worker) ? [deathOf(worker)] : [])]),
      ...(options.mayTimeOut === undefined ? {} : { mayTimeOut: options.mayTimeOut }),
    }),
    async close() {
      for (const worker of workers) await worker.kill();
      await conductor.close();
    },
  });
  await defineTypes(conductor, ["work"], options.taskDef);
  for (const [taskType, taskDef] of Object.entries(options.taskTypes ?? {}))
    await defineTypes(conductor, [taskType], taskDef);
  return {
    conductor,
    workers,
    async startWorker(settings = {}, startOptions) {
      const worker = await startWorkerProcess({ serverUrl: conductor.serverUrl, ...settings }, startOptions);
      workers.push(worker);
      return worker;
    },
    begin: (count = 1, input = {}, taskType = "work") => beginWorkflows(conductor, count, input, taskType),
    done: (workflowIds, boundMs) => completed(conductor, workflowIds, boundMs),
    began: async (count) => {
      const entered = () => workers.flatMap(({ events }) => events.filter(({ name }) => name === "taskStarted"));
      await waitFor(() => entered().length >= count, { boundMs: 10_000, what: `${count} tasks to begin` });
    },
    died: (worker) => void dead.add(worker),
  };
}

function deathOf({ events }: WorkerProcess): SeenEvent {
  const last = events.at(-1);
  return { name: "processDied", atMs: last?.atMs ?? 0, worker: last?.worker ?? "", fields: {} };
}
