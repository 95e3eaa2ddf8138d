import type { WorkerConfig } from "../../../src/config/types.js";
import { createEmitter } from "../../../src/events/emitter.js";
import { createHeartbeatBoard } from "../../../src/liveness/board.js";
import { RunnerGroup, type RunnerGroupOptions } from "../../../src/runner/runner-group.js";
import type { Execute } from "../../../src/worker/define-worker.js";
import { silentLogger } from "../log/loggers.js";
import { ModelServer } from "../servers/model-server.js";
import { FakeClock } from "../time/fake-clock.js";

/** A worker as the configuration resolves it. */
export function workerConfig(
  taskDefName: string,
  execute: Execute<Record<string, unknown>, unknown>,
  overrides: Partial<WorkerConfig> = {},
): WorkerConfig {
  return {
    taskDefName,
    concurrency: 1,
    domain: undefined,
    workerId: "w",
    isWorkerIdUnique: true,
    executionTimeoutMs: undefined,
    longPollMs: 2000,
    paused: false,
    onDrainDeadline: "handBack",
    takesTask: false,
    sources: {},
    ...overrides,
    execute: execute,
  };
}

/** Runners against a model of the server, on a fake clock. */
export function createWorld(workers: readonly WorkerConfig[], overrides: Partial<RunnerGroupOptions> = {}) {
  const clock = new FakeClock();
  const server = new ModelServer(clock);
  const events = createEmitter((_event, error) => {
    throw error;
  });
  const group = new RunnerGroup({
    workers,
    api: server,
    clock,
    random: () => 0.5,
    events: events.topics,
    log: silentLogger,
    board: createHeartbeatBoard(workers.length),
    requestTimeoutMs: 10_000,
    sliceMs: 30_000,
    ...overrides,
  });
  const sleep = (ms: number) => new Promise<void>((resolve) => clock.setTimer(resolve, ms));
  return { clock, server, events, group, sleep };
}
