import { describe, expect, test } from "vitest";
import { redacted } from "../../../src/log/redact.js";

const C = "[Redacted]";

describe("the logger that redacts", () => {
  describe("redacted fields", () => {
    test.each([
      [
        { token: "s", a: 1 },
        { token: C, a: 1 },
      ],
      [
        { keySecret: "s", password: 5, authorization: ["s"], runtimeMetadata: { k: "s" } },
        { keySecret: C, password: C, authorization: C, runtimeMetadata: C },
      ],
      [
        { "x-authorization": "s", "X-Authorization": "s", Authorization: "s", PASSWORD: "s" },
        { "x-authorization": C, "X-Authorization": C, Authorization: C, PASSWORD: C },
      ],
      [{ headers: { authorization: "s", host: "h" } }, { headers: { authorization: C, host: "h" } }],
      [{ request: { headers: { "X-Authorization": "s" } } }, { request: { headers: { "X-Authorization": C } } }],
      [{ list: [{ token: "s" }, { b: 1 }] }, { list: [{ token: C }, { b: 1 }] }],
      [{ task: { runtimeMetadata: { k: "s" }, taskId: "t" } }, { task: { runtimeMetadata: C, taskId: "t" } }],
      [{ at: { toJSON: () => ({ token: "s" }) } }, { at: { token: C } }],
      [[{ token: "s" }], [{ token: C }]],
      [
        { token: undefined, password: null, keySecret: "" },
        { token: undefined, password: null, keySecret: "" },
      ],
      [
        { tokens: 3, tokenCount: 2, passwordless: true },
        { tokens: 3, tokenCount: 2, passwordless: true },
      ],
    ])("%j", (fields, expected) => {
      const before = JSON.stringify(fields);
      expect(redacted(fields)).toEqual(expected);
      expect(JSON.stringify(fields)).toBe(before);
    });

    test("gives back what holds no secret as it is, whatever it is", () => {
      const cyclic: Record<string, unknown> = {
        a: { b: { c: 1 } },
        date: new Date(0),
        bytes: Buffer.from("token"),
        err: new Error("x"),
      };
      cyclic.self = cyclic;
      for (const fields of [{}, [], cyclic, { map: new Map([["token", 1]]) }]) expect(redacted(fields)).toBe(fields);
    });

    test("cleans copies of what is frozen, and leaves other secrets three levels down", () => {
      const fields = Object.freeze({ a: Object.freeze({ token: "s", b: { c: { token: "deep" } } }) });
      expect(redacted(fields)).toEqual({ a: { token: C, b: { c: { token: "deep" } } } });
    });

    test("throws nothing, and shows nothing of what cannot be read", () => {
      const bad = {
        get a(): never {
          throw new Error("x");
        },
      };
      const revoked = Proxy.revocable({}, {});
      revoked.revoke();
      expect(redacted({ bad, b: 1 })).toEqual({ bad: { unreadable: true }, b: 1 });
      expect(redacted(bad)).toEqual({ unreadable: true });
      expect(redacted({ r: revoked.proxy })).toEqual({ unreadable: true });
    });

    test("costs a line without secrets little", () => {
      const fields = { taskType: "greet", taskId: "t", workflowInstanceId: "w", input: { a: 1, b: { c: 2 } } };
      const timeMs = (work: () => unknown) => {
        const startedAt = performance.now();
        for (let i = 0; i < 20_000; i++) work();
        return performance.now() - startedAt;
      };
      const once = () => timeMs(() => redacted(fields));
      once();
      const perLineMs = Math.min(once(), once(), once()) / 20_000;
      expect(perLineMs).toBeLessThan(0.01);
    });
  });
});
