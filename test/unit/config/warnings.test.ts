import { describe, expect, test } from "vitest";
import { FOREIGN_PROPS, WORKER_PROPS } from "../../../src/config/env-names.js";
import { nearest } from "../../../src/config/nearest.js";
import { resolve, worker } from "../../support/unit/config.js";

const warningsOf = (env: Record<string, string>, names = ["greet"]) =>
  resolve({ workers: names.map((name) => worker(name)) }, env).warnings;

describe("the configuration", () => {
  describe("options without effect", () => {
    test("adminHost needs adminPort", () => {
      const warnings = (options: object, env = {}) => resolve({ workers: [worker()], ...options }, env).warnings;
      expect(warnings({ adminHost: "0.0.0.0" })).toEqual([expect.stringContaining("adminHost does nothing without")]);
      expect(warnings({ adminHost: "0.0.0.0" }, { CONDUCTOR_WORKER_ADMIN_PORT: "9464" })).toEqual([]);
    });
  });

  describe("variables that are not read", () => {
    test.each(Object.keys(FOREIGN_PROPS))("%s of another SDK is ignored, and it is said why", (prop) => {
      for (const name of [
        `CONDUCTOR_WORKER_GREET_${prop}`,
        `CONDUCTOR_WORKER_ALL_${prop}`,
        `conductor.worker.greet.${prop.toLowerCase()}`,
        `conductor.worker.all.${prop.toLowerCase()}`,
      ]) {
        expect(warningsOf({ [name]: "1" })).toEqual([`${name} is ignored and not needed: ${FOREIGN_PROPS[prop]!}`]);
      }
    });

    test.each([
      ["CONDUCTOR_WORKER_GREET_CONCURENCY", "did you mean CONDUCTOR_WORKER_GREET_CONCURRENCY?"],
      ["CONDUCTOR_WORKER_ALL_EXECUTION_TIMEOUT", "did you mean CONDUCTOR_WORKER_ALL_EXECUTION_TIMEOUT_MS?"],
      ["CONDUCTOR_WORKER_GREET_PAUSE", "did you mean CONDUCTOR_WORKER_GREET_PAUSED?"],
      ["CONDUCTOR_WORKER_GREET_COLOUR", "a worker has CONCURRENCY, THREAD_COUNT, DOMAIN"],
      ["CONDUCTOR_WORKER_GREET_toString", "is not read"],
      ["conductor.worker.greet.concurency", "did you mean conductor.worker.greet.concurrency?"],
      ["conductor.worker.greet.threadCount", "its name is conductor.worker.greet.thread_count"],
      ["conductor.worker.all.CONCURRENCY", "its name is conductor.worker.all.concurrency"],
      ["conductor_worker_greet_concurrency", "its name is CONDUCTOR_WORKER_GREET_CONCURRENCY"],
      ["CONDUCTOR_WORKER_greet_CONCURRENCY", "its name is CONDUCTOR_WORKER_GREET_CONCURRENCY"],
      ["CONDUCTOR_WORKER_CONCURRENCY", "its name is CONDUCTOR_WORKER_ALL_CONCURRENCY"],
    ])("%s: %s", (name, message) => {
      const warnings = warningsOf({ [name]: "1" });
      expect(warnings).toEqual([expect.stringContaining(message)]);
      expect(warnings[0]).toContain(name);
    });

    test("names the variable of a task type that a shell cannot write", () => {
      expect(warningsOf({ "CONDUCTOR_WORKER_MY-TASK_CONCURRENCY": "2" }, ["my-task"])).toEqual([
        "CONDUCTOR_WORKER_MY-TASK_CONCURRENCY is not read: its name is CONDUCTOR_WORKER_MY_TASK_CONCURRENCY",
      ]);
    });

    test.each([
      "CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS",
      "CONDUCTOR_WORKER_ISOLATION",
      "CONDUCTOR_WORKER_OTHER_CONCURRENCY",
      "CONDUCTOR_WORKER_OTHER_NONSENSE",
      "CONDUCTOR_WORKER_GREETING_NONSENSE",
      "conductor.worker.other.nonsense",
      "conductor.worker.",
      "conductor.worker.greet",
      "CONDUCTOR_WORKER_",
      "PATH",
    ])("%s is nobody's business here", (name) => {
      expect(warningsOf({ [name]: "600" })).toEqual([]);
      expect(warningsOf({ [name]: "600" }, ["poll", "greet"])).toEqual([]);
    });

    test("does not speak of what is blank", () => {
      expect(warningsOf({ CONDUCTOR_WORKER_GREET_COLOUR: " ", CONDUCTOR_WORKER_GREET_POLL_INTERVAL: "" })).toEqual([]);
    });

    test("reads a variable of the longer name when one task name begins another", () => {
      const names = ["greet", "greet_all"];
      expect(warningsOf({ CONDUCTOR_WORKER_GREET_ALL_POLL_INTERVAL: "1" }, names)).toEqual([
        expect.stringContaining("ignored and not needed"),
      ]);
      expect(warningsOf({ CONDUCTOR_WORKER_GREET_ALL_CONCURENCY: "1" }, names)).toEqual([
        expect.stringContaining("did you mean CONDUCTOR_WORKER_GREET_ALL_CONCURRENCY?"),
      ]);
      expect(warningsOf({ CONDUCTOR_WORKER_ALL_OF_IT_CONCURRENCY: "1" }, ["all_of_it"])).toEqual([]);
    });

    test("cannot take one property for another: none ends in another", () => {
      const props: string[] = Object.values(WORKER_PROPS).flat();
      for (const ours of props) {
        for (const other of [...props, ...Object.keys(FOREIGN_PROPS)]) expect(other.endsWith(`_${ours}`)).toBe(false);
      }
    });
  });

  describe("nearest", () => {
    test.each([
      ["concurency", "concurrency"],
      ["CONCURRENCY", "concurrency"],
      ["worker-id", "workerId"],
      ["timeout", undefined],
      ["", undefined],
      ["_", undefined],
      ["x", undefined],
      ["in", undefined],
    ])("%s: %s", (name, expected) => {
      expect(nearest(name, ["workerId", "concurrency", "domain"])).toBe(expected);
    });

    test("prefers the nearer one", () => {
      expect(nearest("pauses", ["paused", "pauses", "pauser"])).toBe("pauses");
    });
  });
});
