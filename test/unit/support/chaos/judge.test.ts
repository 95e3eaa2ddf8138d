import { describe, expect, test } from "vitest";
import type { Task, TaskStatus, Workflow } from "../../../../src/index.js";
import type { LedgerEntry } from "../../../../src/testing/ledger.js";
import type { Hit } from "../../../support/chaos/chaos-proxy.js";
import { judge, runsOf, type Remains } from "../../../support/chaos/judge.js";
import { planOf } from "../../../support/chaos/plan.js";
import type { BookEntry, RunEnd } from "../../../support/chaos/worker.js";
import type { SeenEvent } from "../../../support/faults/event-log.js";

const OUTPUT = { by: "a 1" };

const began = (at: number, pollCount = 1): BookEntry => ({ kind: "began", at, taskId: "a", pollCount });
const ended = (at: number, end: RunEnd, pollCount = 1): BookEntry => ({
  kind: "ended",
  at,
  taskId: "a",
  pollCount,
  end,
  ...(end === "returned" ? { output: OUTPUT } : {}),
});
const event = (at: number, name: SeenEvent["name"], fields: object = {}): BookEntry => ({
  kind: "event",
  at,
  event: { name, atMs: at, worker: "one", fields: { taskId: "a", ...fields } },
});
const handOut = (pollCount = 1): LedgerEntry => ({
  kind: "handOut",
  at: 0,
  taskId: "a",
  taskType: "few",
  workflowInstanceId: "w",
  pollCount,
  workerId: "me",
  by: "poll",
  answerWritten: true,
});
const hit = (kind: Hit["kind"], what: Hit["what"]): Hit => ({
  atMs: 0,
  endedMs: 1,
  kind,
  nth: 1,
  place: 0,
  what,
  taskIds: ["a"],
});
const FINAL = { name: "answer", when: "before", answer: "conductor final" } as const;
const STRANGER = { name: "answer", when: "before", answer: "nginx 400" } as const;

const workflows = (status: TaskStatus, more: Partial<Task> = {}): Workflow[] => [
  {
    workflowId: "w",
    tasks: [
      {
        taskId: "a",
        taskType: "few",
        status,
        referenceTaskName: "few",
        iteration: 0,
        outputData: OUTPUT,
        ...more,
      } as Task,
    ],
  } as unknown as Workflow,
];

const DONE = [
  event(1, "taskStarted"),
  began(1),
  ended(2, "returned"),
  event(2, "taskExecuted", { status: "COMPLETED" }),
  event(3, "taskUpdated"),
];

const REST = { inFlight: 0, resultsWaiting: 0, abandoned: 0, runners: [] } as unknown as Remains["rest"]["status"];
const GOOD: Remains = {
  plan: { ...planOf(1), hasJournal: false, items: [] },
  startedAt: 0,
  ledger: [handOut()],
  workflows: workflows("COMPLETED"),
  book: DONE,
  hits: [],
  results: [{ atMs: 3, taskId: "a", status: "COMPLETED", outputData: OUTPUT, answered: 200 }],
  stops: [],
  killedMs: [],
  rest: { status: REST, unrest: undefined },
  latenessMs: 0,
};
const kindsOf = (more: Partial<Remains>): string[] => {
  const { problems } = judge({ ...GOOD, ...more });
  return [...new Set(problems.map(({ kind }) => kind))].sort();
};

