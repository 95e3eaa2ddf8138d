import type { TaskHandlerStatus } from "../../status.js";

/** Several handlers of one process as one: what they have is added up, and the worst counts. */
export function mergeStatus(all: readonly TaskHandlerStatus[]): TaskHandlerStatus {
  const states = all.map(({ state }) => state);
  const sum = (read: (status: TaskHandlerStatus) => number) => all.reduce((total, status) => total + read(status), 0);
  return {
    state: states.includes("running") ? "running" : states.includes("draining") ? "draining" : "stopped",
    runners: all.flatMap(({ runners }) => runners),
    inFlight: sum(({ inFlight }) => inFlight),
    resultsWaiting: sum(({ resultsWaiting }) => resultsWaiting),
    abandoned: sum(({ abandoned }) => abandoned),
    outboxFull: all.some(({ outboxFull }) => outboxFull),
    serverReachable: all.every(({ serverReachable }) => serverReachable),
  };
}
