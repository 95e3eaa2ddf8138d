import { ConductorError } from "../../../src/conductor/errors.js";
import type { ReceivedTask } from "../../../src/conductor/hand-out.js";
import type { Reply } from "../../../src/conductor/reply.js";
import type { PageRequest, TaskApi } from "../../../src/conductor/task-api.js";
import type { Task, TaskDef, TaskResult } from "../../../src/conductor/types.js";
import type { FakeClock } from "../time/fake-clock.js";
import { makeTask } from "./conductor-stub.js";

/** What happens to the next request: nothing, or one of the ways in which a request can go wrong. */
export type Fate =
  | "ok"
  | "notSent"
  | "lostRequest"
  | "lostAnswer"
  | "unavailable"
  | "serverError"
  | "nonsense"
  /** This very answer, and the server does nothing. */
  | Exclude<Reply<never>, { kind: "answered" }>;

interface ModelTask {
  readonly task: Task;
  status: "SCHEDULED" | "IN_PROGRESS" | "COMPLETED" | "FAILED" | "FAILED_WITH_TERMINAL_ERROR";
  visibleAt: number;
  /** The last hand-out's answer never reached the worker. */
  handOutLost: boolean;
}

/**
 * A Conductor of pure logic on a fake clock: a `TaskApi` whose every request can be given a fate. It watches what a
 * worker must never do, and says so in `violations`.
 */
