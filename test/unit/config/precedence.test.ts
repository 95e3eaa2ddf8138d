import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { problemsOf, resolve, resolveGreet, worker, type Environment } from "../../support/unit/config.js";

describe("the configuration", () => {
  describe("precedence of a worker's property", () => {
    const levels = [
      ["CONDUCTOR_WORKER_GREET_CONCURRENCY", 11],
      ["CONDUCTOR_WORKER_GREET_THREAD_COUNT", 12],
      ["conductor.worker.greet.concurrency", 13],
      ["conductor.worker.greet.thread_count", 14],
      ["CONDUCTOR_WORKER_ALL_CONCURRENCY", 15],
      ["CONDUCTOR_WORKER_ALL_THREAD_COUNT", 16],
      ["conductor.worker.all.concurrency", 17],
      ["conductor.worker.all.thread_count", 18],
    ] as const;

    test("takes the strongest source that is set, blank ones not counted", () => {
      const setting = fc.constantFrom("set", "unset", "empty", "blank");
      fc.assert(
        fc.property(fc.array(setting, { minLength: 8, maxLength: 8 }), fc.boolean(), (settings, inCode) => {
          const env: Record<string, string> = {};
          levels.forEach(([name, value], index) => {
            if (settings[index] === "set") env[name] = ` ${value} `;
            if (settings[index] === "empty") env[name] = "";
            if (settings[index] === "blank") env[name] = " \t";
          });
          const strongest = levels[settings.indexOf("set")];
          const config = resolveGreet(inCode ? { concurrency: 19 } : {}, env);
          const expected =
            strongest !== undefined
              ? { value: strongest[1], source: `env ${strongest[0]}` }
              : inCode
                ? { value: 19, source: "code" }
                : { value: 1, source: "default" };
          expect({ value: config.concurrency, source: config.sources.concurrency }).toEqual(expected);
        }),
      );
    });

    test("has a variable for every property", () => {
      const config = resolveGreet(
        {},
        {
          CONDUCTOR_WORKER_GREET_CONCURRENCY: "7",
          CONDUCTOR_WORKER_GREET_DOMAIN: "blue",
          CONDUCTOR_WORKER_GREET_WORKER_ID: "me",
          CONDUCTOR_WORKER_GREET_EXECUTION_TIMEOUT_MS: "1500.5",
          CONDUCTOR_WORKER_GREET_POLL_TIMEOUT: "0",
          CONDUCTOR_WORKER_GREET_PAUSED: "YES",
          CONDUCTOR_WORKER_GREET_ON_DRAIN_DEADLINE: "FAIL",
        },
      );
      expect(config).toMatchObject({
        concurrency: 7,
        domain: "blue",
        workerId: "me",
        executionTimeoutMs: 1500.5,
        longPollMs: 0,
        paused: true,
        onDrainDeadline: "fail",
      });
    });

    test("has defaults", () => {
      const config = resolveGreet();
      expect(config).toMatchObject({
        taskDefName: "greet",
        concurrency: 1,
        domain: undefined,
        workerId: "host:42:x7f3",
        executionTimeoutMs: undefined,
        longPollMs: 2000,
        paused: false,
        onDrainDeadline: "handBack",
        takesTask: false,
      });
      expect(new Set(Object.values(config.sources))).toEqual(new Set(["default"]));
    });

    test("takes a blank string in code for unset", () => {
      const config = resolveGreet({ domain: "", workerId: "  " });
      expect(config).toMatchObject({ domain: undefined, workerId: "host:42:x7f3" });
      expect(config.sources).toMatchObject({ domain: "default", workerId: "default" });
    });

    test("lets a blank variable give way to code, not to a domain without a name", () => {
      expect(resolveGreet({ domain: "blue" }, { CONDUCTOR_WORKER_GREET_DOMAIN: "" }).domain).toBe("blue");
      expect(resolveGreet({}, { CONDUCTOR_WORKER_ALL_DOMAIN: " " }).domain).toBeUndefined();
    });

    test("does not pass over a wrong value to a weaker source", () => {
      const env: Environment = { CONDUCTOR_WORKER_GREET_CONCURRENCY: "abc", CONDUCTOR_WORKER_ALL_CONCURRENCY: "7" };
      expect(problemsOf({ workers: [worker("greet", { concurrency: 3 })] }, env)).toEqual([
        'environment variable CONDUCTOR_WORKER_GREET_CONCURRENCY must be an integer from 1 to 10000, got "abc"',
      ]);
    });

    test("says only once that a variable of all workers is wrong", () => {
      const workers = [worker("a"), worker("b"), worker("c")];
      expect(problemsOf({ workers }, { CONDUCTOR_WORKER_ALL_CONCURRENCY: "0" })).toHaveLength(1);
    });
  });

  describe("names of variables", () => {
    test.each([
      ["my-task", "MY_TASK"],
      ["my.task", "MY_TASK"],
      ["My Task+é", "MY_TASK__"],
      ["v2_ship", "V2_SHIP"],
    ])("task type %s is %s", (taskDefName, token) => {
      const config = resolve({ workers: [worker(taskDefName)] }, { [`CONDUCTOR_WORKER_${token}_CONCURRENCY`]: "5" });
      expect(config.workers[0]!.concurrency).toBe(5);
      expect(config.warnings).toEqual([]);
    });

    test("has the task type verbatim in a dotted name", () => {
      const config = resolve({ workers: [worker("my.Task-1")] }, { "conductor.worker.my.Task-1.poll_timeout": "100" });
      expect(config.workers[0]!.longPollMs).toBe(100);
      expect(config.warnings).toEqual([]);
    });

    test("keeps a task name apart from one that it begins", () => {
      const config = resolve(
        { workers: [worker("greet"), worker("greet_all")] },
        { CONDUCTOR_WORKER_GREET_CONCURRENCY: "2", CONDUCTOR_WORKER_GREET_ALL_CONCURRENCY: "3" },
      );
      expect(config.workers.map(({ concurrency }) => concurrency)).toEqual([2, 3]);
      expect(config.warnings).toEqual([]);
    });

    test("refuses two task types that would share their variables", () => {
      expect(problemsOf({ workers: [worker("my-task"), worker("my.task")] })).toEqual([
        expect.stringMatching(/"my-task" and "my\.task" would share the variables CONDUCTOR_WORKER_MY_TASK_…/),
      ]);
    });

    test("warns of a task type called all", () => {
      expect(resolve({ workers: [worker("all"), worker()] }).warnings).toEqual([expect.stringContaining('type "all"')]);
      expect(resolve({ workers: [worker("all")] }).warnings).toEqual([]);
    });
  });

  describe("duplicates", () => {
    test("lets one task type be worked on in two domains", () => {
      const config = resolve({
        workers: [worker("greet"), worker("greet", { domain: "a" }), worker("greet", { domain: "b" })],
      });
      expect(config.workers.map(({ domain }) => domain)).toEqual([undefined, "a", "b"]);
    });

    test("refuses the same task type in the same domain, as it was resolved", () => {
      const workers = [worker("greet", { domain: "a" }), worker("greet", { domain: "b" })];
      expect(problemsOf({ workers }, { CONDUCTOR_WORKER_GREET_DOMAIN: "c" })).toEqual([
        'two workers have the taskDefName "greet" in the domain "c" (env CONDUCTOR_WORKER_GREET_DOMAIN): keep one, and raise its concurrency',
      ]);
      expect(problemsOf({ workers: [worker(), worker("greet", { domain: " " })] })).toEqual([
        expect.stringContaining('"greet" without a domain'),
      ]);
    });
  });
});
