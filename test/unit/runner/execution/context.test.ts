import { describe, expect, test, vi } from "vitest";
import { TaskContextImpl } from "../../../../src/runner/execution/context.js";
import { joinLogs } from "../../../../src/runner/task-log.js";
import { TaskDeadlineError, TaskStoppingError } from "../../../../src/worker/errors.js";
import { silentLogger } from "../../../support/log/loggers.js";
import { FakeClock } from "../../../support/time/fake-clock.js";
import { entryOf } from "../../../support/unit/runner.js";

function setUp(log = silentLogger) {
  const clock = new FakeClock();
  const entry = entryOf({ retryCount: 2, pollCount: 3, referenceTaskName: "ref" });
  return { clock, entry, context: new TaskContextImpl(entry, clock, log) };
}

describe("the task context", () => {
  test("names the task, its attempt and its deadline, by the time of day", () => {
    const { clock, entry, context } = setUp();
    entry.deadlineAt = 5_000;
    expect(context).toMatchObject({
      taskId: "id-1",
      workflowInstanceId: "wf-1",
      taskDefName: "t",
      referenceTaskName: "ref",
      retryCount: 2,
      pollCount: 3,
    });
    expect(context.task).toEqual(entry.task);
    expect(context.task).toBe(context.task);
    clock.advance(1_000);
    expect(context.deadline.getTime()).toBe(clock.wallNow() + 4_000);
  });

  test("log may be taken out of the context", () => {
    const { context } = setUp();
    const { log } = context;
    log("one");
    context.log("two");
    expect(context.takeLogs()?.map((line) => line.log)).toEqual(["one", "two"]);
  });

  describe("the signal", () => {
    test("is made once, when first asked for", () => {
      const { context } = setUp();
      expect(context.signal).toBe(context.signal);
      expect(context.signal.aborted).toBe(false);
    });

    test("aborts with the reason", () => {
      const { context } = setUp();
      const aborted = vi.fn();
      context.signal.addEventListener("abort", aborted);
      const reason = new TaskDeadlineError("late");
      context.abort(reason);
      expect(aborted).toHaveBeenCalledOnce();
      expect(context.signal.reason).toBe(reason);
    });

    test("that is asked for after the abort is aborted already", () => {
      const { context } = setUp();
      const reason = new TaskStoppingError("stopping");
      context.abort(reason);
      expect(context.signal.aborted).toBe(true);
      expect(context.signal.reason).toBe(reason);
    });

    test("keeps its first reason", () => {
      const { context } = setUp();
      const first = new TaskDeadlineError("late");
      context.abort(first);
      context.abort(new TaskStoppingError("stopping"));
      expect(context.signal.reason).toBe(first);
    });
  });

  describe("the task's log", () => {
    const lines = (count: number) => {
      const { context } = setUp();
      for (let i = 0; i < count; i += 1) context.log(`line ${i}`);
      return context.takeLogs();
    };

    test("is nothing where nothing was logged", () => {
      expect(lines(0)).toBeUndefined();
    });

    test("up to ten lines go as they are, with their time", () => {
      const { clock, context } = setUp();
      context.log("one");
      clock.advance(7);
      context.log("two");
      expect(context.takeLogs()).toEqual([
        { log: "one", createdTime: clock.wallNow() - 7 },
        { log: "two", createdTime: clock.wallNow() },
      ]);
      expect(lines(10)).toHaveLength(10);
    });

    test.each([11, 12, 19, 25, 1_000])("%i lines are joined into ten, in order, nothing lost", (count) => {
      const joined = lines(count)!;
      expect(joined).toHaveLength(10);
      const all = joined.flatMap(({ log }) => log.split("\n"));
      expect(all).toEqual(Array.from({ length: count }, (_, index) => `line ${index}`));
    });

    test("a last line is put behind them", () => {
      const { context } = setUp();
      context.log("one");
      expect(context.takeLogs("stack")!.map(({ log }) => log)).toEqual(["one", "stack"]);
      expect(
        setUp()
          .context.takeLogs("stack")!
          .map(({ log }) => log),
      ).toEqual(["stack"]);
    });

    test("beyond a million characters lines are counted instead of kept", () => {
      const { context } = setUp();
      for (let i = 0; i < 1_500; i += 1) context.log("x".repeat(1_000));
      const logs = context.takeLogs()!;
      expect(logs).toHaveLength(10);
      const text = logs.map(({ log }) => log).join("\n");
      expect(text.length).toBeLessThan(1_010_000);
      expect(text).toMatch(/500 more lines were dropped: a task may log 1000000 characters$/);
    });

    test("takes what is no text", () => {
      const { context } = setUp();
      for (const message of [undefined, null, 5, { a: 1 }, Symbol("s")]) context.log(message as never);
      expect(context.takeLogs()!.map(({ log }) => log)).toEqual([
        "undefined",
        "null",
        "5",
        "[object Object]",
        "Symbol(s)",
      ]);
    });

    test("joining leaves what it was given alone", () => {
      const given = Array.from({ length: 30 }, (_, createdTime) => ({ log: "x", createdTime }));
      expect(joinLogs(given).map(({ createdTime }) => createdTime)).toEqual([0, 3, 6, 9, 12, 15, 18, 21, 24, 27]);
      expect(given).toHaveLength(30);
    });
  });

  describe("the logger", () => {
    test("is a child that carries the ids, made once, when first asked for", () => {
      const child = vi.fn(() => ({ ...silentLogger }));
      const { context } = setUp({ ...silentLogger, child });
      expect(child).not.toHaveBeenCalled();
      expect(context.logger).toBe(context.logger);
      expect(child).toHaveBeenCalledExactlyOnceWith({
        taskType: "t",
        taskId: "id-1",
        workflowInstanceId: "wf-1",
        retryCount: 2,
      });
    });

    test("is the process's where that has no children", () => {
      expect(setUp().context.logger).toBe(silentLogger);
    });
  });
});
