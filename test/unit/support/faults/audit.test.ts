import { describe, expect, test } from "vitest";
import type { Task, TaskStatus, Workflow } from "../../../../src/index.js";
import type { LedgerEntry } from "../../../../src/testing/ledger.js";
import { audit } from "../../../support/faults/audit.js";
import type { SeenEvent } from "../../../support/faults/event-log.js";

const handOut = (taskId = "a", by: "poll" | "chain" = "poll"): LedgerEntry => ({
  kind: "handOut",
  at: 0,
  taskId,
  taskType: "work",
  workflowInstanceId: "w",
  pollCount: 1,
  workerId: "me",
  by,
  answerWritten: true,
});
const update = (taskId = "a", status: "COMPLETED" | "FAILED" | "IN_PROGRESS" = "COMPLETED"): LedgerEntry => ({
  kind: "update",
  at: 0,
  taskId,
  workflowInstanceId: "w",
  status,
  workerId: "me",
  extendLease: false,
  endpoint: "v1",
  applied: true,
  ignoredReason: undefined,
  answeredStatus: 200,
});
const seen = (name: SeenEvent["name"], fields: Record<string, unknown> = {}, worker = "one"): SeenEvent => ({
  name,
  atMs: 0,
  worker,
  fields: name === "processDied" ? fields : { taskId: "a", ...fields },
});
const workflow = (tasks: Record<string, TaskStatus>): Workflow[] => [
  {
    workflowId: "w",
    tasks: Object.entries(tasks).map(([taskId, status]) => {
      return { taskId, status, taskType: "work", referenceTaskName: "step", iteration: 0 } as Task;
    }),
  } as unknown as Workflow,
];
const done = [seen("taskStarted"), seen("taskExecuted", { status: "COMPLETED" }), seen("taskUpdated")];