export class ModelServer implements TaskApi {
  readonly tasks = new Map<string, ModelTask>();
  readonly violations: string[] = [];
  readonly updates: TaskResult[] = [];
  requests = 0;
  /** Lease extensions that arrived. */
  extensions = 0;
  /** The fate of each request; default: all is well. */
  fate: (request: "poll" | "update" | "get") => Fate = () => "ok";
  /** How long each task is in an answer, in bytes. */
  bytesOf: (taskId: string) => number = () => 1_000;
  /** What was read of answers, in bytes; a poll's are as long as they like up to {@link maxAnswerBytes}. */
  bytesRead = 0;
  maxAnswerBytes = Infinity;
  /** How long the network takes, in ms. */
  latencyMs: () => number = () => 1;
  readonly #clock: FakeClock;
  readonly #acknowledged = new Set<string>();

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  push(taskId: string, taskType: string, definition: Partial<TaskDef> = {}): void {
    const task = makeTask({
      taskId,
      taskType,
      taskDefName: taskType,
      taskDefinition: { name: taskType, ...definition },
    });
    if (definition.responseTimeoutSeconds !== undefined)
      task.responseTimeoutSeconds = definition.responseTimeoutSeconds;
    task.pollCount = 0;
    this.tasks.set(taskId, { task, status: "SCHEDULED", visibleAt: this.#clock.now(), handOutLost: false });
  }

  async pollBatch(request: { taskType: string; count: number; timeoutMs: number }): ReturnType<TaskApi["pollBatch"]> {
    const fate = await this.#travel("poll");
    const failed = failure(fate, "GET", "/tasks/poll/batch/{taskType}");
    if (failed !== undefined && fate !== "lostAnswer") return failed;
    const endAt = this.#clock.now() + request.timeoutMs;
    let taken = this.#take(request.taskType, request.count, fate === "lostAnswer");
    while (taken.length === 0 && this.#clock.now() < endAt) {
      await this.#sleep(100);
      taken = this.#take(request.taskType, request.count, fate === "lostAnswer");
    }
    if (failed !== undefined) return failed;
    const sent = this.#send(
      "/tasks/poll/batch/{taskType}",
      taken.map(({ task }) => task.taskId),
    );
    if (typeof sent === "number") return { kind: "answered", value: { handOuts: taken, malformed: 0 }, bytes: sent };
    for (const { task } of taken) this.tasks.get(task.taskId)!.handOutLost = true;
    return sent;
  }

  async update(taskId: string, body: string | Buffer): Promise<Reply<true>> {
    const fate = await this.#travel("update");
    const failed = failure(fate, "POST", "/tasks");
    if (failed !== undefined && fate !== "lostAnswer") return failed;
    const result = JSON.parse(String(body)) as TaskResult;
    if (result.extendLease === true) await this.#extend(result.taskId);
    else this.#apply(result);
    if (failed !== undefined) return failed;
    if (result.status !== "IN_PROGRESS") this.#acknowledged.add(taskId);
    return { kind: "answered", value: true };
  }

  async updateV2(body: string | Buffer): Promise<Reply<ReceivedTask | null>> {
    const result = JSON.parse(String(body)) as TaskResult;
    const fate = await this.#travel("update");
    const failed = failure(fate, "POST", "/tasks/update-v2");
    if (failed !== undefined && fate !== "lostAnswer") return failed;
    this.#apply(result);
    const known = this.tasks.get(result.taskId);
    const [next] = known === undefined ? [] : this.#take(known.task.taskType, 1, fate === "lostAnswer");
    if (failed !== undefined) return failed;
    this.#acknowledged.add(result.taskId);
    return { kind: "answered", value: next ?? null };
  }

  async get(taskId: string, maxBodyBytes?: number): Promise<Reply<Task>> {
    const fate = await this.#travel("get");
    const failed = failure(fate, "GET", "/tasks/{taskId}");
    if (failed !== undefined) return failed;
    const known = this.tasks.get(taskId);
    if (known === undefined) return refused(404, "GET", "/tasks/{taskId}", "No such task found by id");
    const sent = this.#send("/tasks/{taskId}", [taskId], maxBodyBytes);
    if (typeof sent !== "number") return sent;
    return { kind: "answered", value: { ...known.task, status: known.status }, bytes: sent };
  }

  async log(): Promise<Reply<true>> {
    return { kind: "answered", value: true };
  }
  async logs(): ReturnType<TaskApi["logs"]> {
    return { kind: "answered", value: [] };
  }
  async pending(taskType: string, page: PageRequest): ReturnType<TaskApi["pending"]> {
    const fate = await this.#travel("get");
    const failed = failure(fate, "GET", "/admin/task/{taskType}");
    if (failed !== undefined) return failed;
    const unfinished = [...this.tasks.values()].filter(
      ({ status }) => status === "SCHEDULED" || status === "IN_PROGRESS",
    );
    const ofType = unfinished.filter(({ task }) => task.taskType === taskType);
    const listed = ofType.slice(page.start, page.start + page.count);
    const ids = listed.map(({ task }) => task.taskId);
    const sent = this.#send("/admin/task/{taskType}", ids, page.maxBodyBytes);
    if (typeof sent !== "number") return sent;
    const tasks = listed.map(({ task, status }) => structuredClone({ ...task, status }));
    return { kind: "answered", value: { tasks, listed: listed.length }, bytes: sent };
  }
  async queueSizes(taskTypes: readonly string[]): ReturnType<TaskApi["queueSizes"]> {
    const failed = failure(await this.#travel("get"), "GET", "/tasks/queue/sizes");
    if (failed !== undefined) return failed;
    const waiting = (name: string) =>
      [...this.tasks.values()].filter(({ task, status }) => task.taskType === name && status === "SCHEDULED").length;
    return { kind: "answered", value: Object.fromEntries(taskTypes.map((name) => [name, waiting(name)])) };
  }

  count(status: ModelTask["status"]): number {
    return [...this.tasks.values()].filter((task) => task.status === status).length;
  }

  #take(taskType: string, count: number, lost: boolean): ReceivedTask[] {
    const taken: ReceivedTask[] = [];
    for (const known of this.tasks.values()) {
      if (taken.length >= count) break;
      const isWaiting = known.status === "SCHEDULED" && known.visibleAt <= this.#clock.now();
      if (!isWaiting || known.task.taskType !== taskType) continue;
      known.status = "IN_PROGRESS";
      known.task.pollCount += 1;
      known.task.workerId = "w";
      known.handOutLost = lost;
      taken.push({ task: structuredClone({ ...known.task, status: "IN_PROGRESS" as const }), problem: undefined });
    }
    return taken;
  }

  /** As the real server does it: reads the task, and writes it back later as it was. What came in between is undone. */
  async #extend(taskId: string): Promise<void> {
    const known = this.tasks.get(taskId);
    const wasRunning = known?.status === "IN_PROGRESS";
    this.extensions += 1;
    await this.#sleep(this.latencyMs());
    if (known !== undefined && wasRunning) known.status = "IN_PROGRESS";
  }

