import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";

const group = "User code";
const boundMs = 2_000;

const trap = () => {
  throw new Error("a trap");
};
const hostile = new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap, ownKeys: trap });
const withGetters = Object.defineProperties({}, { message: { get: trap }, name: { get: trap }, stack: { get: trap } });

const THROWN: readonly [name: string, thrown: unknown, reason: RegExp][] = [
  ["undefined", undefined, /undefined/],
  ["null", null, /null/],
  ["a string", "no such order", /^no such order$/],
  ["an empty string", "", /''/],
  ["a number", 42, /42/],
  ["a symbol", Symbol("s"), /Symbol\(s\)/],
  ["a frozen error", Object.freeze(new Error("cold")), /^cold$/],
  ["an error with a message of 1 MB", new Error("x".repeat(1_000_000)), /^x{499}…$/],
  ["an object whose getters throw", withGetters, /cannot be looked at/],
  ["a proxy whose traps throw", hostile, /./],
];

const cycle: Record<string, unknown> = {};
cycle.self = cycle;
const throwsInToJson = {
  toJSON: () => {
    throw new Error("not me");
  },
};

const RETURNED: readonly [name: string, value: () => unknown, output: object | RegExp][] = [
  ["undefined", () => undefined, {}],
  ["a string", () => "text", { result: "text" }],
  ["an array", () => [1, 2], { result: [1, 2] }],
  ["NaN", () => ({ value: NaN }), { value: null }],
  ["a BigInt", () => ({ value: 1n }), /cannot be serialised: .*BigInt/],
  ["a bare BigInt", () => 1n, /cannot be serialised: .*BigInt/],
  ["a cycle", () => cycle, /cannot be serialised: .*circular/],
  ["a toJSON that throws", () => throwsInToJson, /cannot be serialised: not me/],
  ["a toJSON that throws, deep inside", () => ({ a: [throwsInToJson] }), /cannot be serialised: not me/],
  ["20 MB", () => ({ value: "x".repeat(20_000_000) }), /too large: 20\d+ bytes/],
];

describe.concurrent("what functions throw and return", () => {
  const guard = "whatever is thrown becomes a reason";
  fault({ number: 26, group, name: "a function throws anything", boundMs, guard }, async (run) => {
    const world = await run.world({
      worker: {
        execute: async ({ mode, n }, { retryCount }) => {
          if (mode === "throws" && retryCount === 0) throw THROWN[Number(n)]?.[1];
          return {};
        },
      },
    });
    run.injected();
    const ids = await world.begin(THROWN.length, { mode: "throws" });
    await run.worksAgain(world);
    const ended = await world.done(ids);
    for (const [i, { tasks }] of ended.entries()) {
      const [name, , reason] = THROWN[i]!;
      expect(
        tasks.map(({ status }) => status),
        name,
      ).toEqual(["FAILED", "COMPLETED"]);
      expect(tasks[0]?.reasonForIncompletion, name).toMatch(reason);
    }
    return "`undefined`, `null`, strings, a number, a symbol, a frozen error, one with a message of 1 MB, getters and traps that throw: each was reported failed, in words of at most 500 characters, and the retry ran.";
  });

  fault(
    { number: 26, group, name: "a function throws anything", variant: "not in a promise", boundMs, guard },
    async (run) => {
      const world = await run.world({
        worker: {
          execute: ({ mode, n }, { retryCount }) => {
            if (mode === "throws" && retryCount === 0) throw THROWN[Number(n)]?.[1];
            return {};
          },
        },
      });
      run.injected();
      const ids = await world.begin(THROWN.length, { mode: "throws" });
      await run.worksAgain(world);
      for (const { tasks } of await world.done(ids)) expect(tasks[0]).toMatchObject({ status: "FAILED" });
      return "As in a promise.";
    },
  );

  fault(
    {
      number: 27,
      group,
      name: "a function returns anything",
      boundMs,
      guard: "what cannot be sent becomes a failure that says why",
    },
    async (run) => {
      const world = await run.world({
        worker: {
          executionTimeoutMs: 60_000,
          execute: async ({ mode, n }) => (mode === "returns" ? RETURNED[Number(n)]?.[1]() : {}),
        },
      });
      run.injected();
      const ids = await world.begin(RETURNED.length, { mode: "returns" });
      await run.worksAgain(world);
      for (const [i, id] of ids.entries()) {
        const { tasks } = await world.conductor.waitForWorkflow(id);
        const [name, , wanted] = RETURNED[i]!;
        expect(tasks, name).toHaveLength(1);
        if (wanted instanceof RegExp) {
          expect(tasks[0]?.status, name).toBe("FAILED_WITH_TERMINAL_ERROR");
          expect(tasks[0]?.reasonForIncompletion, name).toMatch(wanted);
        } else {
          expect(tasks[0]?.status, name).toBe("COMPLETED");
          expect(tasks[0]?.outputData, name).toEqual(wanted);
        }
      }
      return "`undefined`, strings, arrays and `NaN` completed. BigInts, a cycle, a `toJSON` that throws and 20 MB were reported failed for good, once, with the reason.";
    },
  );
});
