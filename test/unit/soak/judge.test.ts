import { describe, expect, test } from "vitest";
import type { Task, Workflow } from "../../../src/index.js";
import type { Execution } from "../../soak/executions.js";
import { type Books, findingLines, judge, judgeMemory, slope } from "../../soak/judge.js";
import { readOptions } from "../../soak/options.js";
import { randomOf } from "../../support/chaos/random.js";

const STEP = "soak_quick";

function task(more: Partial<Task> = {}): Task {
  const base = {
    taskId: "t1",
    taskType: STEP,
    referenceTaskName: STEP,
    status: "COMPLETED",
    retryCount: 0,
    endTime: 200,
  };
  return { ...base, inputData: { number: 1 }, outputData: { execution: "9:1", number: 1 }, ...more } as Task;
}

const workflow = (tasks: Task[], status = "COMPLETED") => ({ workflowId: "w1", status, tasks }) as Workflow;

function execution(more: Partial<Execution> = {}): Execution {
  const base = { execution: "9:1", step: STEP, taskId: "t1", workflowInstanceId: "w1", retryCount: 0, pollCount: 1 };
  return { ...base, beganAt: 100, returnedAt: 150, ...more };
}

const kept = { taskId: "t1", workflowInstanceId: "w1", step: STEP, keptAt: 160 };

function wrongs({
  tasks = [task()],
  executions = [execution()],
  keptResults = [kept],
  status = "COMPLETED",
}): string[] {
  const books: Books = {
    workflows: [workflow(tasks, status)],
    executions: new Map(executions.map((each) => [each.execution, each])),
    kept: keptResults,
    steps: [STEP],
  };
  return judge(books)
    .filter(({ isGood }) => isGood === false)
    .map(({ name }) => name);
}

