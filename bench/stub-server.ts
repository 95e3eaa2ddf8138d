/**
 * A Conductor server's task endpoints, made only to be faster than any client: hand-written HTTP/1.1 over `node:net`,
 * prebuilt tasks, no workflows. Runs in its own process and talks to its parent over IPC.
 *
 * A poll is answered at once while there are tasks and held while there are none, looking every 100 ms as the server's
 * SQL queues do; `update-v2` waits up to 100 ms for a follow-up. Answers are chunked, as Tomcat's are.
 */
import net from "node:net";

/** What the parent may ask. */
export type StubCommand =
  /** Forget all tasks of this type, and preload as many as this. */
  { readonly kind: "load"; readonly taskType: string; readonly tasks: number } | { readonly kind: "close" };

/** What the stub reports. */
export type StubReport =
  | { readonly kind: "listening"; readonly port: number }
  | { readonly kind: "loaded" }
  /** The last task of a load was updated. */
  | ({ readonly kind: "drained" } & DrainReport);

/** One drained load. */
export interface DrainReport {
  /** From the first hand-out to the last distinct update. */
  readonly elapsedMs: number;
  /** What this took of the stub's own CPU: far below one core, or the stub is what is measured. */
  readonly stubCpuUs: number;
  /** Updates of tasks that were updated before. */
  readonly repeatedUpdates: number;
  /** Requests of any kind. */
  readonly requests: number;
  /** Connections that were opened. */
  readonly connections: number;
}

const STEP_MS = 100;
const MAX_POLL_TIMEOUT_MS = 5_000;

/** Task ids are UUIDs whose last group is the number of the load, in 4 digits, and of the task, in 8. */
const TASK_ID_PREFIX = "5f9c2a4e-6b1d-4c3a-9e70-";
const WORKFLOW_ID_PREFIX = "c81e728d-9d4c-4f63-8f06-";

/** What goes between the parts of a task: its times of the hand-out, numbers, and its ids. */
const TIME = "\u0001";
const ID = "\u0002";

/** A task as a real poll answers it, in parts: between them go two times, the workflow's id and the task's. */
function taskParts(taskType: string): readonly string[] {
  const nowMs = Date.now();
  const definition = {
    createTime: nowMs,
    createdBy: "",
    updatedBy: "",
    accessPolicy: {},
    name: taskType,
    description: "Does nothing",
    retryCount: 3,
    timeoutSeconds: 0,
    inputKeys: [],
    outputKeys: [],
    timeoutPolicy: "TIME_OUT_WF",
    retryLogic: "FIXED",
    retryDelaySeconds: 60,
    responseTimeoutSeconds: 3600,
    inputTemplate: {},
    rateLimitPerFrequency: 0,
    rateLimitFrequencyInSeconds: 1,
    ownerEmail: "owner@example.com",
    backoffScaleFactor: 1,
  };
  const json = JSON.stringify({
    taskType,
    status: "IN_PROGRESS",
    inputData: { name: "world" },
    referenceTaskName: "noop_ref",
    retryCount: 0,
    seq: 1,
    pollCount: 1,
    taskDefName: taskType,
    scheduledTime: nowMs,
    startTime: TIME,
    endTime: 0,
    updateTime: TIME,
    startDelayInSeconds: 0,
    retried: false,
    executed: false,
    callbackFromWorker: true,
    responseTimeoutSeconds: 3600,
    workflowInstanceId: ID,
    workflowType: "noop_workflow",
    taskId: ID,
    callbackAfterSeconds: 0,
    outputData: {},
    workflowTask: {
      name: taskType,
      taskReferenceName: "noop_ref",
      inputParameters: { name: "${workflow.input.name}" },
      type: "SIMPLE",
      startDelay: 0,
      optional: false,
      asyncComplete: false,
    },
    taskDefinition: definition,
    rateLimitPerFrequency: 0,
    rateLimitFrequencyInSeconds: 1,
    workflowPriority: 0,
    iteration: 0,
    subworkflowChanged: false,
    firstStartTime: nowMs,
    queueWaitTime: 3,
    loopOverTask: false,
    executionMetadata: {},
  });
  return json.split(/"\\u0001"|\\u0002/);
}

let requests = 0;
let connections = 0;

/** A load of tasks of one type, and how far it is. */
class Load {
  readonly taskType: string;
  readonly #parts: readonly string[];
  readonly #number: string;
  readonly #total: number;
  readonly #requestsBefore = requests;
  readonly #connectionsBefore = connections;
  /** Numbers of tasks that were handed back. */
  readonly #handedBack: number[] = [];
  readonly #updated: Uint8Array;
  #next = 0;
  #distinctUpdates = 0;
  #startedMs: number | undefined;
  #cpuAtStart = process.cpuUsage();
  #repeatedUpdates = 0;

  constructor(taskType: string, number: number, total: number) {
    this.taskType = taskType;
    this.#parts = taskParts(taskType);
    this.#number = number.toString(16).padStart(4, "0");
    this.#total = total;
    this.#updated = new Uint8Array(total);
  }

