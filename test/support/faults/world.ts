import {
  defineWorker,
  TaskHandler,
  type TaskHandlerOptions,
  type WorkerSpec,
  type TaskDef,
  type Workflow,
} from "../../../src/index.js";
import { startEmbeddedConductor, type EmbeddedConductor } from "../../../src/testing/index.js";
import { silentLogger } from "../log/loggers.js";
import { startTcpProxy, type TcpProxy } from "../network/tcp-proxy.js";
import { startGateway, type Gateway } from "../servers/gateway.js";
import { waitFor } from "../time/wait-for.js";
import type { Evidence } from "./audit.js";
import { watchEvents, type SeenEvent } from "./event-log.js";

/** Short, so that a fault costs seconds; what is proved does not depend on it. */
export const REQUEST_TIMEOUT_MS = 800;
export const LONG_POLL_MS = 500;
/** The longest that one request can take: that of a held poll. */
export const LONGEST_DEADLINE_MS = LONG_POLL_MS + REQUEST_TIMEOUT_MS;
/** The bound of the suite where the fault is in a connection: one request deadline plus one second. */
export const CONNECTION_BOUND_MS = LONGEST_DEADLINE_MS + 1_000;

/** Everything that a started task may still need at the end of a fault, in ms. */
const SETTLE_MS = 15_000;

export type Input = Record<string, unknown>;
type Spec = Omit<WorkerSpec<Input, unknown>, "taskDefName">;

/** What stands between a worker and its tasks in one fault. */
export interface WorldOptions {
  /** The worker of task type `work`; default: concurrency 5, returns at once. */
  readonly worker?: Partial<Spec>;
  /** Instead of it: workers by task type. */
  readonly workers?: Readonly<Record<string, Partial<Spec>>>;
  readonly handler?: Partial<Omit<TaskHandlerOptions, "workers" | "serverUrl">>;
  readonly taskDef?: Partial<TaskDef>;
  readonly queue?: "patient" | "eager" | "instant";
  /** Put a scripted gateway between the proxy and the server. Default false. */
  readonly gateway?: boolean;
  /** Default true; otherwise the fault starts `handler` itself. */
  readonly start?: boolean;
  /** Why the server itself may time tasks out in this fault; see {@link Evidence.mayTimeOut}. */
  readonly mayTimeOut?: string;
  /** A running server to use, of a fault that must run it elsewhere; it is closed with the world. */
  readonly conductor?: EmbeddedConductor;
}

/** A worker in this process → a TCP proxy → (a scripted gateway →) an embedded Conductor in its own process. */
export interface World {
  readonly conductor: EmbeddedConductor;
  readonly proxy: TcpProxy;
  /** Throws unless the world was asked for with `gateway`. */
  readonly gateway: Gateway;
  readonly handler: TaskHandler;
  /** What the worker told so far. */
  readonly events: readonly SeenEvent[];
  /** The events of one name. */
  seen(name: SeenEvent["name"]): SeenEvent[];
  /** Starts workflows of one task each; gives their ids. */
  begin(count?: number, input?: Input, taskType?: string): Promise<string[]>;
  /** Waits until workflows are COMPLETED. */
  done(workflowIds: readonly string[], boundMs?: number): Promise<Workflow[]>;
  /** Waits until every task has ended and the worker holds none. */
  settled(): Promise<void>;
  evidence(): Promise<Evidence>;
  close(): Promise<void>;
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const specs = options.workers ?? { work: options.worker ?? {} };
  const taskTypes = Object.keys(specs);
  const conductor =
    options.conductor ?? (await startEmbeddedConductor({ ownProcess: true, queue: options.queue ?? "patient" }));
  await defineTypes(conductor, taskTypes, options.taskDef);
  const gateway = options.gateway === true ? await startGateway(conductor.serverUrl) : undefined;
  const proxy = await startTcpProxy(gateway?.url ?? new URL(conductor.serverUrl).origin);
  const handler = new TaskHandler({
    serverUrl: `${proxy.url}/api`,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    logger: silentLogger,
    registry: false,
    ...options.handler,
    workers: taskTypes.map((taskDefName) =>
      defineWorker<Input, unknown>({
        concurrency: 5,
        longPollMs: LONG_POLL_MS,
        execute: () => ({ done: true }),
        ...specs[taskDefName],
        taskDefName,
      }),
    ),
  });
  const events: SeenEvent[] = [];
  watchEvents(handler, "worker", (event) => events.push(event));
  if (options.start !== false) await handler.start();

  return {
    conductor,
    proxy,
    get gateway() {
      if (gateway === undefined) throw new Error("this world has no gateway: ask for one");
      return gateway;
    },
    handler,
    events,
    seen: (name) => events.filter((event) => event.name === name),
    begin: (count = 1, input = {}, taskType = "work") => beginWorkflows(conductor, count, input, taskType),
    done: (workflowIds, boundMs) => completed(conductor, workflowIds, boundMs),
    async settled() {
      await waitFor(async () => (await openTasks(conductor)) === 0 && handler.status.inFlight === 0, {
        boundMs: SETTLE_MS,
        everyMs: 50,
        what: () => `every task to end; the worker holds ${handler.status.inFlight}`,
      });
    },
    evidence: async () => ({
      ledger: await conductor.ledger(),
      workflows: await conductor.workflows(),
      events,
      ...(options.mayTimeOut === undefined ? {} : { mayTimeOut: options.mayTimeOut }),
    }),
    async close() {
      await handler.stop({ drainTimeoutMs: 0 });
      await proxy.close();
      await gateway?.close();
      await conductor.close();
    },
  };
}

/** Registers task types, and for each a workflow of its name with one task; a lost task would stay open for an hour. */
export async function defineTypes(
  conductor: EmbeddedConductor,
  taskTypes: readonly string[],
  taskDef: Partial<TaskDef> = {},
): Promise<void> {
  await conductor.registerTaskDefs(
    taskTypes.map((name) => ({
      name,
      ownerEmail: "faults@example.com",
      retryCount: 3,
      retryDelaySeconds: 0,
      timeoutSeconds: 0,
      responseTimeoutSeconds: 3_600,
      ...taskDef,
    })),
  );
  for (const name of taskTypes) {
    const inputParameters = {
      n: "${workflow.input.n}",
      mode: "${workflow.input.mode}",
      data: "${workflow.input.data}",
    };
    await conductor.registerWorkflowDef({
      name,
      version: 1,
      ownerEmail: "faults@example.com",
      tasks: [{ name, taskReferenceName: name, type: "SIMPLE", inputParameters }],
    });
  }
}

export async function beginWorkflows(
  conductor: EmbeddedConductor,
  count: number,
  input: Input,
  taskType: string,
): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await conductor.startWorkflow({ name: taskType, input: { n, ...input } }));
  return ids;
}

export async function completed(
  conductor: EmbeddedConductor,
  workflowIds: readonly string[],
  boundMs = 10_000,
): Promise<Workflow[]> {
  const ended = await Promise.all(workflowIds.map((id) => conductor.waitForWorkflow(id, { timeoutMs: boundMs })));
  for (const { workflowId, status, reasonForIncompletion } of ended) {
    if (status !== "COMPLETED") throw new Error(`workflow ${workflowId} is ${status}: ${reasonForIncompletion ?? ""}`);
  }
  return ended;
}

export async function openTasks(conductor: EmbeddedConductor): Promise<number> {
  const workflows = await conductor.workflows();
  return workflows
    .flatMap(({ tasks }) => tasks ?? [])
    .filter(({ status }) => status === "SCHEDULED" || status === "IN_PROGRESS").length;
}
