import type { Workflow } from "../../../src/index.js";
import type { HandOut, LedgerEntry, UpdateReceived } from "../../../src/testing/ledger.js";
import type { SeenEvent } from "./event-log.js";

/** What a fault leaves behind, from both ends of the wire. */
export interface Evidence {
  /** The server's book: every hand-out and every update that reached it. */
  readonly ledger: readonly LedgerEntry[];
  /** How things stand at the end. */
  readonly workflows: readonly Workflow[];
  /** What the workers told, in their order. */
  readonly events: readonly SeenEvent[];
  /** Why the server itself may have timed tasks out in this fault; otherwise a timeout counts as a loss. */
  readonly mayTimeOut?: string;
  /** By task: how many answers to its results were lost or replaced, where that is known. Else the events tell. */
  readonly unclearAnswers?: ReadonlyMap<string, number>;
}

/** The accounts of one fault. Without problems, the promise was kept. */
export interface Accounts {
  readonly handOuts: number;
  /** Tasks that did not end, or whose hand-out left by no door. */
  readonly lost: number;
  readonly executedAgain: Record<string, number>;
  readonly problems: string[];
}

/**
 * The audit at the end of every fault: every task whose hand-out reached us left by one door; every other one was
 * reclaimed; no function ran again for a task whose finished result could be delivered; a result was sent again only
 * after an ambiguous answer. (That the worker works again within its bound is measured while the fault runs.)
 */
export function audit(evidence: Evidence): Accounts {
  const problems: string[] = [];
  const lost = new Set<string>();
  const byTask = groupByTask(evidence);
  const timedOut = timedOutBy(evidence);

  for (const [taskId, account] of byTask) {
    const name = `task ${taskId} (${account.handOuts.map(describeHandOut).join(", ") || "never handed out"})`;
    const doors = doorsOf(account.events);
    const died = account.events.some(({ name: event }) => event === "processDied");
    const expected = account.handOuts.length;
    if (timedOut.has(taskId) && neverReachedUs(account, doors)) continue;
    // A process that was ended may have told of a door or not; that its task ends is checked below.
    if (died ? doors.length > expected : doors.length !== expected) {
      problems.push(`${name} was handed out ${expected} times and left ${doors.length} times: ${doors.join(", ")}`);
      if (doors.length < expected) lost.add(taskId);
    }
    const repeats = endingUpdates(account.updates).length - 1;
    const told = account.events.filter(isAmbiguous).length;
    const ambiguous = Math.max(told, evidence.unclearAnswers?.get(taskId) ?? 0);
    if (repeats > ambiguous) {
      problems.push(`${name}: its result was sent again ${repeats} times after ${ambiguous} ambiguous answers`);
    }
  }
  for (const task of evidence.workflows.flatMap(({ tasks }) => tasks ?? [])) {
    const { taskId, status } = task;
    const isOpen = status === "SCHEDULED" || status === "IN_PROGRESS";
    if (!isOpen && (status !== "TIMED_OUT" || evidence.mayTimeOut !== undefined)) continue;
    problems.push(`task ${taskId} of type ${task.taskType} is ${status} at the end`);
    lost.add(taskId);
  }
  const executedAgain = countRepetitions(evidence, problems);
  const handOuts = evidence.ledger.filter((entry) => entry.kind === "handOut").length;
  return { handOuts, lost: lost.size, executedAgain, problems };
}

/** Whether the last hand-out was lost on its way: where the server has timed the task out, it has taken it back itself. */
function neverReachedUs({ handOuts, events }: TaskAccount, doors: readonly string[]): boolean {
  const started = events.filter(({ name }) => name === "taskStarted").length;
  return doors.length === handOuts.length - 1 && started <= doors.length && (doors.length > 0 || events.length === 0);
}

/** The tasks that the server has timed out, where it may. */
function timedOutBy({ workflows, mayTimeOut }: Evidence): Set<string> {
  if (mayTimeOut === undefined) return new Set();
  const tasks = workflows.flatMap(({ tasks }) => tasks ?? []);
  return new Set(tasks.filter(({ status }) => status === "TIMED_OUT").map(({ taskId }) => taskId));
}

interface TaskAccount {
  readonly handOuts: HandOut[];
  readonly updates: UpdateReceived[];
  readonly events: SeenEvent[];
}

function groupByTask({ ledger, events }: Evidence): Map<string, TaskAccount> {
  const accounts = new Map<string, TaskAccount>();
  const of = (taskId: string): TaskAccount => {
    let account = accounts.get(taskId);
    if (account === undefined) accounts.set(taskId, (account = { handOuts: [], updates: [], events: [] }));
    return account;
  };
  for (const entry of ledger) {
    if (entry.kind === "handOut") of(entry.taskId).handOuts.push(entry);
    else if (entry.kind === "update" && accounts.has(entry.taskId)) of(entry.taskId).updates.push(entry);
  }
  const deaths = events.filter(({ name }) => name === "processDied");
  for (const event of events) {
    const { taskId } = event.fields;
    if (typeof taskId === "string") accounts.get(taskId)?.events.push(event);
  }
  for (const { handOuts, events: ofTask } of accounts.values()) {
    const workers = new Set(ofTask.map(({ worker }) => worker));
    // Somebody had it and did not live to tell.
    const isUntold =
      new Set(handOuts.map(({ workerId }) => workerId)).size > workers.size || ofTask.some(isLeftByTheDead);
    ofTask.push(...deaths.filter(({ worker }) => workers.has(worker) || isUntold));
  }
  return accounts;
}

