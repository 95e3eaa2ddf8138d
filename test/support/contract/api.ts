import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Task, TaskDef, TaskResult, Workflow, WorkflowTask } from "../../../src/conductor/types.js";
import { fresh, type Target } from "./target.js";

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
  /** The body if it is JSON. Untyped: what comes over the wire is what the tests are there to find out. */
  readonly json: ReturnType<typeof JSON.parse>;
  readonly ms: number;
}

const contentTypeOf = (response: Response): string => response.headers.get("content-type") ?? "";

/** One plain HTTP request; a body that is no string goes out as JSON. */
export async function call(
  target: Target,
  method: string,
  path: string,
  body?: unknown,
  contentType = "application/json",
): Promise<Answer> {
  const startedAt = performance.now();
  const response = await fetch(`${target.baseUrl}${path}`, {
    method,
    ...(body !== undefined && {
      headers: { "content-type": contentType },
      body: typeof body === "string" ? body : JSON.stringify(body),
    }),
  });
  const text = await response.text();
  return {
    status: response.status,
    contentType: contentTypeOf(response),
    text,
    json: contentTypeOf(response).includes("json") ? JSON.parse(text) : undefined,
    ms: performance.now() - startedAt,
  };
}

/** The words of these tests, for one target. */
export function wordsFor(target: Target) {
  const get = (path: string) => call(target, "GET", path);
  const post = (path: string, body?: unknown) => call(target, "POST", path, body);
  const put = (path: string, body?: unknown) => call(target, "PUT", path, body);
  const del = (path: string) => call(target, "DELETE", path);
  const ok = async (answer: Promise<Answer>): Promise<Answer> => {
    const { status, text } = await answer;
    if (status >= 300) throw new Error(`${status} ${text}`);
    return answer;
  };

  /** Registers a definition and gives its name. */
  const taskType = async (definition: Partial<TaskDef> = {}): Promise<string> => {
    const name = definition.name ?? fresh("task");
    await ok(post("/metadata/taskdefs", [{ retryDelaySeconds: 0, ...definition, name }]));
    return name;
  };

  /** Registers a workflow and gives its name. */
  const workflowDef = async (tasks: WorkflowTask[], more: object = {}): Promise<string> => {
    const name = fresh("workflow");
    await ok(post("/metadata/workflow", { name, tasks, ...more }));
    return name;
  };

  const start = async (name: string, request: object = {}): Promise<string> =>
    (await ok(post("/workflow", { name, ...request }))).text;

  /** A workflow of one task, started. */
  const oneTask = async (definition: Partial<TaskDef> = {}, request: object = {}, workflowTask: object = {}) => {
    const type = await taskType(definition);
    const workflowName = await workflowDef([{ name: type, taskReferenceName: "only", ...workflowTask }]);
    return { type, workflowName, workflowId: await start(workflowName, request) };
  };

  const poll = async (type: string, query = ""): Promise<Task[]> =>
    (await ok(get(`/tasks/poll/batch/${type}?workerid=w1&timeout=100${query}`))).json as Task[];

  /** Polls until one task is there: an eager queue may be blind for a moment. */
  const pollOne = async (type: string, query = ""): Promise<Task> => {
    for (let attempt = 0; attempt < 30; attempt++) {
      const [task] = await poll(type, query);
      if (task) return task;
      await sleep(20);
    }
    throw new Error(`no ${type} came`);
  };

  const resultFor = (task: Task, result: Partial<TaskResult>): TaskResult => ({
    taskId: task.taskId,
    workflowInstanceId: task.workflowInstanceId,
    status: "COMPLETED",
    workerId: "w1",
    ...result,
  });

  const update = (task: Task, result: Partial<TaskResult> = {}) => post("/tasks", resultFor(task, result));
  const updateV2 = (task: Task, result: Partial<TaskResult> = {}) => post("/tasks/update-v2", resultFor(task, result));
  const workflow = async (workflowId: string): Promise<Workflow> =>
    (await ok(get(`/workflow/${workflowId}`))).json as Workflow;
  const task = async (taskId: string): Promise<Task> => (await ok(get(`/tasks/${taskId}`))).json as Task;

  /** Lets time pass, then has the workflow looked at, which a real server would do only at its next sweep. */
  const passAndDecide = async (ms: number, workflowId: string): Promise<Workflow> => {
    await target.pass(ms);
    await ok(put(`/workflow/decide/${workflowId}`));
    return workflow(workflowId);
  };

  /** Waits for a workflow to get there; a real server evaluates a JOIN in its own time. */
  const eventually = async (workflowId: string, status: string): Promise<Workflow> => {
    for (let attempt = 0; attempt < 100; attempt++) {
      const seen = await workflow(workflowId);
      if (seen.status === status) return seen;
      await sleep(attempt < 10 ? 20 : 100);
    }
    expect((await workflow(workflowId)).status).toBe(status);
    return workflow(workflowId);
  };

  return {
    get,
    post,
    put,
    del,
    taskType,
    workflowDef,
    start,
    oneTask,
    poll,
    pollOne,
    resultFor,
    update,
    updateV2,
    workflow,
    task,
    passAndDecide,
    eventually,
  };
}