describe("the audit of a fault", () => {
  test("one hand-out, one door: nothing to say", () => {
    const accounts = audit({ ledger: [handOut(), update()], events: done, workflows: workflow({ a: "COMPLETED" }) });
    expect(accounts).toEqual({ handOuts: 1, lost: 0, executedAgain: {}, problems: [] });
  });

  test("a hand-out without a door is a loss, also when the task has ended somehow", () => {
    const accounts = audit({ ledger: [handOut()], events: [], workflows: workflow({ a: "CANCELED" }) });
    expect(accounts.lost).toBe(1);
    expect(accounts.problems).toEqual(["task a (poll 1 to me) was handed out 1 times and left 0 times: "]);
  });

  test("two doors for one hand-out are one too many", () => {
    const events = [...done, seen("taskMoot")];
    const { problems } = audit({ ledger: [handOut(), update()], events, workflows: workflow({ a: "COMPLETED" }) });
    expect(problems).toEqual([expect.stringContaining("left 2 times: reported, moot")]);
  });

  test("a task that is open or timed out at the end is lost", () => {
    for (const status of ["IN_PROGRESS", "SCHEDULED", "TIMED_OUT"] as const) {
      const evidence = { ledger: [handOut(), update()], events: done, workflows: workflow({ a: status }) };
      expect(audit(evidence).lost).toBe(1);
      expect(audit(evidence).problems).toEqual([`task a of type work is ${status} at the end`]);
    }
    const timedOut = { ledger: [handOut(), update()], events: done, workflows: workflow({ a: "TIMED_OUT" }) };
    expect(audit({ ...timedOut, mayTimeOut: "the fault is a timeout" }).problems).toEqual([]);
  });

  test("a lost hand-out that was given back and done has two hand-outs and two doors", () => {
    const events = [seen("taskReclaimed"), seen("taskHandedBack", { reason: "lost" }), ...done];
    const ledger = [handOut(), update("a", "IN_PROGRESS"), handOut(), update()];
    const accounts = audit({ ledger, events, workflows: workflow({ a: "COMPLETED" }) });
    expect(accounts).toMatchObject({ handOuts: 2, lost: 0, executedAgain: {}, problems: [] });
  });

  test("a result that was refused, and the failure that says so, are one door", () => {
    const events = [
      seen("taskStarted"),
      seen("taskExecuted", { status: "COMPLETED" }),
      seen("taskUndeliverable"),
      seen("taskUpdated"),
    ];
    const accounts = audit({
      ledger: [handOut(), update("a", "FAILED")],
      events,
      workflows: workflow({ a: "FAILED" }),
    });
    expect(accounts.problems).toEqual([]);
  });

  test("a report after another run is no failure in place of a result that could not be delivered before it", () => {
    const givenUp = [seen("taskStarted"), seen("taskUndeliverable")];
    const evidence = { ledger: [handOut(), handOut(), update()], workflows: workflow({ a: "COMPLETED" }) };
    expect(audit({ ...evidence, events: [...givenUp, ...done] }).problems).toEqual([]);
    const unrun = [...givenUp, ...done.slice(1)];
    expect(audit({ ...evidence, events: unrun }).problems).toHaveLength(1);
  });

  test("a function that asks to be handed back leaves by one door, also when the task is gone by then", () => {
    const asked = [seen("taskStarted"), seen("taskExecuted", { status: "IN_PROGRESS" })];
    const ledger = [handOut(), update("a", "IN_PROGRESS"), handOut(), update()];
    const accounts = audit({ ledger, events: [...asked, ...done], workflows: workflow({ a: "COMPLETED" }) });
    expect(accounts).toMatchObject({ problems: [], executedAgain: { "it asked to": 1 } });
    const gone = audit({
      ledger: [handOut()],
      events: [...asked, seen("taskMoot")],
      workflows: workflow({ a: "CANCELED" }),
    });
    expect(gone.problems).toEqual([]);
  });

  test("what a process had asked for before it died is no door once another process ends the task", () => {
    const asked = [seen("taskStarted"), seen("taskExecuted", { status: "IN_PROGRESS" }), seen("processDied")];
    const ended = [seen("taskReclaimed", { reason: "predecessor" }, "two"), seen("taskUpdated", {}, "two")];
    const evidence = { ledger: [handOut(), update("a", "FAILED")], workflows: workflow({ a: "FAILED" }) };
    expect(audit({ ...evidence, events: [...asked, ...ended] }).problems).toEqual([]);
    expect(audit({ ...evidence, events: [...asked, ended[1]!] }).problems).toHaveLength(1);
  });

  test("what a process that died had told nobody of is its successor's to end", () => {
    const ledger = [handOut(), update("a", "IN_PROGRESS"), handOut(), update("a", "FAILED")];
    const died = [seen("processDied", {}, "one")];
    const ended = [seen("taskReclaimed", { reason: "predecessor" }, "two"), seen("taskUpdated", {}, "two")];
    const workflows = workflow({ a: "FAILED" });
    expect(audit({ ledger, events: [...died, ...ended], workflows }).problems).toEqual([]);
    expect(audit({ ledger, events: ended, workflows }).problems).toHaveLength(1);
  });

  test("a result that arrived before its process could write that down is moot for the successor, and left once", () => {
    const moot = [seen("taskReclaimed", { reason: "predecessor" }, "two"), seen("taskMoot", {}, "two")];
    const evidence = { ledger: [handOut(), update()], workflows: workflow({ a: "COMPLETED" }) };
    expect(audit({ ...evidence, events: [...done, seen("processDied"), ...moot] }).problems).toEqual([]);
    expect(audit({ ...evidence, events: [...done, ...moot] }).problems).toHaveLength(1);
  });

  test("what becomes of the next hand-out does not undo the door of one that was asked to come back", () => {
    const asked = [seen("taskStarted"), seen("taskExecuted", { status: "IN_PROGRESS" })];
    const next = [seen("taskStarted"), seen("taskExecuted", { status: "COMPLETED" }), seen("taskUndeliverable")];
    const ledger = [handOut(), update("a", "IN_PROGRESS"), handOut()];
    expect(audit({ ledger, events: [...asked, ...next], workflows: workflow({ a: "FAILED" }) }).problems).toEqual([]);
  });

  test("the next hand-out, given up before it began, does not undo the door of one that was asked to come back", () => {
    const asked = [seen("taskStarted"), seen("taskExecuted", { status: "IN_PROGRESS" })];
    const ledger = [handOut(), update("a", "IN_PROGRESS"), handOut()];
    const evidence = { ledger, workflows: workflow({ a: "FAILED" }) };
    const givenUp = (hasResult: boolean) => [...asked, seen("taskUndeliverable", { hasResult })];
    expect(audit({ ...evidence, events: givenUp(false) }).problems).toEqual([]);
    expect(audit({ ...evidence, events: givenUp(true) }).problems).toEqual([expect.stringContaining("left 1 times")]);
  });

  test("a result that came twice needs an ambiguous answer in between", () => {
    const ledger = [handOut(), update(), update()];
    const workflows = workflow({ a: "COMPLETED" });
    expect(audit({ ledger, events: done, workflows }).problems).toEqual([
      "task a (poll 1 to me): its result was sent again 1 times after 0 ambiguous answers",
    ]);
    const ambiguous = [
      ...done.slice(0, 2),
      seen("taskUpdateFailed", { then: "retry", isLost: true }),
      seen("taskUpdated"),
    ];
    expect(audit({ ledger, events: ambiguous, workflows }).problems).toEqual([]);
    const known = { ledger, events: done, workflows, unclearAnswers: new Map([["a", 1]]) };
    expect(audit(known).problems).toEqual([]);
    const refused = [...done.slice(0, 2), seen("taskUpdateFailed", { then: "refused" }), seen("taskUpdated")];
    expect(audit({ ledger, events: refused, workflows }).problems).toHaveLength(1);
  });

  test("a function that runs again after it had finished is a problem, in the same attempt or in the next", () => {
    const same = [...done.slice(0, 2), seen("taskHandedBack", { reason: "stopping" }), ...done];
    const ledger = [handOut(), handOut(), update()];
    expect(audit({ ledger, events: same, workflows: workflow({ a: "COMPLETED" }) }).problems).toEqual([
      "w/step/0: its function ran again although it had finished",
    ]);
    const events = [...done, ...done.map(({ name, fields }) => seen(name, { ...fields, taskId: "b" }))];
    const next = { ledger: [handOut(), update(), handOut("b"), update("b")], events };
    expect(audit({ ...next, workflows: workflow({ a: "FAILED", b: "COMPLETED" }) }).problems).toEqual([
      "w/step/0: its function ran again although it had finished",
    ]);
  });

  test("a function may run again after it failed, was handed back, or its process ended; the accounts say why", () => {
    const failed = [seen("taskStarted"), seen("taskFailed"), seen("taskUpdated")];
    const again = done.map(({ name, fields }) => seen(name, { ...fields, taskId: "b" }));
    const retried = audit({
      ledger: [handOut(), update("a", "FAILED"), handOut("b"), update("b")],
      events: [...failed, ...again],
      workflows: workflow({ a: "FAILED", b: "COMPLETED" }),
    });
    expect(retried).toMatchObject({ problems: [], executedAgain: { "it had failed": 1 } });

    const killed = audit({
      ledger: [handOut(), update("a", "IN_PROGRESS"), handOut(), update()],
      events: [...done.slice(0, 2), seen("processDied"), ...done.map(({ name, fields }) => seen(name, fields, "two"))],
      workflows: workflow({ a: "COMPLETED" }),
    });
    expect(killed).toMatchObject({ problems: [], executedAgain: { "its process ended": 1 } });
  });

  test("a hand-out of a process that died before it could tell of it needs no door", () => {
    const other = { ...handOut(), workerId: "two" } as LedgerEntry;
    const theirs = done.map(({ name, fields }) => seen(name, fields, "two"));
    const evidence = { ledger: [handOut(), other, update()], workflows: workflow({ a: "COMPLETED" }) };
    expect(audit({ ...evidence, events: [seen("processDied"), ...theirs] }).problems).toEqual([]);
    expect(audit({ ...evidence, events: theirs }).problems).toHaveLength(1);
    const sameWorker = { ...evidence, ledger: [handOut(), handOut(), update()] };
    expect(audit({ ...sameWorker, events: [seen("processDied"), ...theirs] }).problems).toHaveLength(1);
  });

  test("what a dead process had acknowledged must not run again", () => {
    const { problems } = audit({
      ledger: [handOut(), update(), handOut(), update()],
      events: [...done, seen("processDied"), ...done.map(({ name, fields }) => seen(name, fields, "two"))],
      workflows: workflow({ a: "COMPLETED" }),
    });
    expect(problems).toEqual(["w/step/0: its function ran again although it had finished"]);
  });

  test("what the server has timed out, where it may, is run again, and may never have reached us", () => {
    const events = [...done, ...done.map(({ name, fields }) => seen(name, { ...fields, taskId: "b" }))];
    const late = { ledger: [handOut(), update(), handOut("b"), update("b")], events };
    const workflows = workflow({ a: "TIMED_OUT", b: "COMPLETED" });
    const mayTimeOut = "the fault is a timeout";
    expect(audit({ ...late, workflows, mayTimeOut })).toMatchObject({
      problems: [],
      executedAgain: { "the server had timed it out": 1 },
    });
    expect(audit({ ...late, workflows }).problems).toContain(
      "w/step/0: its function ran again although it had finished",
    );
    // The same task a second time is no retry of it.
    const twice = [...done.slice(0, 2), seen("taskHandedBack", { reason: "stopping" }), ...done];
    expect(
      audit({ ledger: [handOut(), handOut()], events: twice, workflows: workflow({ a: "TIMED_OUT" }), mayTimeOut })
        .problems,
    ).toEqual(["w/step/0: its function ran again although it had finished"]);

    const unseen = { ledger: [handOut()], events: [], workflows: workflow({ a: "TIMED_OUT" }) };
    expect(audit({ ...unseen, mayTimeOut }).problems).toEqual([]);
    expect(audit({ ...unseen, mayTimeOut, events: [seen("taskStarted")] }).problems).toHaveLength(1);
    // The same for a second hand-out of the task.
    const handedBack = { ...unseen, mayTimeOut, ledger: [handOut(), handOut()] };
    const paused = [seen("taskHandedBack", { reason: "paused" })];
    expect(audit({ ...handedBack, events: paused }).problems).toEqual([]);
    const run = [seen("taskStarted"), seen("taskHandedBack", { reason: "stopping" }), seen("taskStarted")];
    expect(audit({ ...handedBack, events: run }).problems).toHaveLength(1);
  });
});
