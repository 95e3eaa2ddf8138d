import { describe, expect, test } from "vitest";
import { problemsOf, problemsWith, resolve, resolveGreet, worker } from "../../support/unit/config.js";

const inEnv = (prop: string, value: string) =>
  problemsOf({ workers: [worker()] }, { [`CONDUCTOR_WORKER_GREET_${prop}`]: value });
const inCode = (options: object) => problemsOf({ workers: [worker("greet", options)] });

describe("the configuration", () => {
  describe("numbers of a worker", () => {
    test.each([
      "10abc",
      "1e3",
      "0x10",
      "NaN",
      "Infinity",
      "1.5",
      "1,000",
      "0",
      "-1",
      "10001",
      "+5",
      "١",
      "9".repeat(400),
    ])("refuses CONCURRENCY %s", (value) => {
      expect(inEnv("CONCURRENCY", value)).toHaveLength(1);
      expect(inEnv("CONCURRENCY", value)[0]).toContain(JSON.stringify(value).slice(0, 50));
    });

    test.each([NaN, Infinity, 0, -1, 1.5, 10_001, "5", null, true, [5], {}, 5n, Symbol("x"), () => 5])(
      "refuses concurrency %s in code",
      (value) => {
        expect(inCode({ concurrency: value })).toEqual([
          expect.stringMatching(/^workers\[0\] \(greet\): concurrency must be an integer from 1 to 10000, got /),
        ]);
      },
    );

    test.each([
      ["1", 1],
      ["10000", 10_000],
      ["007", 7],
    ])("takes CONCURRENCY %s", (value, expected) => {
      expect(resolveGreet({}, { CONDUCTOR_WORKER_GREET_CONCURRENCY: value }).concurrency).toBe(expected);
    });

    test("keeps longPollMs within the server's limit, and says whose it is", () => {
      expect(resolveGreet({ longPollMs: 5000 }).longPollMs).toBe(5000);
      expect(resolveGreet({ longPollMs: 0 }).longPollMs).toBe(0);
      for (const problems of [
        inEnv("POLL_TIMEOUT", "5001"),
        inEnv("POLL_TIMEOUT", "-1"),
        inCode({ longPollMs: 5001 }),
      ]) {
        expect(problems).toEqual([expect.stringMatching(/from 0 to 5000 .*server/)]);
      }
    });

    test("takes an execution timeout above 0, as long as Node's timers", () => {
      expect(resolveGreet({ executionTimeoutMs: 0.5 }).executionTimeoutMs).toBe(0.5);
      expect(resolveGreet({ executionTimeoutMs: 2 ** 31 - 1 }).executionTimeoutMs).toBe(2 ** 31 - 1);
      for (const wrong of [0, -1, NaN, Infinity, 2 ** 31])
        expect(inCode({ executionTimeoutMs: wrong })).toHaveLength(1);
      for (const wrong of ["0", "1e3", "Infinity", ".5", "5."])
        expect(inEnv("EXECUTION_TIMEOUT_MS", wrong)).toHaveLength(1);
    });
  });

  describe("flags and words of a worker", () => {
    test.each(["true", "1", "yes", "on", "True", "ON"])("%s pauses", (value) => {
      expect(resolveGreet({}, { CONDUCTOR_WORKER_GREET_PAUSED: value }).paused).toBe(true);
    });

    test.each(["false", "0", "no", "off", "FALSE"])("%s does not pause", (value) => {
      expect(resolveGreet({ paused: true }, { CONDUCTOR_WORKER_GREET_PAUSED: value }).paused).toBe(false);
    });

    test.each(["y", "maybe", "2", "truee"])("%s is an error", (value) => {
      expect(inEnv("PAUSED", value)).toEqual([expect.stringContaining(`got ${JSON.stringify(value)}`)]);
    });

    test("takes only a boolean in code", () => {
      expect(inCode({ paused: "true" })).toHaveLength(1);
      expect(inCode({ paused: 1 })).toHaveLength(1);
    });

    test.each([
      ["handBack", "handBack"],
      ["HANDBACK", "handBack"],
      ["hand_back", "handBack"],
      ["Fail", "fail"],
    ])("ON_DRAIN_DEADLINE %s is %s", (value, expected) => {
      expect(resolveGreet({}, { CONDUCTOR_WORKER_GREET_ON_DRAIN_DEADLINE: value }).onDrainDeadline).toBe(expected);
    });

    test("refuses other words at a drain", () => {
      for (const wrong of ["hand", "toString", "constructor"]) {
        expect(inEnv("ON_DRAIN_DEADLINE", wrong)).toEqual([expect.stringContaining("one of handBack, fail")]);
      }
      expect(inCode({ onDrainDeadline: "HANDBACK" })).toHaveLength(1);
    });

    test("takes only text for domain and workerId", () => {
      expect(inCode({ domain: 5, workerId: {} })).toHaveLength(2);
      expect(resolveGreet({ domain: " blue " }).domain).toBe("blue");
    });
  });

  describe("the process", () => {
    test("has defaults", () => {
      expect(resolve()).toMatchObject({
        serverUrl: "http://localhost:8080/api",
        requestTimeoutMs: 10_000,
        stallTimeoutSeconds: 300,
        logLevel: "info",
        sources: {
          serverUrl: "default",
          requestTimeoutMs: "default",
          stallTimeoutSeconds: "default",
          logLevel: "default",
        },
        warnings: [],
      });
    });

    test("is set by the environment over code", () => {
      const config = resolve(
        { serverUrl: "http://code", requestTimeoutMs: 1000, stallTimeoutSeconds: 60 },
        {
          CONDUCTOR_SERVER_URL: "http://env",
          CONDUCTOR_REQUEST_TIMEOUT_MS: "2000",
          CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS: "90.5",
          CONDUCTOR_LOG_LEVEL: "WARN",
        },
      );
      expect(config).toMatchObject({
        serverUrl: "http://env/api",
        requestTimeoutMs: 2000,
        stallTimeoutSeconds: 90.5,
        logLevel: "warn",
        sources: { serverUrl: "env CONDUCTOR_SERVER_URL", logLevel: "env CONDUCTOR_LOG_LEVEL" },
        warnings: [],
      });
    });

    test("is set by code where the environment is blank", () => {
      const env = { CONDUCTOR_SERVER_URL: " ", CONDUCTOR_REQUEST_TIMEOUT_MS: "", CONDUCTOR_LOG_LEVEL: "" };
      expect(resolve({ serverUrl: "http://code/api", requestTimeoutMs: 100 }, env)).toMatchObject({
        serverUrl: "http://code/api",
        requestTimeoutMs: 100,
        logLevel: "info",
        sources: { serverUrl: "code", requestTimeoutMs: "code" },
      });
    });

    test.each([99, 600_001, 100.5, 0, "100"])("refuses requestTimeoutMs %s", (requestTimeoutMs) => {
      expect(problemsWith({ requestTimeoutMs })).toEqual([expect.stringContaining("from 100 to 600000")]);
    });

    test.each(["-1", "never", "1e3"])("refuses a stall timeout of %s", (value) => {
      expect(problemsWith({}, { CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS: value })).toHaveLength(1);
    });

    test.each([
      ["DEBUG", "debug"],
      ["Silent", "silent"],
      ["WARNING", "warn"],
      ["critical", "fatal"],
    ])("log level %s is %s", (value, expected) => {
      expect(resolve({}, { CONDUCTOR_LOG_LEVEL: value }).logLevel).toBe(expected);
    });

    test("refuses an unknown log level with the known ones", () => {
      expect(problemsWith({}, { CONDUCTOR_LOG_LEVEL: "verbose" })).toEqual([
        expect.stringContaining("trace, debug, info"),
      ]);
    });

    test("refuses a logger that is none", () => {
      for (const logger of [null, 5, "pino"]) expect(problemsWith({ logger })).toHaveLength(1);
      expect(problemsWith({ logger: { info() {}, warn() {} } })[0]).toMatch(/lacks debug, error$/);
      expect(() => resolve({ logger: console })).not.toThrow();
    });
  });

  describe("the stall timeout", () => {
    test("must leave room for the longest lawful poll", () => {
      const workers = [worker("quick", { longPollMs: 0 }), worker("slow", { longPollMs: 4500 })];
      expect(problemsOf({ workers, stallTimeoutSeconds: 15 })).toEqual([
        expect.stringMatching(
          /of slow .*longPollMs 4500 \+ requestTimeoutMs 10000.*at least 16, or lower longPollMs or/,
        ),
      ]);
      expect(resolve({ workers, stallTimeoutSeconds: 16 }).stallTimeoutSeconds).toBe(16);
    });

    test("may be exactly as long as that with its margin", () => {
      const options = { workers: [worker("greet", { longPollMs: 500 })], requestTimeoutMs: 1000 };
      expect(resolve({ ...options, stallTimeoutSeconds: 2.5 }).stallTimeoutSeconds).toBe(2.5);
      expect(problemsOf({ ...options, stallTimeoutSeconds: 2.499 })[0]).toContain("at least 3");
    });

    test("may be off", () => {
      expect(resolve({ stallTimeoutSeconds: 0 }).stallTimeoutSeconds).toBe(0);
    });

    test("is not judged by numbers that are wrong themselves", () => {
      expect(problemsWith({ stallTimeoutSeconds: 1, requestTimeoutMs: 5 })).toHaveLength(1);
      expect(problemsOf({ workers: [worker("greet", { longPollMs: 6000 })], stallTimeoutSeconds: 1 })).toHaveLength(1);
    });
  });

  test("does not offer a word for a boolean that is only read from a variable", () => {
    expect(problemsWith({ followWorkflows: "yes" })).toEqual([
      'option followWorkflows must be true or false, got "yes"',
    ]);
    expect(inCode({ paused: 1 })).toEqual(["workers[0] (greet): paused must be true or false, got 1"]);
    expect(inEnv("PAUSED", "maybe")).toEqual([expect.stringContaining("true, 1, yes or on, or false, 0, no or off")]);
  });
});