const ASKED_FOR = "handed back (asked for)";

/** How a task's hand-outs left, in order. */
function doorsOf(events: readonly SeenEvent[]): string[] {
  const doors: string[] = [];
  let verdictsDue = 0;
  const dead = new Set(events.filter(({ name }) => name === "processDied").map(({ worker }) => worker));
  let askedBy: string | undefined;
  let reportedBy: string | undefined;
  // That a function asked to be handed back is no door yet; what became of it says more, if anything does.
  const instead = (door: string) => {
    if (askedBy !== undefined && doors.at(-1) === ASKED_FOR) doors.pop();
    doors.push(door);
  };
  for (const event of events) {
    const { name, fields, worker } = event;
    if (name === "taskUndeliverable") {
      // Without a result it is a hand-back that no function has asked for: of the next hand-out, which did not begin.
      if (fields.hasResult === false) doors.push("undeliverable");
      else instead("undeliverable");
      verdictsDue += 1;
    } else if (name === "taskUpdated") {
      // The failure that is reported in place of a result that was refused: the same hand-out, the same door.
      if (verdictsDue > 0) verdictsDue -= 1;
      else {
        doors.push("reported");
        reportedBy = worker;
      }
    } else if (name === "taskStarted") {
      // It was handed out anew: what comes now is about that.
      verdictsDue = 0;
      askedBy = undefined;
      reportedBy = undefined;
    } else if (name === "taskHandedBack") doors.push(`handed back (${String(fields.reason)})`);
    else if (name === "taskMoot") {
      // Its process died before it could write down that the result had arrived, and another one found that.
      if (reportedBy === undefined || reportedBy === worker || !dead.has(reportedBy)) instead("moot");
    } else if (name === "taskExecuted" && fields.status === "IN_PROGRESS") {
      doors.push(ASKED_FOR);
      askedBy = worker;
    } else if (
      isLeftByTheDead(event) &&
      doors.at(-1) === ASKED_FOR &&
      askedBy !== undefined &&
      worker !== askedBy &&
      dead.has(askedBy)
    ) {
      // The process that asked died before it was heard.
      doors.pop();
    }
  }
  return doors;
}

const isLeftByTheDead = ({ name, fields }: SeenEvent): boolean =>
  name === "taskReclaimed" && fields.reason === "predecessor";

const endingUpdates = (updates: readonly UpdateReceived[]): UpdateReceived[] =>
  updates.filter(({ status, extendLease, answeredStatus }) => {
    return !extendLease && answeredStatus === 200 && status !== "IN_PROGRESS";
  });

/** After these nobody knows whether the server has the result: no whole answer came, or one that says nothing of it. */
function isAmbiguous({ name, fields }: SeenEvent): boolean {
  return name === "processDied" || (name === "taskUpdateFailed" && fields.then === "retry");
}

/** Functions that ran more than once for one step of a workflow, by why; where it should not have, a problem. */
function countRepetitions(evidence: Evidence, problems: string[]): Record<string, number> {
  const { workflows, events } = evidence;
  const timedOut = timedOutBy(evidence);
  const stepOf = new Map<string, string>();
  for (const { workflowId, tasks } of workflows) {
    for (const task of tasks ?? []) {
      stepOf.set(task.taskId, `${workflowId}/${task.referenceTaskName}/${task.iteration ?? 0}`);
    }
  }
  interface Step {
    finishedBy: string | undefined;
    acknowledged: boolean;
    why: string;
    runs: number;
    /** The attempt that ran last. */
    taskId: string;
  }
  const steps = new Map<string, Step>();
  const again: Record<string, number> = {};
  for (const { name, fields, worker } of events) {
    if (name === "processDied") {
      for (const step of steps.values()) {
        if (step.finishedBy !== worker || step.acknowledged) continue;
        step.finishedBy = undefined;
        step.why = "its process ended";
      }
      continue;
    }
    const key = stepOf.get(String(fields.taskId));
    if (key === undefined) continue;
    let step = steps.get(key);
    if (step === undefined) {
      step = { finishedBy: undefined, acknowledged: false, why: "its process ended", runs: 0, taskId: "" };
      steps.set(key, step);
    }
    if (name === "taskStarted") {
      const before = step.taskId;
      step.taskId = String(fields.taskId);
      step.runs += 1;
      if (step.runs === 1) continue;
      // What the server has timed out it takes no result for.
      if (before !== step.taskId && timedOut.has(before)) {
        step.finishedBy = undefined;
        step.why = "the server had timed it out";
      }
      if (step.finishedBy !== undefined) problems.push(`${key}: its function ran again although it had finished`);
      again[step.why] = (again[step.why] ?? 0) + 1;
    } else if (name === "taskExecuted") {
      if (fields.status === "IN_PROGRESS") step.why = "it asked to";
      else step.finishedBy = worker;
    } else if (name === "taskUpdated") step.acknowledged = true;
    else if (name === "taskFailed") step.why = "it had failed";
    else if (name === "taskHandedBack") step.why = `it was handed back (${String(fields.reason)})`;
    else if (name === "taskUndeliverable") {
      step.finishedBy = undefined;
      step.why = "its result was refused";
    }
  }
  return again;
}

const describeHandOut = ({ by, pollCount, workerId }: HandOut): string => `${by} ${pollCount} to ${workerId ?? "?"}`;
