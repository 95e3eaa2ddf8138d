import { describe, expect, test } from "vitest";
import type { Task } from "../../../src/conductor/types.js";
import type { WorkerOptions } from "../../../src/worker/define-worker.js";
import { problemsOf, problemsWith, resolve, resolveGreet, worker } from "../../support/unit/config.js";

const execute = async () => ({ status: "COMPLETED" as const });

describe("the configuration", () => {
  describe("what is passed as options", () => {
    test.each([undefined, null, 5, "x"])("refuses %s", (options) => {
      expect(problemsOf(options)).toEqual([expect.stringContaining("{ workers: […] }")]);
    });

    test.each([undefined, null, "greet", 5])("refuses workers %s", (workers) => {
      expect(problemsOf({ workers })).toEqual([expect.stringContaining("must be an array of workers")]);
    });

    test("refuses one worker without brackets, and says so", () => {
      expect(problemsOf({ workers: worker() })[0]).toContain("workers: [worker]");
    });

    test("refuses no workers", () => {
      expect(problemsOf({ workers: [] })).toEqual([expect.stringContaining("empty")]);
    });

    test.each([
      [undefined, /workers\[1\] is undefined: is its import/],
      [null, /workers\[1\] must be made by defineWorker.*got null/],
      [async function greetThem() {}, /workers\[1\] is a function: wrap it.*execute: greetThem/],
      [() => {}, /execute: fn/],
      ["greet", /got "greet"/],
      [[worker("inner")], /must be made by defineWorker/],
      [{ execute }, /workers\[1\]: taskDefName must be the name of a task definition, got undefined/],
      [{ taskDefName: " ", execute }, /got " "/],
      [{ taskDefName: 5, execute }, /got 5/],
      [{ taskDefName: " a", execute }, /must not begin or end with a blank, got " a"/],
      [{ taskDefName: "a/b", execute }, /"a\/b" cannot be polled/],
      [{ taskDefName: "a\\b", execute }, /cannot be polled/],
      [{ taskDefName: "..", execute }, /cannot be polled/],
      [{ taskDefName: "a" }, /workers\[1\] \(a\): execute must be a function, got undefined/],
      [{ taskDefName: "a", execute: "run" }, /got "run"/],
      [{ taskDefName: "a", async *execute() {} }, /workers\[1\] \(a\): execute must be .* got a generator/],
    ])("refuses entry %#", (entry, message) => {
      expect(problemsOf({ workers: [worker(), entry] })).toEqual([expect.stringMatching(message)]);
    });

    test("does not pass over a hole in the array", () => {
      expect(problemsOf({ workers: [worker(), , worker("b")] })).toEqual([
        expect.stringContaining("workers[1] is undefined"),
      ]);
    });

    test("lists everything that is wrong at once", () => {
      const problems = problemsOf(
        { workers: [undefined, worker("a", { concurrency: 0, longPollMs: -1 })], requestTimeoutMs: 1, serverURL: "x" },
        { CONDUCTOR_SERVER_URL: "nonsense", CONDUCTOR_LOG_LEVEL: "loud" },
      );
      expect(problems).toHaveLength(7);
      expect(new Set(problems).size).toBe(7);
    });
  });

  describe("options that do not exist", () => {
    test.each([
      [{ serverURL: "http://x" }, "did you mean serverUrl?"],
      [{ request_timeout_ms: 5 }, "did you mean requestTimeoutMs?"],
      [{ stallTimeout: 5 }, "did you mean stallTimeoutSeconds?"],
      [{ url: "http://x" }, "option url is called serverUrl here"],
      [{ client: {} }, "serverUrl"],
      [{ keySecret: "x" }, "option keySecret is called auth: { keyId, keySecret } here"],
      [{ concurrency: 5 }, "belongs to a worker, not to the handler: set concurrency on each worker"],
      [{ threadCount: 5 }, "set concurrency on each worker"],
      [{ pollInterval: 5 }, "does not exist and is not needed"],
      [{ zzz: 5 }, "option zzz does not exist"],
      [{ toString: 5 }, "option toString does not exist"],
    ])("handler: %o", (options, message) => {
      expect(problemsWith(options)).toEqual([expect.stringContaining(message)]);
    });

    test.each([
      [{ concurency: 5 }, "did you mean concurrency?"],
      [{ executionTimeout: 5 }, "did you mean executionTimeoutMs?"],
      [{ threadCount: 5 }, "option threadCount is called concurrency here"],
      [{ workerID: "x" }, "option workerID is called workerId here"],
      [{ pollTimeout: 5 }, "is called longPollMs here"],
      [{ pollInterval: 5 }, "does not exist and is not needed: a poll waits on the server"],
      [{ leaseExtendEnabled: true }, "the lease is always extended"],
      [{ taskDef: {} }, "are given to registerTaskDef: { … }"],
      [{ registerTaskDefs: true }, "did you mean registerTaskDef?"],
      [{ constructor: 5 }, "option constructor does not exist"],
    ])("worker: %o", (options, message) => {
      expect(problemsOf({ workers: [worker("greet", options as WorkerOptions)] })).toEqual([
        expect.stringContaining(message),
      ]);
    });

    test("says nothing of an option that is undefined and exists", () => {
      expect(resolve({ logger: undefined, serverUrl: undefined }).warnings).toEqual([]);
    });
  });

  describe("workers of the official SDK's shape", () => {
    test("take the task; those made by defineWorker take its input", () => {
      const config = resolve({ workers: [worker(), { taskDefName: "official", execute, concurrency: 4 }] });
      expect(config.workers.map(({ takesTask }) => takesTask)).toEqual([false, true]);
      expect(config.workers[1]!.concurrency).toBe(4);
    });

    test("run unchanged with the options of that SDK, which are worth a warning", () => {
      const official = { taskDefName: "official", execute, pollInterval: 100, leaseExtendEnabled: true };
      expect(resolve({ workers: [official] }).warnings).toEqual([
        expect.stringContaining("workers[0] (official): option pollInterval does not exist and is not needed"),
        expect.stringContaining("option leaseExtendEnabled"),
      ]);
    });

    test("are refused a misspelt option", () => {
      expect(problemsOf({ workers: [{ taskDefName: "official", execute, concurency: 4 }] })).toEqual([
        expect.stringContaining("did you mean concurrency?"),
      ]);
    });

    test("may be instances of a class, with their own fields and their own this", async () => {
      class Greeter {
        readonly taskDefName = "greet";
        readonly database = { greeting: "Hello" };
        readonly name = "greeter";
        readonly concurency = 5;
        get domain() {
          return ["blue"].join();
        }
        async execute(task: Task) {
          return { outputData: { message: `${this.database.greeting} ${task.taskId}` } };
        }
      }
      const config = resolve({ workers: [new Greeter()] });
      expect(config.warnings).toEqual([expect.stringContaining("did you mean concurrency?")]);
      const [greeter] = config.workers;
      expect(greeter).toMatchObject({ taskDefName: "greet", domain: "blue", takesTask: true });
      await expect(greeter!.execute({ taskId: "t1" } as never, {} as never)).resolves.toEqual({
        outputData: { message: "Hello t1" },
      });
    });
  });

  describe("purity", () => {
    test("changes nothing it was given and gives the same answer again", () => {
      const options = Object.freeze({ workers: Object.freeze([worker("greet", { concurrency: 3 })]) });
      const env = Object.freeze({ CONDUCTOR_WORKER_ALL_DOMAIN: "blue" });
      expect(resolve(options, env)).toEqual(resolve(options, env));
    });

    test("does not read the environment of the process", () => {
      process.env.CONDUCTOR_WORKER_GREET_CONCURRENCY = "99";
      try {
        expect(resolveGreet().concurrency).toBe(1);
      } finally {
        delete process.env.CONDUCTOR_WORKER_GREET_CONCURRENCY;
      }
    });
  });
});
