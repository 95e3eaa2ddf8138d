import { describe, expect, test } from "vitest";
import { TaskContextImpl } from "../../../src/runner/execution/context.js";
import { returned, returnedTaskResult, threw, type Outcome } from "../../../src/runner/outcome.js";
import { MAX_RESULT_BYTES, plainFailure, toHandBack, toParcel } from "../../../src/runner/parcel.js";
import { NonRetryableError } from "../../../src/worker/errors.js";
import { inProgress } from "../../../src/worker/in-progress.js";
import { silentLogger } from "../../support/log/loggers.js";
import { FakeClock } from "../../support/time/fake-clock.js";
import { entryOf, parse } from "../../support/unit/runner.js";
import { createWorld, workerConfig } from "../../support/unit/runner-world.js";

function resultOf(outcome: Outcome, entry = entryOf()) {
  if (outcome.kind !== "completed" && outcome.kind !== "failed") throw new Error(`no result: ${outcome.kind}`);
  return parse(toParcel(entry, outcome).body);
}

const throws = (message: string) => () => {
  throw new Error(message);
};

class Point {
  readonly x: number;
  constructor(x: number) {
    this.x = x;
  }
}

describe("the outcome of a task", () => {
  describe("what a function returned", () => {
    test.each<[string, unknown, unknown]>([
      ["undefined", undefined, {}],
      ["null", null, {}],
      ["an object", { a: 1 }, { a: 1 }],
      ["an instance of a class", new Point(3), { x: 3 }],
      ["an object without a prototype", Object.assign(Object.create(null) as object, { a: 1 }), { a: 1 }],
      ["an array", [1, 2], { result: [1, 2] }],
      ["a string", "done", { result: "done" }],
      ["an empty string", "", { result: "" }],
      ["0", 0, { result: 0 }],
      ["false", false, { result: false }],
      ["NaN", NaN, { result: null }],
      ["a Date", new Date(0), { result: "1970-01-01T00:00:00.000Z" }],
      ["a toJSON that gives an object", { toJSON: () => ({ a: 1 }) }, { a: 1 }],
      ["a toJSON that gives an array", { toJSON: () => [1] }, { result: [1] }],
      ["a boxed string", Object("text"), { result: "text" }],
      ["an instance of a class without fields", new (class Done {})(), {}],
      ["bytes", new Uint8Array([7]), { 0: 7 }],
      ["an object that names undefined", { a: undefined, b: 1 }, { b: 1 }],
    ])("%s", (_name, value, outputData) => {
      expect(resultOf(returned(value))).toMatchObject({ status: "COMPLETED", outputData });
      expect(resultOf(returned(value)).outputData).toEqual(outputData);
    });

    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    test.each<[string, unknown, RegExp]>([
      ["a BigInt", 1n, /BigInt/],
      ["a BigInt inside", { n: { n: 1n } }, /BigInt/],
      ["a cycle", cycle, /circular/],
      ["a toJSON inside that throws", { at: { toJSON: () => { throw new Error("not me"); } } }, /not me/], // prettier-ignore
      ["a toJSON inside that throws undefined", { at: { toJSON: () => { throw undefined; } } }, /undefined/], // prettier-ignore
      ["a Map", new Map([["a", 1]]), /JSON writes nothing of Map\(1\) { 'a' => 1 }/],
      ["a Set", new Set([1]), /JSON writes nothing of Set/],
      [
        "an Error",
        Object.assign(new Error("returned, not thrown"), { code: 1 }),
        /nothing of Error: returned, not thrown/,
      ],
      ["a Response", new Response("text"), /nothing of Response/],
      ["a function", () => 1, /nothing of \[Function/],
      ["a symbol", Symbol("s"), /nothing of Symbol/],
      ["a getter that throws", { get a() { throw new Error("not me"); } }, /not me/], // prettier-ignore
    ])("%s cannot be serialised: a terminal failure says so", (_name, value, why) => {
      const result = resultOf(returned(value));
      expect(result).toMatchObject({ status: "FAILED_WITH_TERMINAL_ERROR", outputData: {}, taskId: "id-1" });
      expect(result.reasonForIncompletion).toMatch(/the output cannot be serialised/);
      expect(result.reasonForIncompletion).toMatch(why);
    });

    test("what is more than the server takes is a terminal failure that names both sizes", () => {
      const result = resultOf(returned({ text: "é".repeat(MAX_RESULT_BYTES / 2) }));
      expect(result.status).toBe("FAILED_WITH_TERMINAL_ERROR");
      expect(result.reasonForIncompletion).toMatch(/too large: 104\d{5} bytes.* at most 10485760/);
    });

    test("what just fits is sent", () => {
      expect(resultOf(returned({ text: "x".repeat(MAX_RESULT_BYTES - 1_000) })).status).toBe("COMPLETED");
    });

    test("inProgress, with and without an output", () => {
      expect(returned(inProgress({ callbackAfterSeconds: 3 }))).toMatchObject({
        kind: "inProgress",
        callbackAfterSeconds: 3,
        output: undefined,
      });
      expect(returned(inProgress({ callbackAfterSeconds: 0, output: { page: 2 } }))).toMatchObject({
        output: { page: 2 },
      });
    });
  });

  describe("what a function threw", () => {
    const frozen = Object.freeze(new Error("frozen"));
    const hostile = new Error("x");
    Object.defineProperty(hostile, "message", { get: () => { throw new Error("no"); } }); // prettier-ignore
    const { proxy: revoked, revoke } = Proxy.revocable({}, {});
    revoke();
    const cannotBeLookedAt = "the function threw something that cannot be looked at";

    test.each<[string, unknown, string | RegExp]>([
      ["an error", new Error("boom"), "boom"],
      ["an error without a message", new TypeError(), "TypeError"],
      ["undefined", undefined, "the function threw undefined"],
      ["null", null, "the function threw null"],
      ["a string", "boom", "boom"],
      ["an empty string", "", "the function threw ''"],
      ["a number", 42, "the function threw 42"],
      ["a BigInt", 1n, "the function threw 1n"],
      ["a symbol", Symbol("s"), "the function threw Symbol(s)"],
      ["a function", () => 1, /^the function threw .*Function/],
      ["an object with a message", { message: "boom" }, "boom"],
      ["an object without one", { code: 7 }, "the function threw { code: 7 }"],
      ["a message that is no text", Object.assign(new Error(""), { message: 5 as unknown as string }), "Error"],
      ["a frozen error", frozen, "frozen"],
      ["an error whose getters throw", hostile, cannotBeLookedAt],
      ["a revoked proxy", revoked, cannotBeLookedAt],
      ["a proxy that refuses everything", new Proxy({}, { get() { throw new Error("no"); }, getPrototypeOf() { throw new Error("no"); } }), cannotBeLookedAt], // prettier-ignore
    ])("%s is a failure that may be retried", (_name, thrown, reason) => {
      const result = resultOf(threw(thrown));
      expect(result.status).toBe("FAILED");
      if (typeof reason === "string") expect(result.reasonForIncompletion).toBe(reason);
      else expect(result.reasonForIncompletion).toMatch(reason);
    });

    test("a message of a megabyte is cut to what the server keeps", () => {
      const { reasonForIncompletion } = resultOf(threw(new Error("x".repeat(1_000_000))));
      expect(reasonForIncompletion).toHaveLength(500);
      expect(reasonForIncompletion).toMatch(/x…$/);
    });

    test("the stack goes to the task's log", () => {
      const entry = entryOf();
      const context = (entry.logs = new TaskContextImpl(entry, new FakeClock(), silentLogger));
      context.log("before");
      const { logs } = resultOf(threw(new Error("boom")), entry);
      expect(logs?.map(({ log }) => log.split("\n")[0])).toEqual(["before", "Error: boom"]);
      expect(logs?.[1]?.log).toMatch(/outcome\.test/);
    });

    class Derived extends NonRetryableError {}
    class NonRetryableException extends Error {
      override name = "NonRetryableException";
    }
    const copied = Object.defineProperty(new Error("stop"), Symbol.for("ostinato.error"), {
      value: ["NonRetryableError", "OstinatoError"],
    });
    test.each<[string, unknown]>([
      ["NonRetryableError", new NonRetryableError("stop")],
      ["a class derived from it", new Derived("stop")],
      ["one of another copy of the package", copied],
      ["an error with its code", Object.assign(new Error("stop"), { code: "NON_RETRYABLE" })],
      ["the official SDK's NonRetryableException", new NonRetryableException("stop")],
    ])("%s is terminal", (_name, thrown) => {
      expect(resultOf(threw(thrown))).toMatchObject({
        status: "FAILED_WITH_TERMINAL_ERROR",
        reasonForIncompletion: "stop",
      });
    });

    test("an object that only has the name or the code is not", () => {
      expect(threw({ name: "NonRetryableException", message: "x" })).toMatchObject({ terminal: false });
      expect(threw({ code: "NON_RETRYABLE", message: "x" })).toMatchObject({ terminal: false });
    });
  });

  describe("what a function of the official SDK's shape returned", () => {
    test.each<[string, unknown, object]>([
      ["COMPLETED", { status: "COMPLETED", outputData: { a: 1 } }, { status: "COMPLETED", outputData: { a: 1 } }],
      ["COMPLETED without output", { status: "COMPLETED" }, { status: "COMPLETED", outputData: {} }],
      ["COMPLETED with null", { status: "COMPLETED", outputData: null }, { status: "COMPLETED", outputData: {} }],
      [
        "FAILED",
        { status: "FAILED", reasonForIncompletion: "why", outputData: { a: 1 } },
        { status: "FAILED", reasonForIncompletion: "why", outputData: { a: 1 } },
      ],
      [
        "FAILED without a reason",
        { status: "FAILED" },
        { reasonForIncompletion: expect.stringMatching(/^the worker returned .?FAILED.? without a reason$/) },
      ],
      [
        "FAILED_WITH_TERMINAL_ERROR",
        { status: "FAILED_WITH_TERMINAL_ERROR" },
        { status: "FAILED_WITH_TERMINAL_ERROR" },
      ],
      ["CANCELED", { status: "CANCELED" }, { status: "FAILED" }],
      [
        "a status that no worker reports",
        { status: "TIMED_OUT" },
        {
          status: "FAILED",
          reasonForIncompletion: "execute returned the status 'TIMED_OUT', which a worker cannot report",
        },
      ],
      ["no status", {}, { status: "FAILED" }],
      [
        "nothing",
        undefined,
        { status: "FAILED", reasonForIncompletion: "execute returned no task result but undefined" },
      ],
      ["an array", [], { status: "FAILED" }],
      [
        "an output that is no object",
        { status: "COMPLETED", outputData: [1] },
        { status: "FAILED_WITH_TERMINAL_ERROR" },
      ],
      ["an output that is text", { status: "COMPLETED", outputData: "x" }, { status: "FAILED_WITH_TERMINAL_ERROR" }],
    ])("%s", (_name, value, result) => {
      expect(resultOf(returnedTaskResult(value))).toMatchObject(result);
    });

    test("IN_PROGRESS gives the task back", () => {
      const back = (callbackAfterSeconds?: unknown) =>
        returnedTaskResult({ status: "IN_PROGRESS", callbackAfterSeconds, outputData: { page: 2 } });
      expect(back(30)).toMatchObject({ kind: "inProgress", callbackAfterSeconds: 30, output: { page: 2 } });
      expect(back(1.5)).toMatchObject({ callbackAfterSeconds: 2 });
      for (const none of [undefined, null, -1, NaN, Infinity, "5"])
        expect(back(none)).toMatchObject({ callbackAfterSeconds: 0 });
    });

    test("inProgress() is understood as well", () => {
      expect(returnedTaskResult(inProgress({ callbackAfterSeconds: 1 }))).toMatchObject({ kind: "inProgress" });
    });

    test.each(["COMPLETED", "FAILED", "FAILED_WITH_TERMINAL_ERROR"] as const)(
      "%s: the output that the function has put into external storage itself is not lost",
      (status) => {
        const externalOutputPayloadStoragePath = "out/a.json";
        expect(resultOf(returnedTaskResult({ status, externalOutputPayloadStoragePath }))).toMatchObject({
          status,
          externalOutputPayloadStoragePath,
        });
        expect(resultOf(returnedTaskResult({ status }))).not.toHaveProperty("externalOutputPayloadStoragePath");
      },
    );

    test("its logs are sent, before those of the context, joined to ten", () => {
      const entry = entryOf();
      const context = (entry.logs = new TaskContextImpl(entry, new FakeClock(), silentLogger));
      context.log("last");
      const own = Array.from({ length: 24 }, (_, index) => ({ log: `line ${index}`, createdTime: index }));
      const { logs } = resultOf(returnedTaskResult({ status: "COMPLETED", logs: own }), entry);
      expect(logs).toHaveLength(10);
      expect(logs!.flatMap(({ log }) => log.split("\n"))).toEqual([...own.map(({ log }) => log), "last"]);
    });
  });

  describe("a reason of megabytes", () => {
    const LONG = "😀".repeat(2_000_000);
    const renamed = Object.assign(new Error(""), { name: LONG });
    const failedReport = { status: "FAILED", reasonForIncompletion: LONG };

    test.each([
      ["a message", threw(new Error(LONG))],
      ["a name", threw(renamed)],
      ["a text", threw(LONG)],
      ["an object's message", threw({ message: LONG })],
      ["a result's own", returnedTaskResult(failedReport)],
      ["a result's own error", returnedTaskResult({ status: "FAILED", reasonForIncompletion: new Error(LONG) })],
      ["what cannot be serialised", returned({ toJSON: throws(LONG) })],
    ])("(%s) is cut where it is made, with a mark and no half of a character", (_, outcome) => {
      const { reason, stack } = outcome as { reason: string; stack?: string };
      expect(reason.length).toBeLessThanOrEqual(2_000);
      expect(reason).toMatch(/😀…$/u);
      expect(stack?.length ?? 0).toBeLessThanOrEqual(16_000);
    });

    test("leaves the frames of the stack", () => {
      const { stack } = threw(new Error(LONG)) as { stack: string };
      expect(stack).toMatch(/^Error: 😀+…/u);
      expect(stack).toMatch(/\n +at .*outcome\.test\.ts/);
    });

    test("is of at most 500 characters for the server", () => {
      const { reasonForIncompletion } = resultOf(threw(new Error(LONG)));
      expect(reasonForIncompletion?.length).toBeLessThanOrEqual(500);
      expect(reasonForIncompletion).toMatch(/^(😀)+…$/u);
    });
  });

  test("a result names the task, the workflow and who we are", () => {
    const entry = entryOf({}, { workerId: "me" });
    const ids = { taskId: "id-1", workflowInstanceId: "wf-1", workerId: "me" };
    expect(resultOf(returned({}), entry)).toMatchObject(ids);
    expect(parse(plainFailure(entry, "x".repeat(900)).body)).toMatchObject({
      ...ids,
      status: "FAILED_WITH_TERMINAL_ERROR",
      outputData: {},
    });
    expect(parse(plainFailure(entry, "x".repeat(900)).body).reasonForIncompletion).toHaveLength(500);
  });

  describe("what goes back to the queue", () => {
    const handedBack = (...args: Parameters<typeof toHandBack>) => {
      const wayBack = toHandBack(...args);
      if (wayBack.kind !== "handBack") throw new Error("it cannot go back");
      return parse(wayBack.body);
    };

    test("takes its stored output along, which the update replaces", () => {
      const entry = entryOf({ outputData: { kept: 1 } });
      const back = { taskId: "id-1", workflowInstanceId: "wf-1", workerId: "w", status: "IN_PROGRESS" };
      expect(handedBack(entry, { callbackAfterSeconds: 5 })).toEqual({
        ...back,
        callbackAfterSeconds: 5,
        outputData: { kept: 1 },
      });
      expect(handedBack(entry, { callbackAfterSeconds: 0, output: { page: 2 } }).outputData).toEqual({
        page: 2,
      });
    });

    test("and what was logged, joined to ten", () => {
      const entry = entryOf();
      const context = (entry.logs = new TaskContextImpl(entry, new FakeClock(), silentLogger));
      for (let i = 0; i < 15; i += 1) context.log(`line ${i}`);
      const { logs } = handedBack(entry, { callbackAfterSeconds: 0 });
      expect(logs).toHaveLength(10);
    });

    test("is a terminal failure instead where it cannot be serialised", () => {
      expect(toHandBack(entryOf(), { callbackAfterSeconds: 0, output: { n: 1n } })).toMatchObject({
        kind: "failure",
        parcel: { status: "FAILED_WITH_TERMINAL_ERROR" },
      });
    });
  });

  const parcelOf = (outcome: Outcome) => {
    if (outcome.kind !== "completed" && outcome.kind !== "failed") throw new Error(`no result: ${outcome.kind}`);
    return parse(toParcel(entryOf(), outcome).body);
  };

  const cycle: Record<string, unknown> = {};

  cycle.self = cycle;

  test.each<[string, Record<string, unknown>]>([
    ["BigInt", { n: 1n }],
    ["cycle", cycle],
  ])("an inProgress output that cannot be serialised (%s) becomes a terminal failure", async (_name, output) => {
    const world = createWorld([workerConfig("t", () => inProgress({ callbackAfterSeconds: 1, output }))]);
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(5_000);
    expect(world.server.count("FAILED_WITH_TERMINAL_ERROR")).toBe(1);
  });

  test.each([
    ["a Date", new Date(0)],
    ["an object whose toJSON gives a string", { toJSON: () => "text" }],
    ["an object whose toJSON gives an array", { toJSON: () => [1] }],
    ["a boxed string", Object("text") as object],
  ])("%s as the output reaches the server as an object", (_name, value) => {
    const { outputData, status } = parcelOf(returned(value));
    if (status === "COMPLETED") expect(outputData).toBeTypeOf("object");
    if (status === "COMPLETED") expect(Array.isArray(outputData)).toBe(false);
  });

  test.each([new Error("no"), 42, { code: 1 }, true])(
    "a reasonForIncompletion that is no text (%s) does not cost the status",
    (reasonForIncompletion) => {
      const result = parcelOf(returnedTaskResult({ status: "FAILED_WITH_TERMINAL_ERROR", reasonForIncompletion }));
      expect(result.status).toBe("FAILED_WITH_TERMINAL_ERROR");
      expect(result.reasonForIncompletion).toBeTypeOf("string");
    },
  );

  test.each([undefined, 42])("an error without a message, and with the name %s, still has a reason", (name) => {
    const error = Object.defineProperty(new Error(""), "name", { value: name });
    expect(parcelOf(threw(error)).reasonForIncompletion).toBeTypeOf("string");
  });

  test("log lines of the official shape that are no objects do not cost the result", () => {
    const logs = Array.from({ length: 11 }, () => null);
    expect(parcelOf(returnedTaskResult({ status: "COMPLETED", outputData: { a: 1 }, logs })).status).toBe("COMPLETED");
  });

  test("an output whose toJSON throws is a terminal failure, as any that cannot be serialised", async () => {
    const output = {
      toJSON: () => {
        throw new Error("no");
      },
    };
    const world = createWorld([workerConfig("t", () => output)]);
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(1_000);
    expect(world.server.updates).toMatchObject([{ status: "FAILED_WITH_TERMINAL_ERROR" }]);
  });
});
