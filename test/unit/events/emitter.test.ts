import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { createEmitter, WORKER_EVENT_NAMES } from "../../../src/events/emitter.js";

const event = { reason: "age" } as const;
const name = "connectionsRecycled";

describe("the event emitter", () => {
  describe("listeners", () => {
    test("are called in order with the event, until they unsubscribe", () => {
      const emitter = createEmitter(vi.fn());
      const calls: string[] = [];
      const unsubscribe = emitter.on(name, ({ reason }) => calls.push(`a:${reason}`));
      emitter.on(name, () => calls.push("b"));
      emitter.topics[name].emit(event);
      unsubscribe();
      unsubscribe();
      emitter.topics[name].emit(event);
      expect(calls).toEqual(["a:age", "b", "b"]);
    });

    test("hear only their own event", () => {
      const emitter = createEmitter(vi.fn());
      const listener = vi.fn();
      emitter.on("taskAbandoned", listener);
      emitter.topics[name].emit(event);
      expect(listener).not.toHaveBeenCalled();
    });

    test("may be added twice; off forgets the last one, an unsubscribe its own", () => {
      const emitter = createEmitter(vi.fn());
      const calls: string[] = [];
      const twice = () => calls.push("twice");
      const unsubscribeFirst = emitter.on(name, twice);
      emitter.on(name, () => calls.push("between"));
      emitter.on(name, twice);
      emitter.off(name, twice);
      emitter.topics[name].emit(event);
      expect(calls.splice(0)).toEqual(["twice", "between"]);
      unsubscribeFirst();
      emitter.off(name, twice);
      emitter.topics[name].emit(event);
      expect(calls).toEqual(["between"]);
    });

    test("are heard, or not", () => {
      const emitter = createEmitter(vi.fn());
      expect(emitter.topics[name].isHeard).toBe(false);
      const unsubscribe = emitter.on(name, () => {});
      expect(emitter.topics[name].isHeard).toBe(true);
      expect(emitter.topics.taskStarted.isHeard).toBe(false);
      unsubscribe();
      expect(emitter.topics[name].isHeard).toBe(false);
    });

    test("may come and go during an emit, which goes through those it began with", () => {
      const emitter = createEmitter(vi.fn());
      const calls: string[] = [];
      const removeLast: (() => void)[] = [];
      const removeFirst = emitter.on(name, () => {
        calls.push("first");
        removeFirst();
        removeLast[0]!();
        emitter.on(name, () => calls.push("late"));
      });
      emitter.on(name, () => calls.push("second"));
      removeLast.push(emitter.on(name, () => calls.push("last")));
      emitter.topics[name].emit(event);
      expect(calls.splice(0)).toEqual(["first", "second", "last"]);
      emitter.topics[name].emit(event);
      expect(calls).toEqual(["second", "late"]);
    });

    test("may emit", () => {
      const emitter = createEmitter(vi.fn());
      const inner = vi.fn();
      emitter.on("leaseExtended", inner);
      emitter.on(name, () => {
        emitter.topics.leaseExtended.emit({ taskType: "a", taskId: "t", workflowInstanceId: "w" });
      });
      emitter.topics[name].emit(event);
      expect(inner).toHaveBeenCalledOnce();
    });
  });

  describe("a listener that goes wrong", () => {
    test.each([
      [
        "throws",
        () => {
          throw new Error("x");
        },
      ],
      [
        "throws undefined",
        () => {
          throw undefined;
        },
      ],
      [
        "returns something whose then throws",
        () => ({
          get then() {
            throw new Error("x");
          },
        }),
      ],
    ])("%s: is reported, and the others are called", (_, bad) => {
      const onError = vi.fn();
      const emitter = createEmitter(onError);
      const after = vi.fn();
      emitter.on(name, bad);
      emitter.on(name, after);
      emitter.topics[name].emit(event);
      expect(after).toHaveBeenCalledOnce();
      expect(onError).toHaveBeenCalledExactlyOnceWith(
        name,
        expect.toSatisfy((e) => e === undefined || e instanceof Error),
      );
    });

    test.each([
      ["a promise", () => Promise.reject(new Error("late"))],
      [
        "a thenable",
        () => ({
          then: (_: unknown, no: (e: Error) => void) => {
            no(new Error("late"));
          },
        }),
      ],
      [
        "a thenable that throws",
        () => ({
          then: () => {
            throw new Error("late");
          },
        }),
      ],
    ])("rejects with %s: is reported, and nobody waited", async (_, bad) => {
      const onError = vi.fn();
      const emitter = createEmitter(onError);
      emitter.on(name, bad);
      emitter.topics[name].emit(event);
      expect(onError).not.toHaveBeenCalled();
      await nextTurn();
      expect(onError).toHaveBeenCalledExactlyOnceWith(name, new Error("late"));
    });

    test("never settles: nobody waits", () => {
      const emitter = createEmitter(vi.fn());
      emitter.on(name, () => new Promise(() => {}));
      expect(emitter.topics[name].emit(event)).toBeUndefined();
    });

    test.each([
      [
        "throws",
        () => {
          throw new Error("worse");
        },
      ],
      ["rejects", () => Promise.reject(new Error("worse"))],
    ])("has its error swallowed when the error callback %s", async (_, onError) => {
      const unhandled = vi.fn();
      process.on("unhandledRejection", unhandled);
      try {
        const emitter = createEmitter(onError);
        const after = vi.fn();
        emitter.on(name, () => {
          throw new Error("bad");
        });
        emitter.on(name, () => Promise.reject(new Error("bad")));
        emitter.on(name, after);
        emitter.topics[name].emit(event);
        expect(after).toHaveBeenCalledOnce();
        await nextTurn();
        await nextTurn();
        expect(unhandled).not.toHaveBeenCalled();
      } finally {
        process.off("unhandledRejection", unhandled);
      }
    });
  });

  describe("names", () => {
    test.each(["taskDone", "", "toString", "__proto__", undefined, Symbol("x")])(
      "%s is unknown, and all are listed",
      (wrong) => {
        const emitter = createEmitter(vi.fn());
        for (const call of [
          () => emitter.on(wrong as never, () => {}),
          () => {
            emitter.off(wrong as never, () => {});
          },
        ]) {
          expect(call).toThrow(TypeError);
          expect(call).toThrow(/pollCompleted, pollFailed, .*connectionsRecycled/);
        }
      },
    );

    test("are those of the interface", () => {
      expect(WORKER_EVENT_NAMES).toContain("taskUndeliverable");
      expect(new Set(WORKER_EVENT_NAMES).size).toBe(20);
    });

    test("take a function", () => {
      const emitter = createEmitter(vi.fn());
      for (const wrong of [undefined, null, {}, "log"])
        expect(() => emitter.on(name, wrong as never)).toThrow(TypeError);
      expect(emitter.topics[name].isHeard).toBe(false);
    });
  });
});
