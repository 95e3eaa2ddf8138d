import { ConductorError } from "../../../src/conductor/errors.js";
import type { ReceivedTask } from "../../../src/conductor/hand-out.js";
import type { Reply } from "../../../src/conductor/reply.js";
import type { TaskApi } from "../../../src/conductor/task-api.js";
import type { Task, TaskResult } from "../../../src/conductor/types.js";
import type { WorkerConfig } from "../../../src/config/types.js";
import type { WorkerEventName, WorkerEvents } from "../../../src/events/events.js";
import { InFlightTask } from "../../../src/runner/in-flight.js";
import type { RunnerGroupOptions } from "../../../src/runner/runner-group.js";
import { makeTask, type TaskOverrides } from "../servers/conductor-stub.js";
import type { ModelServer } from "../servers/model-server.js";
import { createWorld, workerConfig } from "./runner-world.js";

type Failed = Exclude<Reply<never>, { kind: "answered" }>;

/** Some of the server's methods, played by the test; what is left out is answered by the model. */
export type Script = (model: ModelServer) => Partial<TaskApi>;

/** A world whose server is partly played by the test. */
export function createScriptedWorld(
  workers: readonly WorkerConfig[],
  script: Script,
  overrides: Partial<RunnerGroupOptions> = {},
) {
  let played: Partial<TaskApi> = {};
  const api: TaskApi = {
    pollBatch: (request) => (played.pollBatch ?? world.server.pollBatch.bind(world.server))(request),
    update: (taskId, body, deadlineMs, isOnce) =>
      (played.update ?? world.server.update.bind(world.server))(taskId, body, deadlineMs, isOnce),
    updateV2: (body) => (played.updateV2 ?? world.server.updateV2.bind(world.server))(body),
    get: (taskId, maxBodyBytes) => (played.get ?? world.server.get.bind(world.server))(taskId, maxBodyBytes),
    log: () => world.server.log(),
    logs: () => world.server.logs(),
    queueSizes: (names) => (played.queueSizes ?? world.server.queueSizes.bind(world.server))(names),
    pending: (taskType, page) => (played.pending ?? world.server.pending.bind(world.server))(taskType, page),
  };
  const world = createWorld(workers, { ...overrides, api });
  played = script(world.server);
  return world;
}

export type World = ReturnType<typeof createWorld>;

/** Everything that is emitted under a name, in order. */
export function record<K extends WorkerEventName>(world: World, name: K): WorkerEvents[K][] {
  const seen: WorkerEvents[K][] = [];
  world.events.on(name, (event) => seen.push(event));
  return seen;
}

/** Drains, turning the clock until it has ended. */
export async function drain(world: World, drainTimeoutMs = 25_000) {
  let report: Awaited<ReturnType<World["group"]["drain"]>> | undefined;
  void world.group.drain(drainTimeoutMs).then((value) => (report = value));
  const startedAt = world.clock.now();
  for (let i = 0; i < 600 && report === undefined; i += 1) await world.clock.advanceAsync(100);
  if (report === undefined) throw new Error("the drain did not end within a minute");
  return { ...report, tookMs: world.clock.now() - startedAt };
}

export const parse = (body: string | Buffer) => JSON.parse(String(body)) as TaskResult;
export const answered = <T>(value: T): Reply<T> => ({ kind: "answered", value });

/** An answer that refuses; without `said`, not in Conductor's own words. */
export function refused(status: number, said?: string, details: { retryAfterMs?: number; retryable?: boolean } = {}) {
  const error = new ConductorError({
    code: "SERVER_REFUSED",
    message: `HTTP ${status}`,
    method: "POST",
    pathTemplate: "/tasks",
    status,
    retryable: [408, 425, 429, 502, 503, 504].includes(status) || (status === 500 && said === undefined),
    ...(said === undefined ? {} : { serverMessage: said }),
    ...details,
  });
  return { kind: "refused", error } satisfies Failed;
}

/** A request that failed on the way. */
export function failed(kind: "notSent" | "maybeApplied", code: ConductorError["code"]) {
  const error = new ConductorError({ code, message: code, method: "POST", pathTemplate: "/tasks", retryable: true });
  return { kind, error } satisfies Failed;
}

export const lostAnswer = () => failed("maybeApplied", "CONNECTION_LOST");
export const unreachable = () => failed("notSent", "CONNECT_FAILED");
export const nonsense = () => failed("maybeApplied", "MALFORMED_RESPONSE");
export const never = <T>() => new Promise<T>(() => {});

export function handOut(overrides: TaskOverrides = {}, problem?: string): ReceivedTask {
  return { task: makeTask({ taskType: "t", taskDefName: "t", pollCount: 1, workerId: "w", ...overrides }), problem };
}

/** A task in our hands, for what works on one without a loop. */
export function entryOf(overrides: Partial<Task> = {}, config: Partial<WorkerConfig> = {}): InFlightTask {
  const task = makeTask({ taskId: "id-1", workflowInstanceId: "wf-1", taskType: "t", taskDefName: "t" });
  return new InFlightTask(
    Object.assign(task, overrides),
    workerConfig("t", () => undefined, config),
    0,
  );
}