describe("the judge of a soak", () => {
  test("finds nothing wrong where each step has one result, by its own execution", () => {
    expect(wrongs({})).toEqual([]);
  });

  test("finds nothing wrong in an attempt whose process died, nor in a kept result that came too late", () => {
    const tasks = [task({ taskId: "t0", status: "TIMED_OUT", outputData: {} }), task({ taskId: "t1", retryCount: 1 })];
    const executions = [execution({ execution: "8:1", taskId: "t0", beganAt: 50 }), execution()];
    expect(wrongs({ tasks, executions, keptResults: [{ ...kept, taskId: "t0", keptAt: 60 }] })).toEqual([]);
  });

  test("lets a result cross its attempt's time-out, once that was over and the server has retried it", () => {
    const late = { taskId: "t0", startTime: 100, endTime: 5_100, outputData: { execution: "8:1", number: 1 } };
    const tasks = (more: Partial<Task> = {}) => [
      task({ ...late, responseTimeoutSeconds: 5, ...more }),
      task({ taskId: "t1", retryCount: 1, retriedTaskId: "t0", endTime: 6_000 }),
    ];
    const executions = [
      execution({ execution: "8:1", taskId: "t0" }),
      execution({ beganAt: 5_200, returnedAt: 5_900 }),
    ];
    const keptResults = [{ ...kept, taskId: "t0" }];
    expect(wrongs({ tasks: tasks(), executions, keptResults })).toEqual([]);
    const inTime = tasks({ endTime: 5_000 });
    expect(wrongs({ tasks: inTime, executions, keptResults })).toContain(`${STEP} COMPLETED once each`);
    expect(wrongs({ tasks: inTime, executions, keptResults })).toContain("of these, run again");
  });

  test("leaves out a workflow in a hundred that the server has ended itself, and no other that FAILED", () => {
    const ended = (reasonForIncompletion: string): Workflow => ({
      ...workflow([], "FAILED"),
      reasonForIncompletion,
    });
    const wrong = (more: readonly Workflow[]) =>
      judge({
        workflows: [...Array.from({ length: 100 }, () => workflow([task()])), ...more],
        executions: new Map([["9:1", execution()]]),
        kept: [],
        steps: [STEP],
      })
        .filter(({ isGood }) => isGood === false)
        .map(({ name }) => name);
    const byServer = ended("Error scheduling tasks: [t7], for workflow: w1");
    expect(wrong([byServer])).toEqual([]);
    expect(wrong([byServer, byServer])).toEqual(["workflows that the server has ended itself"]);
    expect(wrong([ended("out of stock")])).toEqual(["workflows COMPLETED", `${STEP} COMPLETED once each`]);
  });

  test("does not take for a lost result what a successor had written of a function that never returned", () => {
    const tasks = [
      task({ taskId: "t0", status: "FAILED", reasonForIncompletion: "the worker process died: wedged" }),
      task({ taskId: "t1", retryCount: 1 }),
    ];
    const executions = [execution({ execution: "8:1", taskId: "t0", beganAt: 50, returnedAt: undefined }), execution()];
    expect(wrongs({ tasks, executions, keptResults: [{ ...kept, taskId: "t0", keptAt: 60 }] })).toEqual([]);
  });

  test.each([
    ["a workflow that has not ended", { status: "RUNNING" }, ["workflows COMPLETED"]],
    ["a step without a result", { tasks: [task({ status: "TIMED_OUT" })] }, [`${STEP} COMPLETED once each`]],
    [
      "two results of a step",
      { tasks: [task(), task({ taskId: "t2" })] },
      [`${STEP} COMPLETED once each`, "results of no execution, or of another's"],
    ],
    [
      "a result of an execution that did not return",
      { executions: [execution({ returnedAt: undefined })] },
      ["results of no execution, or of another's"],
    ],
    [
      "a result of another task's input",
      { tasks: [task({ outputData: { execution: "9:1", number: 2 } })] },
      ["results of no execution, or of another's"],
    ],
    [
      "an execution after the result was there, and in a journal",
      { executions: [execution(), execution({ execution: "9:2", beganAt: 201 })] },
      ["executions after the server had the result", "of these, run again"],
    ],
    [
      "an execution after the journal had the result",
      { executions: [execution(), execution({ execution: "9:2", beganAt: 170 })] },
      ["of these, run again"],
    ],
    [
      "a kept result whose attempt a successor has ended",
      {
        tasks: [
          task({ status: "FAILED", reasonForIncompletion: "the worker process died: killed" }),
          task({ taskId: "t2" }),
        ],
        executions: [execution({ execution: "8:1" }), execution({ taskId: "t2" })],
      },
      ["of these, lost"],
    ],
  ])("sees %s", (_what, books, expected) => {
    expect(wrongs(books)).toEqual(expected);
  });

  test("tells rising memory from memory that goes up and down", () => {
    const samples = (mib: (second: number) => number) =>
      Array.from({ length: 120 }, (_, second) => ({
        at: second * 1000,
        pid: 1,
        residentMib: mib(second),
        heapMib: 20,
      }));
    const isFlat = (mib: (second: number) => number) => judgeMemory(samples(mib)).every(({ isGood }) => isGood ?? true);
    expect(isFlat((second) => 80 + (second % 10))).toBe(true);
    // The first half is that of a start.
    expect(isFlat((second) => 50 + Math.min(second, 60))).toBe(true);
    expect(isFlat((second) => 80 + second / 2)).toBe(false);
    const leaking = samples(() => 80).map((sample) => ({ ...sample, heapMib: 20 + sample.at / 10_000 }));
    expect(judgeMemory(leaking).every(({ isGood }) => isGood ?? true)).toBe(false);
    expect(judgeMemory([]).every(({ isGood }) => isGood ?? true)).toBe(false);
    expect(
      slope([
        [0, 1],
        [1, 3],
        [2, 5],
      ]),
    ).toBeCloseTo(2);
  });

  test("shows what is wrong, with examples", () => {
    const lines = findingLines([
      { name: "a", value: "1", isGood: true, examples: ["hidden"] },
      { name: "longer", value: "2", isGood: false, examples: ["x"] },
      { name: "b", value: "3" },
    ]);
    expect(lines).toEqual(["ok     a       1", "WRONG  longer  2", "         x", "       b       3"]);
  });
});

describe("the options of a soak", () => {
  test("have defaults, and a seed that repeats the choices", () => {
    expect(readOptions([])).toMatchObject({ minutes: 3, queue: "sqlite", rate: 4 });
    expect(readOptions(["--minutes", "20", "--queue", "redis", "--seed", "7"])).toMatchObject({
      minutes: 20,
      queue: "redis",
      seed: 7,
    });
    expect(readOptions(["--embedded"])).toMatchObject({ queue: "embedded" });
    const [one, same, other] = [randomOf(7), randomOf(7), randomOf(8)];
    const first = Array.from({ length: 5 }, one);
    expect(Array.from({ length: 5 }, same)).toEqual(first);
    expect(Array.from({ length: 5 }, other)).not.toEqual(first);
    expect(first.every((value) => value >= 0 && value < 1)).toBe(true);
  });

  test.each([["--minutes", "0"], ["--queue", "mysql"], ["--rate", "x"], ["--what"], ["--seed", "1.5"]])(
    "refuse %s %s",
    (...args) => {
      expect(readOptions(args)).toHaveProperty("problem");
    },
  );
});
