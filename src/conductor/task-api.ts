import type { HttpRequest, Transport } from "../http/exchange.js";
import { asHandOut, type ReceivedTask } from "./hand-out.js";
import { isObject, parseJson, toReply, type Reply } from "./reply.js";
import type { Task, TaskLog } from "./types.js";

export interface PollRequest {
  readonly taskType: string;
  readonly workerId?: string;
  readonly domain?: string | undefined;
  /** How many tasks at most. */
  readonly count: number;
  /** How long the server may hold the request, in ms, 0 to 5000. */
  readonly timeoutMs: number;
}

export interface Polled {
  readonly handOuts: readonly ReceivedTask[];
  /** Entries that were no tasks, or tasks without ids. */
  readonly malformed: number;
}

/**
 * The task endpoints, each ending in a {@link Reply} and never in a throw: what the runner works with. For people there
 * is `TaskClient`.
 */
export interface TaskApi {
  pollBatch(request: PollRequest): Promise<Reply<Polled>>;
  /** `POST /tasks`: acknowledged by the task's own id. `body` is a `TaskResult` as JSON. */
  update(taskId: string, body: string | Buffer, deadlineMs?: number): Promise<Reply<true>>;
  /** `POST /tasks/update-v2`: acknowledged by the next task, or by nothing. */
  updateV2(body: string | Buffer): Promise<Reply<ReceivedTask | null>>;
  get(taskId: string): Promise<Reply<Task>>;
  log(taskId: string, message: string): Promise<Reply<true>>;
  logs(taskId: string): Promise<Reply<TaskLog[]>>;
  queueSizes(taskTypes: readonly string[]): Promise<Reply<Record<string, number>>>;
  /** Unfinished tasks of a type, in no order. The server reads its whole backlog for it. */
  pending(taskType: string, count: number): Promise<Reply<Task[]>>;
}

/** @param requestTimeoutMs what the network and the server may take beyond the time we ask them to hold a poll. */
export function createTaskApi(transport: Transport, requestTimeoutMs: number): TaskApi {
  const updates = (path: string, body: string | Buffer, deadlineMs: number): HttpRequest => ({
    lane: "main",
    method: "POST",
    path,
    pathTemplate: path,
    body,
    deadlineMs,
  });
  const reads = (path: string, pathTemplate: string): HttpRequest => ({
    lane: "main",
    method: "GET",
    path,
    pathTemplate,
    deadlineMs: requestTimeoutMs,
  });

  return {
    async pollBatch(poll) {
      const request: HttpRequest = {
        lane: "poll",
        method: "GET",
        path: pollPath(poll),
        pathTemplate: "/tasks/poll/batch/{taskType}",
        deadlineMs: poll.timeoutMs + requestTimeoutMs,
      };
      return toReply(request, await transport.request(request), (answer) => {
        // Servers before 3.21.20 say "none" with 204.
        if (answer.status === 204) return { handOuts: [], malformed: 0 };
        const body = parseJson(answer.body);
        if (!Array.isArray(body)) return undefined;
        const handOuts: ReceivedTask[] = [];
        for (const entry of body) {
          const handOut = asHandOut(entry);
          if (handOut !== undefined) handOuts.push(handOut);
        }
        return { handOuts, malformed: body.length - handOuts.length };
      });
    },

    async update(taskId, body, deadlineMs = requestTimeoutMs) {
      const request = updates("/tasks", body, deadlineMs);
      return toReply(request, await transport.request(request), (answer) =>
        answer.body === taskId || answer.body === `"${taskId}"` ? true : undefined,
      );
    },

    async updateV2(body) {
      const request = updates("/tasks/update-v2", body, requestTimeoutMs);
      return toReply(request, await transport.request(request), (answer) =>
        answer.status === 204 ? null : asHandOut(parseJson(answer.body)),
      );
    },

    async get(taskId) {
      const request = reads(`/tasks/${encodeURIComponent(taskId)}`, "/tasks/{taskId}");
      return toReply(request, await transport.request(request), (answer) => asHandOut(parseJson(answer.body))?.task);
    },

    async log(taskId, message) {
      const request: HttpRequest = {
        ...updates(`/tasks/${encodeURIComponent(taskId)}/log`, message, requestTimeoutMs),
        pathTemplate: "/tasks/{taskId}/log",
      };
      return toReply(request, await transport.request(request), (answer) => (answer.body === "" ? true : undefined));
    },

    async logs(taskId) {
      const request = reads(`/tasks/${encodeURIComponent(taskId)}/log`, "/tasks/{taskId}/log");
      return toReply(request, await transport.request(request), (answer) => {
        if (answer.status === 204) return [];
        const body = parseJson(answer.body);
        return Array.isArray(body) ? (body as TaskLog[]) : undefined;
      });
    },

    async queueSizes(taskTypes) {
      const parts = sizesQueries(taskTypes).map(async ({ query, names }) => {
        const request = reads(`/tasks/queue/sizes?${query}`, "/tasks/queue/sizes");
        return toReply(request, await transport.request(request), (answer) => {
          const body = parseJson(answer.body);
          if (!isObject(body)) return undefined;
          // A size that is left out is not 0: something else has answered.
          return names.every((name) => typeof body[name] === "number") ? (body as Record<string, number>) : undefined;
        });
      });
      const sizes: Record<string, number> = {};
      for (const reply of await Promise.all(parts)) {
        if (reply.kind !== "answered") return reply;
        Object.assign(sizes, reply.value);
      }
      return { kind: "answered", value: sizes };
    },

    async pending(taskType, count) {
      const path = `/admin/task/${encodeURIComponent(taskType)}?start=0&count=${count}`;
      const request = reads(path, "/admin/task/{taskType}");
      return toReply(request, await transport.request(request), (answer) => {
        const body = parseJson(answer.body);
        if (!Array.isArray(body)) return undefined;
        return body.map((entry) => asHandOut(entry)?.task).filter((task) => task !== undefined);
      });
    },
  };
}

/** A request's head may have 8 KiB on a Tomcat, and on most proxies; this leaves room for headers, in characters. */
const MAX_QUERY_CHARACTERS = 4_000;

/** Queries for the sizes of these queues, each short enough for a request. At least one. */
function sizesQueries(taskTypes: readonly string[]): { query: string; readonly names: string[] }[] {
  const first: { query: string; names: string[] } = { query: "", names: [] };
  const queries = [first];
  let last = first;
  for (const name of taskTypes) {
    const parameter = `taskType=${encodeURIComponent(name)}`;
    if (last.query !== "" && last.query.length + parameter.length >= MAX_QUERY_CHARACTERS) {
      last = { query: "", names: [] };
      queries.push(last);
    }
    last.query += last.query === "" ? parameter : `&${parameter}`;
    last.names.push(name);
  }
  return queries;
}

function pollPath({ taskType, workerId, domain, count, timeoutMs }: PollRequest): string {
  let path = `/tasks/poll/batch/${encodeURIComponent(taskType)}?count=${count}&timeout=${timeoutMs}`;
  if (workerId !== undefined) path += `&workerid=${encodeURIComponent(workerId)}`;
  // An empty domain is a queue of its own on the server, not "none".
  if (domain !== undefined && domain !== "") path += `&domain=${encodeURIComponent(domain)}`;
  return path;
}
