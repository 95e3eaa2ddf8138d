import { describe, expect, test } from "vitest";
import { describeHandler, describeWorker } from "../../../src/config/describe.js";
import type { WorkerOptions } from "../../../src/worker/define-worker.js";
import { resolve, resolveGreet } from "../../support/unit/config.js";

describe("the description of a configuration", () => {
  test("says on one line what a worker was resolved to and from where", () => {
    expect(
      describeWorker(resolveGreet({ longPollMs: 100, paused: true }, { CONDUCTOR_WORKER_ALL_CONCURRENCY: "10" })),
    ).toBe(
      "greet: concurrency=10 (env CONDUCTOR_WORKER_ALL_CONCURRENCY) domain=none workerId=host:42:x7f3 " +
        "executionTimeoutMs=by-definition longPollMs=100 (code) paused=true (code) onDrainDeadline=handBack",
    );
  });

  test("marks a worker that takes the whole task", () => {
    const config = resolve({ workers: [{ taskDefName: "official", execute: async () => ({}) }] });
    expect(describeWorker(config.workers[0]!)).toMatch(/ execute=takes-task$/);
  });

  test("stays on one line whatever the values are", () => {
    const line = describeWorker(resolveGreet({ domain: "a b\nc", workerId: 'x"y', executionTimeoutMs: 5 }));
    expect(line).toContain('domain="a b\\nc" (code) workerId="x\\"y" (code) executionTimeoutMs=5 (code)');
    expect(line).not.toContain("\n");
  });

  test("says what the process was resolved to", () => {
    expect(describeHandler(resolve({ stallTimeoutSeconds: 0 }, { CONDUCTOR_SERVER_URL: "http://c:1/" }))).toBe(
      "ostinato: serverUrl=http://c:1/api (env CONDUCTOR_SERVER_URL) auth=none requestTimeoutMs=10000 " +
        "stallTimeoutSeconds=off (code) watchdog=default adminPort=none logLevel=info workers=1",
    );
  });

  test("says that there is a key and where from, and not which", () => {
    const env = { CONDUCTOR_AUTH_KEY: "the-key", CONDUCTOR_AUTH_SECRET: "the-secret" };
    const line = describeHandler(resolve({}, env));
    expect(line).toContain(" auth=key (env CONDUCTOR_AUTH_KEY) ");
    expect(line).not.toMatch(/the-key|the-secret/);
  });

  test("says what is registered, where somebody has set it", () => {
    const fields = { registerTaskDef: { retryCount: 1, timeoutSeconds: 0 } } as WorkerOptions;
    const variable = "CONDUCTOR_WORKER_GREET_REGISTER_TASK_DEF";
    expect(describeWorker(resolveGreet())).not.toContain("registerTaskDef");
    expect(describeWorker(resolveGreet(fields))).toMatch(/ registerTaskDef=retryCount,timeoutSeconds \(code\)$/);
    expect(describeWorker(resolveGreet({}, { [variable]: "1" }))).toContain(` registerTaskDef=true (env ${variable})`);
    expect(describeWorker(resolveGreet(fields, { [variable]: "0" }))).toContain(
      ` registerTaskDef=false (env ${variable})`,
    );
  });
});
