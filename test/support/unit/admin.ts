import type { RunnerStatus, TaskHandlerStatus } from "../../../src/status.js";

/** A runner that waits for its poll's answer, and all is well. */
export function runner(overrides: Partial<RunnerStatus> = {}): RunnerStatus {
  return {
    taskType: "greet",
    domain: undefined,
    state: "polling",
    phase: "polling",
    concurrency: 4,
    running: 1,
    lastBeatAgoMs: 900,
    lastPollAgoMs: 1_200,
    pollsFailing: undefined,
    ...overrides,
  };
}

/** A handler that is well. */
export function handlerStatus(overrides: Partial<TaskHandlerStatus> = {}): TaskHandlerStatus {
  return {
    state: "running",
    runners: [runner()],
    inFlight: 1,
    resultsWaiting: 0,
    abandoned: 0,
    outboxFull: false,
    serverReachable: true,
    ...overrides,
  };
}