  get waiting(): number {
    return this.#total - this.#next + this.#handedBack.length;
  }

  /** The JSON of up to `count` tasks. */
  take(count: number): string[] {
    const taken: string[] = [];
    while (taken.length < count) {
      const index = this.#handedBack.shift() ?? (this.#next < this.#total ? this.#next++ : undefined);
      if (index === undefined) break;
      taken.push(this.json(index));
    }
    if (taken.length > 0 && this.#startedMs === undefined) {
      this.#startedMs = performance.now();
      this.#cpuAtStart = process.cpuUsage();
    }
    return taken;
  }

  json(index: number): string {
    const group = this.#number + index.toString(16).padStart(8, "0");
    const [head, betweenTimes, toWorkflow, toTask, tail] = this.#parts;
    const now = Date.now();
    return `${head}${now}${betweenTimes}${now}${toWorkflow}${WORKFLOW_ID_PREFIX}${group}${toTask}${TASK_ID_PREFIX}${group}${tail}`;
  }

  wasHandedOut(index: number): boolean {
    return index < this.#next;
  }

  handBack(index: number): void {
    if (this.#updated[index] === 0) this.#handedBack.push(index);
  }

  /** The report, when this was the last one. */
  update(index: number): DrainReport | undefined {
    if (this.#updated[index] !== 0) {
      this.#repeatedUpdates++;
      return undefined;
    }
    this.#updated[index] = 1;
    if (++this.#distinctUpdates < this.#total) return undefined;
    const { user, system } = process.cpuUsage(this.#cpuAtStart);
    return {
      elapsedMs: performance.now() - (this.#startedMs ?? 0),
      stubCpuUs: user + system,
      repeatedUpdates: this.#repeatedUpdates,
      requests: requests - this.#requestsBefore,
      connections: connections - this.#connectionsBefore,
    };
  }
}

/** What the stub reads of an update. */
interface TaskUpdate {
  readonly taskId?: unknown;
  readonly status?: unknown;
  readonly extendLease?: unknown;
}

/** What the stub does with one request. */
interface StubRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly body: string;
}

interface Reply {
  (status: string, contentType: string, body: string): void;
  /** Whether whoever asked is gone. */
  readonly isGone: () => boolean;
}

/** By number; the last one of a type is the type's. */
const loads: Load[] = [];
const loadOf = new Map<string, Load>();

/** The task behind an id: its load, and its number there. `undefined` when it was not handed out. */
function find(taskId: unknown): { load: Load; index: number } | undefined {
  if (typeof taskId !== "string" || !taskId.startsWith(TASK_ID_PREFIX)) return undefined;
  const numbersAt = TASK_ID_PREFIX.length;
  const load = loads[Number.parseInt(taskId.slice(numbersAt, numbersAt + 4), 16)];
  const index = Number.parseInt(taskId.slice(numbersAt + 4), 16);
  return load?.wasHandedOut(index) ? { load, index } : undefined;
}

const JSON_TYPE = "application/json";
const EMPTY = "204 No Content";
const OK = "200 OK";

function handle({ method, path, query, body }: StubRequest, reply: Reply): void {
  requests++;
  if (method === "POST" && path === "/api/tasks/update-v2") {
    const load = applyUpdate(JSON.parse(body) as TaskUpdate, reply);
    if (load === undefined) return;
    const next = load.take(1)[0];
    if (next !== undefined) reply(OK, JSON_TYPE, next);
    else
      hold(reply, load.taskType, 1, STEP_MS, ([late]) => {
        if (late === undefined) reply(EMPTY, "", "");
        else reply(OK, JSON_TYPE, late);
      });
  } else if (method === "POST" && path === "/api/tasks") {
    const update = JSON.parse(body) as TaskUpdate;
    if (applyUpdate(update, reply) !== undefined) reply(OK, "text/plain", String(update.taskId));
  } else if (method === "GET" && path.startsWith("/api/tasks/poll/batch/")) {
    const search = new URLSearchParams(query);
    const taskType = search.has("domain") ? "" : path.slice("/api/tasks/poll/batch/".length);
    const count = Number(search.get("count") ?? 1);
    const timeoutMs = Number(search.get("timeout") ?? STEP_MS);
    if (timeoutMs > MAX_POLL_TIMEOUT_MS) {
      reply("400 Bad Request", JSON_TYPE, errorBody(400, "Long Poll Timeout value cannot be more than 5 seconds"));
      return;
    }
    const tasks = loadOf.get(taskType)?.take(count) ?? [];
    if (tasks.length > 0 || timeoutMs <= 0) reply(OK, JSON_TYPE, `[${tasks.join(",")}]`);
    else
      hold(reply, taskType, count, timeoutMs, (late) => {
        reply(OK, JSON_TYPE, `[${late.join(",")}]`);
      });
  } else if (method === "GET" && path === "/api/tasks/queue/sizes") {
    const types = new URLSearchParams(query).getAll("taskType");
    const sizes = Object.fromEntries(types.map((type) => [type, loadOf.get(type)?.waiting ?? 0]));
    reply(OK, JSON_TYPE, JSON.stringify(sizes));
  } else if (method === "POST" && path.endsWith("/log")) {
    reply(OK, "", "");
  } else if (method === "GET" && path.startsWith("/api/tasks/")) {
    const task = find(path.slice("/api/tasks/".length));
    if (task === undefined) reply("404 Not Found", JSON_TYPE, errorBody(404, `No such task found by path: ${path}`));
    else reply(OK, JSON_TYPE, task.load.json(task.index));
  } else {
    reply("404 Not Found", JSON_TYPE, errorBody(404, `No static resource ${path}`));
  }
}

/** The load that got the update; `undefined` when it replied: refused, or nothing more to say. */
function applyUpdate(result: TaskUpdate, reply: Reply): Load | undefined {
  const task = find(result.taskId);
  if (task === undefined) {
    reply("404 Not Found", JSON_TYPE, errorBody(404, `No such task found by id: ${String(result.taskId)}`));
    return undefined;
  }
  const { load, index } = task;
  if (result.status === "IN_PROGRESS" || result.extendLease === true) {
    if (result.extendLease !== true) load.handBack(index);
    reply(EMPTY, "", "");
    return undefined;
  }
  const report = load.update(index);
  if (report !== undefined) send({ kind: "drained", ...report });
  return load;
}

/** Looks every 100 ms until there are tasks, the time is over, or whoever asked is gone. */
function hold(
  { isGone }: Reply,
  taskType: string,
  count: number,
  timeoutMs: number,
  done: (tasks: string[]) => void,
): void {
  const endMs = performance.now() + timeoutMs;
  const look = () => {
    if (isGone()) return;
    const tasks = loadOf.get(taskType)?.take(count) ?? [];
    const leftMs = endMs - performance.now();
    if (tasks.length > 0 || leftMs <= 1) done(tasks);
    else setTimeout(look, Math.min(STEP_MS, leftMs));
  };
  setTimeout(look, Math.min(STEP_MS, timeoutMs));
}

function errorBody(status: number, message: string): string {
  return JSON.stringify({ status, message, instance: "stub", retryable: false });
}

/** Reads requests off one connection and answers them in order. */
function serve(socket: net.Socket): void {
  connections++;
  socket.setNoDelay(true);
  socket.on("error", () => {});
  // Latin-1 keeps one character per byte, so that lengths are byte lengths.
  socket.setEncoding("latin1");
  let buffered = "";
  let answering = false;

  const answer = (status: string, contentType: string, body: string) => {
    answering = false;
    if (socket.destroyed) return;
    if (status === EMPTY) {
      socket.write(`HTTP/1.1 ${EMPTY}\r\n\r\n`);
    } else if (body === "") {
      socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
    } else {
      // Every body is ASCII.
      const size = body.length.toString(16);
      socket.write(
        `HTTP/1.1 ${status}\r\nContent-Type: ${contentType}\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\n${body}\r\n0\r\n\r\n`,
        "latin1",
      );
    }
    if (buffered !== "") next();
  };
  const reply: Reply = Object.assign(answer, { isGone: () => socket.destroyed });

  const next = () => {
    if (answering) return;
    const headEnd = buffered.indexOf("\r\n\r\n");
    if (headEnd < 0) return;
    const head = buffered.slice(0, headEnd);
    const bodyStart = headEnd + 4;
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    if (buffered.length < bodyStart + length) return;
    const rawBody = buffered.slice(bodyStart, bodyStart + length);
    buffered = buffered.slice(bodyStart + length);
    const methodEnd = head.indexOf(" ");
    const target = head.slice(methodEnd + 1, head.indexOf(" ", methodEnd + 1));
    const queryStart = target.indexOf("?");
    answering = true;
    handle(
      {
        method: head.slice(0, methodEnd),
        path: queryStart < 0 ? target : target.slice(0, queryStart),
        query: queryStart < 0 ? "" : target.slice(queryStart + 1),
        body: Buffer.from(rawBody, "latin1").toString("utf8"),
      },
      reply,
    );
  };

  socket.on("data", (chunk) => {
    buffered += String(chunk);
    next();
  });
}

function send(report: StubReport): void {
  process.send?.(report);
}

const server = net.createServer(serve);
server.listen({ port: 0, host: "127.0.0.1", backlog: 1_024 }, () => {
  send({ kind: "listening", port: (server.address() as net.AddressInfo).port });
});

process.on("message", (command: StubCommand) => {
  if (command.kind === "load") {
    const load = new Load(command.taskType, loads.length, command.tasks);
    loads.push(load);
    loadOf.set(command.taskType, load);
    send({ kind: "loaded" });
  } else {
    process.exit(0);
  }
});
// Without its parent it has nothing to do.
process.once("disconnect", () => process.exit(0));
