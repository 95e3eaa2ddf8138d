import type { HttpRequest, Transport } from "../http/exchange.js";
import { ConductorError } from "./errors.js";
import { asHandOut, type ReceivedTask } from "./hand-out.js";
import { isObject, parseJson, toReply, type Check, type Reply } from "./reply.js";
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

/** A part of the unfinished tasks of one type. */
export interface PendingPage {
  readonly tasks: readonly Task[];
  /** How many entries the server listed, those included that were no tasks. */
  readonly listed: number;
}

/** Which part of a listing, and how long the answer may be. */
export interface PageRequest {
  /** From which entry on. */
  readonly start: number;
  /** How many entries at most. */
  readonly count: number;
  readonly maxBodyBytes: number;
}

/**
 * The task endpoints, each ending in a {@link Reply} and never in a throw: what the runner works with. For people there
 * is `TaskClient`. What cannot be put into a path (half a surrogate pair) is `notSent`, `INVALID_REQUEST`.
 */
export interface TaskApi {
  pollBatch(request: PollRequest): Promise<Reply<Polled>>;
  /**
   * `POST /tasks`: acknowledged by the task's own id. `body` is a `TaskResult` as JSON. `isOnce`: it is one that would do
   * harm if it were done twice.
   */
  update(taskId: string, body: string | Buffer, deadlineMs?: number, isOnce?: boolean): Promise<Reply<true>>;
  /** `POST /tasks/update-v2`: acknowledged by the next task, or by nothing. */
  updateV2(body: string | Buffer): Promise<Reply<ReceivedTask | null>>;
  /** `maxBodyBytes`: the longest answer that is read; default: what the transport accepts. */
  get(taskId: string, maxBodyBytes?: number): Promise<Reply<Task>>;
  log(taskId: string, message: string): Promise<Reply<true>>;
  logs(taskId: string): Promise<Reply<TaskLog[]>>;
  queueSizes(taskTypes: readonly string[]): Promise<Reply<Record<string, number>>>;
  /** Unfinished tasks of a type, in no order. The server reads its whole backlog for each page. */
  pending(taskType: string, page: PageRequest): Promise<Reply<PendingPage>>;
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
  const send = async <T>(request: HttpRequest, check: Check<T>): Promise<Reply<T>> =>
    toReply(request, await transport.request(request), check);
  const read = async <T>(request: HttpRequest, check: Check<T>): Promise<Reply<T>> => {
    const exchange = await transport.request(request);
    const reply = toReply(request, exchange, check);
    if (reply.kind !== "answered" || exchange.kind !== "answered") return reply;
    return { ...reply, bytes: Buffer.byteLength(exchange.body) };
  };

