import { randomUUID } from "node:crypto";
import { http, HttpResponse, type RequestHandler } from "msw";
import type { Task, TaskDef, TaskResult } from "../../../src/conductor/types.js";
import { startScriptedServer, type ScriptedServer } from "./scripted-server.js";

/** How often a patient queue looks, and how long `update-v2` and a single poll wait for a task, in ms. */
const STEP_MS = 100;
/** The server's own limit. */
const MAX_POLL_TIMEOUT_MS = 5_000;

const TERMINAL = new Set([
  "COMPLETED",
  "COMPLETED_WITH_ERRORS",
  "FAILED",
  "FAILED_WITH_TERMINAL_ERROR",
  "CANCELED",
  "TIMED_OUT",
  "SKIPPED",
]);

/** How a {@link ConductorStub} behaves. */
export interface ConductorStubOptions {
  /** Where the API is. Default `/api`. */
  readonly basePath?: string;
  /**
   * What a held poll waits for: `patient` (SQL) for `count` tasks, in steps of 100 ms; `eager` (Redis) for the first
   * task; `instant` not at all. Default `eager`.
   */
  readonly queue?: "patient" | "eager" | "instant";
}

/** One poll that was asked. */
export interface SeenPoll {
  readonly taskType: string;
  readonly domain: string | undefined;
  readonly workerId: string | undefined;
  readonly count: number;
  readonly timeoutMs: number;
}

/** A log line that came by the log endpoint. */
export interface SeenLog {
  readonly taskId: string;
  readonly log: string;
}

/**
 * Conductor's task endpoints over a list of tasks in memory, as msw handlers. It has no workflows, retries or timeouts.
 * As on the real server, a poll whose client has left still takes a task with it.
 */
export interface ConductorStub {
  /** The script; tests put their own in front with `server.use(…)`. */
  readonly handlers: readonly RequestHandler[];
  /** Every task that was pushed, by id, as `GET /tasks/{taskId}` would show it. */
  readonly tasks: ReadonlyMap<string, Task>;
  /** Every update that was accepted, in order, repetitions and lease extensions included. */
  readonly updates: readonly TaskResult[];
  readonly logs: readonly SeenLog[];
  readonly polls: readonly SeenPoll[];
  /** How many polls are being held now. */
  readonly heldPolls: number;
  /** How many tasks wait in a queue. */
  readonly queued: number;
  /** Puts tasks in the queue of their type (and domain); held polls get them. */
  push(...tasks: Task[]): void;
  /** The updates of one task. */
  updatesOf(taskId: string): readonly TaskResult[];
  /** Ends a task as a termination of its workflow does: CANCELED, and nobody is told. */
  cancel(taskId: string): void;
  /** Answers every held poll now, empty if need be, and holds none from now on. */
  release(): void;
}

/** A stub that is served. */
export interface ServedConductorStub {
  readonly stub: ConductorStub;
  readonly server: ScriptedServer;
  /** What a worker is given: ends in the base path. */
  readonly serverUrl: string;
  /** Releases the held polls and closes the server. */
  close(): Promise<void>;
}

/** Starts a {@link ConductorStub} on a socket of its own. */
export async function startConductorStub(options: ConductorStubOptions = {}): Promise<ServedConductorStub> {
  const stub = createConductorStub(options);
  const server = await startScriptedServer([...stub.handlers]);
  return {
    stub,
    server,
    serverUrl: `${server.url}${options.basePath ?? "/api"}`,
    async close() {
      stub.release();
      await server.close();
    },
  };
}

