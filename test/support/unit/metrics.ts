import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import type * as PromClient from "prom-client";
import { createEmitter } from "../../../src/events/emitter.js";
import type { GroupStatus, RunnerStatus } from "../../../src/status.js";

export const IDS = { taskType: "t", taskId: "id-1", workflowInstanceId: "wf-1" } as const;

export function runnerStatus(overrides: Partial<RunnerStatus> = {}): RunnerStatus {
  return {
    taskType: "t",
    domain: undefined,
    state: "polling",
    phase: "polling",
    concurrency: 10,
    running: 0,
    lastBeatAgoMs: 0,
    lastPollAgoMs: undefined,
    pollsFailing: undefined,
    ...overrides,
  };
}

/** Something to attach metrics to, whose state a test can change. */
export function createSource(overrides: Partial<GroupStatus> = {}) {
  const events = createEmitter((_event, error) => {
    throw error;
  });
  const now: GroupStatus = {
    runners: [runnerStatus()],
    inFlight: 0,
    resultsWaiting: 0,
    abandoned: 0,
    outboxFull: false,
    serverReachable: true,
    ...overrides,
  };
  const source = { events, now, status: () => source.now };
  return source;
}

/** The lines of one metric, without its comments; `[]` when it has none. */
export function linesOf(text: string, name: string): string[] {
  const isIts = new RegExp(`^${name}(_bucket|_sum|_count)?[ {]`);
  return text.split("\n").filter((line) => isIts.test(line));
}

/** prom-client once more, as a user's own dependency would be; another copy in the same process. */
export function loadOtherCopy() {
  const folder = mkdtempSync(path.join(tmpdir(), "ostinato-prom-client-"));
  const require = createRequire(import.meta.url);
  const home = path.resolve(path.dirname(require.resolve("prom-client")));
  const modules = path.join(folder, "node_modules");
  mkdirSync(path.join(modules, "@opentelemetry"), { recursive: true });
  cpSync(home, path.join(modules, "prom-client"), { recursive: true });
  for (const dependency of ["tdigest", "@opentelemetry/api"]) {
    symlinkSync(path.join(path.dirname(home), dependency), path.join(modules, dependency));
  }
  const copy = createRequire(path.join(folder, "user.js"))("prom-client") as typeof PromClient;
  return { copy, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