  return {
    async pollBatch(poll) {
      const pathTemplate = "/tasks/poll/batch/{taskType}";
      const path = pollPath(poll);
      if (path === undefined) return notSendable("GET", pathTemplate);
      const deadlineMs = poll.timeoutMs + requestTimeoutMs;
      return read({ lane: "poll", method: "GET", path, pathTemplate, deadlineMs }, (answer) => {
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

    update(taskId, body, deadlineMs = requestTimeoutMs, isOnce = false) {
      const request = updates("/tasks", body, deadlineMs);
      return send(isOnce ? { ...request, isOnce } : request, (answer) =>
        answer.body === taskId || answer.body === `"${taskId}"` ? true : undefined,
      );
    },

    updateV2(body) {
      return send(updates("/tasks/update-v2", body, requestTimeoutMs), (answer) =>
        answer.status === 204 ? null : asHandOut(parseJson(answer.body)),
      );
    },

    async get(taskId, maxBodyBytes) {
      const pathTemplate = "/tasks/{taskId}";
      const id = encoded(taskId);
      if (id === undefined) return notSendable("GET", pathTemplate);
      const request = reads(`/tasks/${id}`, pathTemplate);
      return read(
        maxBodyBytes === undefined ? request : { ...request, maxBodyBytes },
        (answer) => asHandOut(parseJson(answer.body))?.task,
      );
    },

    async log(taskId, message) {
      const pathTemplate = "/tasks/{taskId}/log";
      const id = encoded(taskId);
      if (id === undefined) return notSendable("POST", pathTemplate);
      const request = { ...updates(`/tasks/${id}/log`, message, requestTimeoutMs), pathTemplate };
      return send(request, (answer) => (answer.body === "" ? true : undefined));
    },

    async logs(taskId) {
      const pathTemplate = "/tasks/{taskId}/log";
      const id = encoded(taskId);
      if (id === undefined) return notSendable("GET", pathTemplate);
      return read(reads(`/tasks/${id}/log`, pathTemplate), (answer) => {
        if (answer.status === 204) return [];
        const body = parseJson(answer.body);
        return Array.isArray(body) ? (body as TaskLog[]) : undefined;
      });
    },

    async queueSizes(taskTypes) {
      const pathTemplate = "/tasks/queue/sizes";
      const queries = sizesQueries(taskTypes);
      if (queries === undefined) return notSendable("GET", pathTemplate);
      const parts = queries.map(({ query, names }) =>
        read(reads(`/tasks/queue/sizes?${query}`, pathTemplate), (answer) => {
          const body = parseJson(answer.body);
          if (!isObject(body)) return undefined;
          // A size that is left out is not 0: something else has answered.
          return names.every((name) => typeof body[name] === "number") ? (body as Record<string, number>) : undefined;
        }),
      );
      const sizes: Record<string, number> = {};
      for (const reply of await Promise.all(parts)) {
        if (reply.kind !== "answered") return reply;
        Object.assign(sizes, reply.value);
      }
      return { kind: "answered", value: sizes };
    },

    async pending(taskType, { start, count, maxBodyBytes }) {
      const pathTemplate = "/admin/task/{taskType}";
      const type = encoded(taskType);
      if (type === undefined) return notSendable("GET", pathTemplate);
      const path = `/admin/task/${type}?start=${start}&count=${count}`;
      return read({ ...reads(path, pathTemplate), maxBodyBytes }, (answer) => {
        const body = parseJson(answer.body);
        if (!Array.isArray(body)) return undefined;
        const tasks = body.map((entry) => asHandOut(entry)?.task).filter((task) => task !== undefined);
        return { tasks, listed: body.length };
      });
    },
  };
}

/** A request's head may have 8 KiB on a Tomcat, and on most proxies; this leaves room for headers, in characters. */
const MAX_QUERY_CHARACTERS = 4_000;

/** Queries for the sizes of these queues, each short enough for a request. At least one; undefined: a name is no text. */
function sizesQueries(taskTypes: readonly string[]): { query: string; readonly names: string[] }[] | undefined {
  const first: { query: string; names: string[] } = { query: "", names: [] };
  const queries = [first];
  let last = first;
  for (const name of taskTypes) {
    const type = encoded(name);
    if (type === undefined) return undefined;
    const parameter = `taskType=${type}`;
    if (last.query !== "" && last.query.length + parameter.length >= MAX_QUERY_CHARACTERS) {
      last = { query: "", names: [] };
      queries.push(last);
    }
    last.query += last.query === "" ? parameter : `&${parameter}`;
    last.names.push(name);
  }
  return queries;
}

/** Undefined: one of the names is no text. */
function pollPath({ taskType, workerId, domain, count, timeoutMs }: PollRequest): string | undefined {
  const parts = [encoded(taskType), encoded(workerId ?? ""), encoded(domain ?? "")];
  const [type, worker, encodedDomain] = parts;
  if (parts.includes(undefined)) return undefined;
  let path = `/tasks/poll/batch/${type}?count=${count}&timeout=${timeoutMs}`;
  if (workerId !== undefined) path += `&workerid=${worker}`;
  // An empty domain is a queue of its own on the server, not "none".
  if (encodedDomain !== "") path += `&domain=${encodedDomain}`;
  return path;
}

/** As a part of a path or a query; undefined for what is no text, but has half a surrogate pair. */
function encoded(text: string): string | undefined {
  try {
    return encodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function notSendable(method: string, pathTemplate: string): Exclude<Reply<never>, { kind: "answered" }> {
  const message = "the id or name cannot be encoded: it has half a surrogate pair";
  const error = new ConductorError({ code: "INVALID_REQUEST", message, method, pathTemplate, retryable: false });
  return { kind: "notSent", error };
}
