import { ConductorError } from "../conductor/errors.js";
import { valueOf } from "../conductor/reply.js";
import type { PollRequest, TaskApi } from "../conductor/task-api.js";
import type { Task, TaskLog, TaskResult } from "../conductor/types.js";

/**
 * Conductor's task endpoints, one request each; `createConductorClient` makes it. Every method throws {@link ConductorError} when the request fails;
 * nothing is retried.
 */
export class TaskClient {
  readonly #api: TaskApi;

  /** @hidden It takes internal parts: `createConductorClient` makes one. */
  constructor(api: TaskApi) {
    this.#api = api;
  }

  /** Takes one task, if there is one now. */
  async poll(taskType: string, options: { workerId?: string; domain?: string } = {}): Promise<Task | undefined> {
    const tasks = await this.pollBatch(taskType, { ...options, count: 1, timeoutMs: 0 });
    return tasks[0];
  }

  /**
   * Takes up to `count` tasks; the server holds the request for up to `timeoutMs` (0 to 5000, default 100) while there
   * are none. What it hands out is yours: report each task, or it stays IN_PROGRESS until its response timeout.
   */
  async pollBatch(
    taskType: string,
    options: { count: number; timeoutMs?: number; workerId?: string; domain?: string },
  ): Promise<Task[]> {
    const { count, timeoutMs = 100, workerId, domain } = options;
    if (!Number.isInteger(count) || count < 1) {
      throw invalid(
        "GET",
        "/tasks/poll/batch/{taskType}",
        `count must be a whole number from 1 up, got ${String(count)}`,
      );
    }
    if (!(timeoutMs >= 0 && timeoutMs <= 5000)) {
      throw invalid("GET", "/tasks/poll/batch/{taskType}", `timeoutMs must be 0 to 5000, got ${String(timeoutMs)}`);
    }
    const request: PollRequest = {
      taskType,
      count,
      timeoutMs,
      domain,
      ...(workerId === undefined ? {} : { workerId }),
    };
    return valueOf(await this.#api.pollBatch(request)).handOuts.map((handOut) => handOut.task);
  }

  /** Reports a result by `POST /tasks`. Repeating a terminal result is harmless: the first one wins. */
  async update(result: TaskResult): Promise<void> {
    valueOf(await this.#api.update(result.taskId, toBody(result, "/tasks")));
  }

  /** Reports a result by `POST /tasks/update-v2` and takes the next task of the same type, if there is one. */
  async updateV2(result: TaskResult): Promise<Task | undefined> {
    return valueOf(await this.#api.updateV2(toBody(result, "/tasks/update-v2")))?.task;
  }

  /** The task as the server knows it. */
  async get(taskId: string): Promise<Task> {
    return valueOf(await this.#api.get(taskId));
  }

  /** Adds a line to the task's log. The server does not check that the task exists. */
  async log(taskId: string, message: string): Promise<void> {
    valueOf(await this.#api.log(taskId, message));
  }

  /** The task's log; empty when there is none. */
  async logs(taskId: string): Promise<TaskLog[]> {
    return valueOf(await this.#api.logs(taskId));
  }

  /** How many tasks wait in each queue, delayed ones included. A queue in a domain is `domain:type`. */
  async queueSizes(taskTypes: readonly string[]): Promise<Record<string, number>> {
    if (taskTypes.length === 0) return {};
    return valueOf(await this.#api.queueSizes(taskTypes));
  }
}

function toBody(result: TaskResult, pathTemplate: string): string {
  try {
    return JSON.stringify(result);
  } catch (cause) {
    throw invalid("POST", pathTemplate, `the result cannot be serialised: ${String(cause)}`, cause);
  }
}

function invalid(method: string, pathTemplate: string, message: string, cause?: unknown): ConductorError {
  return new ConductorError({ code: "INVALID_REQUEST", method, pathTemplate, message, retryable: false, cause });
}