describe("the judge of a play", () => {
  test("has nothing to say where a task was handed out, run and reported", () => {
    expect(kindsOf({})).toEqual([]);
  });

  test("finds a task that never ends, and a worker that does not come to rest", () => {
    expect(kindsOf({ workflows: workflows("IN_PROGRESS") })).toEqual(["audit", "stuck"]);
    expect(kindsOf({ rest: { status: REST, unrest: "a task is open" } })).toEqual(["noRest"]);
    expect(kindsOf({ rest: { status: { ...REST, inFlight: 1 }, unrest: undefined } })).toEqual(["left"]);
  });

  test("finds a hand-out that ran twice, and a function that ran again after it had returned", () => {
    expect(kindsOf({ book: [...DONE, began(4)] })).toEqual(["ranAgain", "ranTwice"]);
    expect(kindsOf({ book: [...DONE, began(4, 2)] })).toEqual(["ranAgain"]);
    expect(kindsOf({ book: [began(0, 0), ended(0, "inProgress", 0), ...DONE] })).toEqual([]);
  });

  test("finds a task that is completed with what nobody returned, or was sent two results", () => {
    expect(kindsOf({ workflows: workflows("COMPLETED", { outputData: {} }) })).toEqual(["notReturned"]);
    const other = { atMs: 4, taskId: "a", status: "FAILED", outputData: {}, answered: 200 };
    expect(kindsOf({ results: [...GOOD.results, other] })).toEqual(["otherResult"]);
    expect(kindsOf({ results: [...GOOD.results, { ...other, answered: 500 }] })).toEqual([]);
  });

  test("finds a good result that ended as a failure, unless Conductor itself refused it for good", () => {
    const failed = { workflows: workflows("FAILED_WITH_TERMINAL_ERROR"), results: [] };
    expect(kindsOf(failed)).toEqual(["failed"]);
    expect(kindsOf({ ...failed, hits: [hit("v1", STRANGER)] })).toEqual(["failed"]);
    expect(kindsOf({ ...failed, hits: [hit("v1", FINAL)] })).toEqual([]);
    // That is about a look, not about the result.
    expect(kindsOf({ ...failed, hits: [hit("look", FINAL)] })).toEqual(["failed"]);
  });

  test("knows a failure that was meant", () => {
    const book = [
      event(1, "taskStarted"),
      began(1),
      ended(2, "threw"),
      event(2, "taskFailed"),
      event(3, "taskUpdated"),
    ];
    expect(kindsOf({ book, workflows: workflows("FAILED"), results: [] })).toEqual([]);
    expect(kindsOf({ book, workflows: workflows("FAILED_WITH_TERMINAL_ERROR"), results: [] })).toEqual(["failed"]);
  });

  test("lets only a leased task time out, and that only where something kept it from its lease", () => {
    const timedOut = (taskType: string) => ({ workflows: workflows("TIMED_OUT", { taskType }) });
    expect(kindsOf(timedOut("leased"))).toEqual(["timedOut"]);
    expect(kindsOf({ ...timedOut("leased"), hits: [hit("lease", STRANGER)] })).toEqual([]);
    expect(kindsOf({ ...timedOut("leased"), latenessMs: 600 })).toEqual([]);
    expect(kindsOf({ ...timedOut("few"), hits: [hit("lease", STRANGER)] })).toEqual(["timedOut"]);
  });

  test("lets a stop leave what it said it left; a journal keeps results, and no hand-backs", () => {
    const stops = [{ fromMs: 3, toMs: 5, drainTimeoutMs: 0 }];
    const book = [...DONE.slice(0, -1), event(4, "taskUndeliverable")];
    const left = { book, stops, workflows: workflows("IN_PROGRESS"), results: [] };
    expect(kindsOf(left)).toEqual([]);
    expect(kindsOf({ ...left, stops: [] })).toEqual(["audit", "stuck"]);
    const plan = { ...GOOD.plan, hasJournal: true };
    expect(kindsOf({ ...left, plan })).toEqual(["audit", "stuck"]);
    const asked = [began(1), ended(2, "inProgress"), event(4, "taskUndeliverable")];
    expect(kindsOf({ ...left, plan, book: asked })).toEqual([]);
  });

  test("lets the server time out a hand-out that never arrived, after a stop has given up the one before it", () => {
    const stops = [{ fromMs: 1, toMs: 3, drainTimeoutMs: 0 }];
    const ledger = [handOut(), handOut(2)];
    const book = [event(0, "taskStarted"), began(1), event(2, "taskUndeliverable")];
    const lost = { workflows: workflows("TIMED_OUT", { taskType: "leased" }), results: [], book, stops, ledger };
    expect(kindsOf(lost)).toEqual([]);
    expect(kindsOf({ ...lost, workflows: workflows("COMPLETED") })).toContain("audit");
  });

  test("finds a stop that takes longer than its drain and all that may come after it", () => {
    expect(kindsOf({ stops: [{ fromMs: 0, toMs: 8_000, drainTimeoutMs: 3_000 }] })).toEqual([]);
    expect(kindsOf({ stops: [{ fromMs: 0, toMs: 8_000, drainTimeoutMs: 0 }] })).toEqual(["slowStop"]);
  });

  test("finds lines that must never be written, and loops that do not iterate", () => {
    const line = (level: string, message: string): BookEntry => ({ kind: "line", at: 1, level, message, fields: "{}" });
    expect(kindsOf({ book: [...DONE, line("error", "handling a poll failed; going on")] })).toEqual(["line"]);
    expect(kindsOf({ book: [...DONE, line("warn", "polling failed; backing off")] })).toEqual([]);
    expect(kindsOf({ book: [...DONE, { kind: "notLive", at: 1, reasons: ["few"] }] })).toEqual(["notLive"]);
  });

  test("lets SIGKILL lose what was not on its way yet", () => {
    const book = [...DONE.slice(0, -1), event(9, "taskReclaimed", { reason: "predecessor" }), event(9, "taskUpdated")];
    const killed = { book, killedMs: [5], workflows: workflows("FAILED"), results: [] };
    expect(kindsOf(killed)).toEqual([]);
    expect(kindsOf({ ...killed, results: GOOD.results })).toEqual(["failed"]);
  });

  test("lets a function run again whose result was not on its way before the SIGKILL, and not for the result of the second", () => {
    const again = [began(6, 2), ended(7, "returned", 2), event(7, "taskExecuted", { status: "COMPLETED" })];
    const book = [began(1), ended(2, "returned"), event(5, "taskHandedBack"), event(6, "taskStarted"), ...again];
    const done = [...book, event(8, "taskUpdated")];
    const sentAt = (...times: number[]) => times.map((atMs) => ({ ...GOOD.results[0]!, atMs }));
    const killed = { book: done, killedMs: [3], ledger: [handOut(), handOut(2)] };
    expect(kindsOf({ ...killed, results: sentAt(8) })).toEqual([]);
    expect(kindsOf({ ...killed, results: sentAt(3, 8) })).toEqual(["ranAgain"]);
  });

  test("puts what a run of a function wrote together again", () => {
    expect(runsOf([began(10), began(12, 2), ended(15, "threw", 2), ended(20, "returned")], 5)).toEqual([
      { taskId: "a", pollCount: 1, beganMs: 5, endedMs: 15, end: "returned", output: OUTPUT },
      { taskId: "a", pollCount: 2, beganMs: 7, endedMs: 10, end: "threw", output: undefined },
    ]);
  });
});
