import { expect, it } from "vitest";
import { describeHandler, describeWorker } from "../../../src/config/describe.js";
import { resolve, resolveGreet } from "./support.js";

it("says on one line what a worker was resolved to and from where", () => {
  expect(
    describeWorker(resolveGreet({ longPollMs: 100, paused: true }, { CONDUCTOR_WORKER_ALL_CONCURRENCY: "10" })),
  ).toBe(
    "greet: concurrency=10 (env CONDUCTOR_WORKER_ALL_CONCURRENCY) domain=none workerId=host:42:x7f3 " +
      "executionTimeoutMs=by-definition longPollMs=100 (code) paused=true (code) onDrainDeadline=handBack",
  );
});

it("marks a worker that takes the whole task", () => {
  const config = resolve({ workers: [{ taskDefName: "official", execute: async () => ({}) }] });
  expect(describeWorker(config.workers[0]!)).toMatch(/ execute=takes-task$/);
});

it("stays on one line whatever the values are", () => {
  const line = describeWorker(resolveGreet({ domain: "a b\nc", workerId: 'x"y', executionTimeoutMs: 5 }));
  expect(line).toContain('domain="a b\\nc" (code) workerId="x\\"y" (code) executionTimeoutMs=5 (code)');
  expect(line).not.toContain("\n");
});

it("says what the process was resolved to", () => {
  expect(describeHandler(resolve({ stallTimeoutSeconds: 0 }, { CONDUCTOR_SERVER_URL: "http://c:1/" }))).toBe(
    "ostinato: serverUrl=http://c:1/api (env CONDUCTOR_SERVER_URL) requestTimeoutMs=10000 " +
      "stallTimeoutSeconds=off (code) logLevel=info workers=1",
  );
});