/** Makes the handlers and the list behind them. */
export function createConductorStub(options: ConductorStubOptions = {}): ConductorStub {
  const { basePath = "/api", queue: queueKind = "eager" } = options;
  const tasks = new Map<string, Task>();
  /** Ids of tasks, by queue, oldest first. */
  const queues = new Map<string, string[]>();
  const updates: TaskResult[] = [];
  const logs: SeenLog[] = [];
  const polls: SeenPoll[] = [];
  /** Looks of the held polls, each at its own queue. */
  const held = new Set<() => void>();
  let released = false;

  const queueOf = (name: string): string[] => {
    let ids = queues.get(name);
    if (ids === undefined) queues.set(name, (ids = []));
    return ids;
  };

  function enqueue(task: Task) {
    task.status = "SCHEDULED";
    queueOf(queueName(task.taskType, task.domain)).push(task.taskId);
    // A patient queue looks at its own times.
    if (queueKind === "eager") for (const look of [...held]) look();
  }

  function take(name: string, count: number, workerId: string | undefined): Task[] {
    const taken: Task[] = [];
    const ids = queueOf(name);
    while (taken.length < count && ids.length > 0) {
      const task = tasks.get(ids.shift()!)!;
      if (TERMINAL.has(task.status)) continue;
      task.status = "IN_PROGRESS";
      task.pollCount++;
      task.updateTime = Date.now();
      if (task.startTime === 0) task.startTime = task.updateTime;
      task.queueWaitTime = Math.max(0, task.updateTime - task.scheduledTime);
      task.callbackAfterSeconds = 0;
      if (workerId !== undefined) task.workerId = workerId;
      taken.push(structuredClone(task));
    }
    return taken;
  }

  /** Takes up to `count`, held for up to `timeoutMs` as the kind of queue does. */
  function poll(name: string, count: number, timeoutMs: number, workerId: string | undefined): Promise<Task[]> {
    const enough = queueKind === "patient" ? count : 1;
    if (timeoutMs <= 0 || released || queueKind === "instant" || queueOf(name).length >= enough) {
      return Promise.resolve(take(name, count, workerId));
    }
    return new Promise((resolve) => {
      const endMs = performance.now() + timeoutMs;
      const look = () => {
        const over = released || performance.now() >= endMs;
        if (!over && queueOf(name).length < enough) return;
        held.delete(look);
        clearInterval(steps);
        clearTimeout(end);
        resolve(take(name, count, workerId));
      };
      const steps = queueKind === "patient" ? setInterval(look, STEP_MS) : undefined;
      const end = setTimeout(() => {
        // Timers may come a fraction early; this one is the end all the same.
        held.delete(look);
        clearInterval(steps);
        resolve(take(name, count, workerId));
      }, timeoutMs);
      held.add(look);
    });
  }

  /** The task, or the answer to an update that is refused. */
  function applyUpdate(result: TaskResult): Task | Response {
    if (!result.taskId || !result.workflowInstanceId)
      return errorResponse(400, "Validation failed, check below errors for detail.");
    const task = tasks.get(result.taskId);
    if (task === undefined) return errorResponse(404, `No such task found by id: ${result.taskId}`);
    if (!result.extendLease && !(result.status as string | undefined)) {
      return errorResponse(500, "Cannot invoke ordinal() because status is null");
    }
    updates.push(result);
    if (TERMINAL.has(task.status)) return task;
    task.updateTime = Date.now();
    if (result.extendLease) return task;
    task.outputData = result.outputData ?? {};
    if (result.workerId !== undefined) task.workerId = result.workerId;
    if (result.reasonForIncompletion !== undefined)
      task.reasonForIncompletion = result.reasonForIncompletion.slice(0, 500);
    if (result.status === "IN_PROGRESS") {
      task.callbackAfterSeconds = result.callbackAfterSeconds ?? 0;
      task.status = "SCHEDULED";
      const requeue = () => {
        if (task.status === "SCHEDULED") enqueue(task);
      };
      if (task.callbackAfterSeconds > 0) setTimeout(requeue, task.callbackAfterSeconds * 1_000).unref();
      else requeue();
    } else {
      task.status = result.status;
      task.endTime = task.updateTime;
    }
    return task;
  }

  const at = (path: string) => `*${basePath}/tasks${path}`;
  const handlers: RequestHandler[] = [
    http.get<{ taskType: string }>(at("/poll/batch/:taskType"), async ({ request, params }) => {
      const { searchParams } = new URL(request.url);
      const seen: SeenPoll = {
        taskType: decodeURIComponent(params.taskType),
        domain: searchParams.get("domain") ?? undefined,
        workerId: searchParams.get("workerid") ?? undefined,
        count: Number(searchParams.get("count") ?? 1),
        timeoutMs: Number(searchParams.get("timeout") ?? STEP_MS),
      };
      polls.push(seen);
      if (seen.timeoutMs > MAX_POLL_TIMEOUT_MS) {
        return errorResponse(400, "Long Poll Timeout value cannot be more than 5 seconds");
      }
      return HttpResponse.json(
        await poll(queueName(seen.taskType, seen.domain), seen.count, seen.timeoutMs, seen.workerId),
      );
    }),
    http.get<{ taskType: string }>(at("/poll/:taskType"), async ({ request, params }) => {
      const { searchParams } = new URL(request.url);
      const taskType = decodeURIComponent(params.taskType);
      const domain = searchParams.get("domain") ?? undefined;
      const workerId = searchParams.get("workerid") ?? undefined;
      polls.push({ taskType, domain, workerId, count: 1, timeoutMs: STEP_MS });
      const [task] = await poll(queueName(taskType, domain), 1, STEP_MS, workerId);
      return task === undefined ? new HttpResponse(null, { status: 204 }) : HttpResponse.json(task);
    }),
    http.get(at("/queue/sizes"), ({ request }) => {
      const types = new URL(request.url).searchParams.getAll("taskType");
      if (types.length === 0) return errorResponse(500, "taskType is null");
      return HttpResponse.json(Object.fromEntries(types.map((name) => [name, queueOf(name).length])));
    }),
    http.post(at("/update-v2"), async ({ request }) => {
      const result = (await request.json()) as TaskResult;
      const task = applyUpdate(result);
      if (task instanceof Response) return task;
      if (result.extendLease || !TERMINAL.has(task.status)) return new HttpResponse(null, { status: 204 });
      const [next] = await poll(queueName(task.taskType, task.domain), 1, STEP_MS, result.workerId);
      return next === undefined ? new HttpResponse(null, { status: 204 }) : HttpResponse.json(next);
    }),
    http.post(at(""), async ({ request }) => {
      const result = (await request.json()) as TaskResult;
      const task = applyUpdate(result);
      return task instanceof Response ? task : HttpResponse.text(result.taskId);
    }),
    http.post<{ taskId: string }>(at("/:taskId/log"), async ({ request, params }) => {
      logs.push({ taskId: params.taskId, log: await request.text() });
      return new HttpResponse(null, { status: 200 });
    }),
    http.get<{ taskId: string }>(at("/:taskId/log"), ({ params }) => {
      const found = logs.filter((entry) => entry.taskId === params.taskId);
      return found.length === 0 ? new HttpResponse(null, { status: 204 }) : HttpResponse.json(found);
    }),
    http.get<{ taskId: string }>(at("/:taskId"), ({ params }) => {
      const task = tasks.get(params.taskId);
      return task === undefined
        ? errorResponse(404, `No such task found by id: ${params.taskId}`)
        : HttpResponse.json(task);
    }),
  ];

  return {
    handlers,
    tasks,
    updates,
    logs,
    polls,
    get heldPolls() {
      return held.size;
    },
    get queued() {
      let count = 0;
      for (const ids of queues.values()) count += ids.length;
      return count;
    },
    push(...added) {
      // All of them first, so that a held poll that wakes finds the whole batch.
      for (const task of added) tasks.set(task.taskId, structuredClone(task));
      const last = added.length - 1;
      added.forEach(({ taskId }, index) => {
        const task = tasks.get(taskId)!;
        if (index < last) {
          task.status = "SCHEDULED";
          queueOf(queueName(task.taskType, task.domain)).push(taskId);
        } else enqueue(task);
      });
    },
    updatesOf: (taskId) => updates.filter((result) => result.taskId === taskId),
    cancel(taskId) {
      const task = tasks.get(taskId);
      if (task === undefined) throw new Error(`cancel: no task ${taskId} was pushed`);
      if (TERMINAL.has(task.status)) return;
      task.status = "CANCELED";
      task.endTime = task.updateTime = Date.now();
    },
    release() {
      released = true;
      for (const look of [...held]) look();
    },
  };
}