  #apply(result: TaskResult): void {
    const known = this.tasks.get(result.taskId);
    if (known === undefined || result.extendLease === true) return;
    this.updates.push(result);
    const isTerminal = result.status !== "IN_PROGRESS";
    if (isTerminal && this.#acknowledged.has(result.taskId) && known.status !== "IN_PROGRESS") {
      this.violations.push(`${result.taskId}: a terminal result was sent again after it was acknowledged`);
    }
    if (known.status === "SCHEDULED") {
      this.violations.push(`${result.taskId}: ${result.status} was sent while the task waited in the queue`);
    }
    if (known.status !== "IN_PROGRESS") return;
    if (known.handOutLost && isTerminal)
      this.violations.push(`${result.taskId}: an update for a hand-out that nobody received`);
    if (isTerminal) known.status = result.status as ModelTask["status"];
    else {
      known.status = "SCHEDULED";
      known.visibleAt = this.#clock.now() + (result.callbackAfterSeconds ?? 0) * 1000;
    }
  }

  /** How long the answer with these tasks is, in bytes; or that it is too long. */
  #send(pathTemplate: string, taskIds: readonly string[], maxBodyBytes = this.maxAnswerBytes) {
    const bytes = taskIds.reduce((sum, taskId) => sum + this.bytesOf(taskId), 2);
    this.bytesRead += Math.min(bytes, maxBodyBytes);
    return bytes > maxBodyBytes ? tooLarge(pathTemplate) : bytes;
  }

  async #travel(request: "poll" | "update" | "get"): Promise<Fate> {
    this.requests += 1;
    const fate = this.fate(request);
    await this.#sleep(this.latencyMs());
    return fate;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.setTimer(resolve, ms));
  }
}

/** An answer of the server's that was cut off. */
export function tooLarge(pathTemplate: string): Exclude<Reply<never>, { kind: "answered" }> {
  const error = new ConductorError({
    code: "RESPONSE_TOO_LARGE",
    message: "the answer is too long",
    method: "GET",
    pathTemplate,
    retryable: true,
  });
  return { kind: "maybeApplied", error };
}

function failure(
  fate: Fate,
  method: string,
  pathTemplate: string,
): Exclude<Reply<never>, { kind: "answered" }> | undefined {
  if (typeof fate === "object") return fate;
  const details = { method, pathTemplate, retryable: true };
  switch (fate) {
    case "ok":
      return undefined;
    case "notSent":
      return { kind: "notSent", error: new ConductorError({ ...details, code: "CONNECT_FAILED", message: "refused" }) };
    case "lostRequest":
    case "lostAnswer":
      return {
        kind: "maybeApplied",
        error: new ConductorError({ ...details, code: "CONNECTION_LOST", message: "reset" }),
      };
    case "nonsense":
      return {
        kind: "maybeApplied",
        error: new ConductorError({ ...details, code: "MALFORMED_RESPONSE", message: "html" }),
      };
    case "unavailable":
      return refused(503, method, pathTemplate, undefined);
    case "serverError":
      return refused(500, method, pathTemplate, "boom");
  }
}

function refused(
  status: number,
  method: string,
  pathTemplate: string,
  serverMessage: string | undefined,
): Exclude<Reply<never>, { kind: "answered" }> {
  const retryable = status === 503;
  const said = serverMessage === undefined ? {} : { serverMessage };
  return {
    kind: "refused",
    error: new ConductorError({
      code: "SERVER_REFUSED",
      message: `HTTP ${status}`,
      method,
      pathTemplate,
      status,
      retryable,
      ...said,
    }),
  };
}