function queueName(taskType: string, domain: string | undefined): string {
  return domain === undefined ? taskType : `${domain}:${taskType}`;
}

function errorResponse(status: number, message: string): Response {
  return HttpResponse.json({ status, message, instance: "stub", retryable: false }, { status });
}

/** What {@link makeTask} takes: fields of a task; of the definition, those that matter. */
export type TaskOverrides = Partial<Omit<Task, "taskDefinition">> & { taskDefinition?: Partial<TaskDef> };

/** A task as a poll hands it out, about 1 kB of JSON, definition included. Ids are new each time. */
export function makeTask(overrides: TaskOverrides = {}): Task {
  const name = (overrides.taskDefName ?? overrides.taskType ?? "greet") as string;
  const nowMs = Date.now();
  const taskDefinition: TaskDef = {
    createTime: 1_767_225_600_000,
    name,
    description: `What ${name} does`,
    retryCount: 3,
    timeoutSeconds: 0,
    inputKeys: [],
    outputKeys: [],
    timeoutPolicy: "TIME_OUT_WF",
    retryLogic: "FIXED",
    retryDelaySeconds: 60,
    responseTimeoutSeconds: 3600,
    concurrentExecLimit: 0,
    inputTemplate: {},
    rateLimitPerFrequency: 0,
    rateLimitFrequencyInSeconds: 1,
    ownerEmail: "owner@example.com",
    backoffScaleFactor: 1,
    ...overrides.taskDefinition,
  };
  return {
    taskType: name,
    status: "IN_PROGRESS",
    inputData: { name: "world" },
    referenceTaskName: `${name}_ref`,
    retryCount: 0,
    seq: 1,
    pollCount: 0,
    taskDefName: name,
    scheduledTime: nowMs,
    startTime: 0,
    endTime: 0,
    updateTime: nowMs,
    startDelayInSeconds: 0,
    retried: false,
    executed: false,
    callbackFromWorker: true,
    responseTimeoutSeconds: taskDefinition.responseTimeoutSeconds ?? 3600,
    workflowInstanceId: randomUUID(),
    workflowType: "greetings",
    taskId: randomUUID(),
    callbackAfterSeconds: 0,
    outputData: {},
    workflowTask: {
      name,
      taskReferenceName: `${name}_ref`,
      inputParameters: { name: "${workflow.input.name}" },
      type: "SIMPLE",
      startDelay: 0,
      optional: false,
      asyncComplete: false,
      defaultCase: [],
      forkTasks: [],
    },
    rateLimitPerFrequency: 0,
    rateLimitFrequencyInSeconds: 1,
    workflowPriority: 0,
    iteration: 0,
    subworkflowChanged: false,
    firstStartTime: 0,
    queueWaitTime: 0,
    loopOverTask: false,
    executionMetadata: {},
    ...overrides,
    taskDefinition,
  };
}
