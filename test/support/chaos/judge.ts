import type { Workflow, TaskHandlerStatus } from "../../../src/index.js";
import type { LedgerEntry } from "../../../src/testing/index.js";
import { audit, type Accounts } from "../faults/audit.js";
import type { SeenEvent } from "../faults/event-log.js";
import { LONG_POLL_MS, type Plan } from "./plan.js";
import type { Hit, SentResult } from "./chaos-proxy.js";
import type { BookEntry, RunEnd } from "./worker.js";

/** A function that was called. Times are in ms since the beginning of the play. */
export interface Run {
  readonly taskId: string;
  readonly pollCount: number;
  readonly beganMs: number;
  endedMs: number | undefined;
  end: RunEnd | undefined;
  output: object | undefined;
}

/** A stop of the worker. */
export interface Stop {
  readonly fromMs: number;
  readonly toMs: number;
  readonly drainTimeoutMs: number;
}

/** All that a play leaves behind. */
export interface Remains {
  readonly plan: Plan;
  /** When it began, in epoch ms. */
  readonly startedAt: number;
  readonly ledger: readonly LedgerEntry[];
  readonly workflows: readonly Workflow[];
  readonly book: readonly BookEntry[];
  readonly hits: readonly Hit[];
  readonly results: readonly SentResult[];
  readonly stops: readonly Stop[];
  /** When its process was killed, in ms since the beginning. */
  readonly killedMs: readonly number[];
  /** When all had come to rest, or else how it stood; before the last stop. */
  readonly rest: { readonly status: TaskHandlerStatus; readonly unrest: string | undefined };
  /** The longest that the event loop of the play was late, in ms. */
  readonly latenessMs: number;
}

/** What is known while the play goes on. */
export type SoFar = Pick<Remains, "plan" | "startedAt" | "book" | "stops">;

/** What must not be. */
export interface Problem {
  /** One word for all problems of its kind. */
  readonly kind: string;
  readonly taskId?: string;
  readonly text: string;
}

/** A stop may take its drain and this: a poll under way, the connections' end, and a machine that is busy. */
const STOP_MARGIN_MS = LONG_POLL_MS + 1_000 + 1_000 + 3_000;
/** A lease that was extended in time may come too late where the event loop itself was late for this long, in ms. */
const LATE_MS = 500;
const NEVER_SAID = /unexpected|going on|looking after a task failed|not even the failure|a loop is stuck|nobody caught/;

/** Whether the promise was kept, whatever had happened. */
export function judge(remains: Remains): { readonly problems: Problem[]; readonly accounts: Accounts } {
  const { rest, stops, book, startedAt } = remains;
  const problems: Problem[] = [];
  const tasks = remains.workflows.flatMap((workflow) => workflow.tasks ?? []);
  const runs = runsOf(book, startedAt);
  const lawful = lawOf(remains);

  if (rest.unrest !== undefined) problems.push({ kind: "noRest", text: rest.unrest });
  const { inFlight, resultsWaiting, abandoned, runners } = rest.status;
  const running = runners.reduce((sum, runner) => sum + runner.running, 0);
  if (inFlight + resultsWaiting + abandoned + running > 0) {
    const text = `left: ${inFlight} in flight, ${resultsWaiting} results, ${abandoned} abandoned, ${running} slots`;
    problems.push({ kind: "left", text });
  }
  for (const { fromMs, toMs, drainTimeoutMs } of stops) {
    const tookMs = toMs - fromMs;
    if (tookMs <= drainTimeoutMs + STOP_MARGIN_MS) continue;
    problems.push({
      kind: "slowStop",
      text: `a stop with a drain of ${drainTimeoutMs} ms took ${Math.round(tookMs)} ms`,
    });
  }
  for (const entry of book) {
    if (entry.kind === "notLive") problems.push({ kind: "notLive", text: entry.reasons.join("; ") });
    if (entry.kind !== "line" || entry.level === "info" || !NEVER_SAID.test(entry.message)) continue;
    problems.push({ kind: "line", text: `${entry.message} ${entry.fields}` });
  }
  for (const task of tasks) {
    const ofTask = runs.filter(({ taskId }) => taskId === task.taskId);
    for (const { kind, text } of problemsOf(task, ofTask, lawful, remains)) {
      problems.push({ kind, taskId: task.taskId, text });
    }
  }
  const accounts = audited(remains, lawful);
  for (const text of accounts.problems) {
    const taskId = /task (\S+)/.exec(text)?.[1];
    // The failure that goes out instead is a second door where a function had asked for the first.
    if (taskId !== undefined && lawful.isRefused(taskId) && text.includes(" left ")) continue;
    problems.push({ kind: "audit", ...(taskId === undefined ? {} : { taskId }), text });
  }
  return { problems, accounts };
}

/** What is no fault of the worker. */
interface Law {
  /** The worker was stopped before it could end the task, and has said so. */
  isLostByStop(taskId: string): boolean;
  /** Conductor itself has refused it for good. */
  isRefused(taskId: string): boolean;
  /** Something kept it from the lease for as long as its response timeout. */
  mayTimeOut(taskId: string): boolean;
  /** Its process was killed before the result was on its way, as far as that came by then. */
  mayBeLostByKill(taskId: string, byMs?: number): boolean;
}

/**
 * The tasks that a stop left without their result or their hand-back, and said so: a worker can do no more. A journal keeps
 * results, and no hand-backs.
 */
export function givenUpByStops({ plan, startedAt, book, stops }: SoFar): Set<string> {
  const finished = new Set<string>();
  const taskIds = new Set<string>();
  for (const entry of book) {
    if (entry.kind === "ended" && (entry.end === "returned" || entry.end === "threw")) finished.add(entry.taskId);
    if (entry.kind !== "event" || entry.event.name !== "taskUndeliverable") continue;
    const taskId = String(entry.event.fields.taskId);
    if (plan.hasJournal && finished.has(taskId)) continue;
    const atMs = entry.at - startedAt;
    if (stops.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs)) taskIds.add(taskId);
  }
  return taskIds;
}

function lawOf(remains: Remains): Law {
  const { plan, hits, stops, results, killedMs, latenessMs } = remains;
  const lostByStop = givenUpByStops(remains);
  const refused = new Set<string>();
  const hit = new Set<string>();
  for (const { what, kind, taskIds } of hits) {
    for (const taskId of taskIds) hit.add(taskId);
    const isFinal = what.name === "answer" && what.answer === "conductor final";
    if (isFinal && (kind === "v1" || kind === "v2" || kind === "handBack")) refused.add(taskIds[0]!);
  }
  const isDisturbed = stops.length > 0 || killedMs.length > 0 || latenessMs > LATE_MS || plan.items.some(isLasting);
  const isSent = (taskId: string, byMs: number) =>
    results.some((result) => result.taskId === taskId && result.status === "COMPLETED" && result.atMs <= byMs);
  return {
    isLostByStop: (taskId) => lostByStop.has(taskId),
    isRefused: (taskId) => refused.has(taskId),
    mayTimeOut: (taskId) => isDisturbed || hit.has(taskId),
    mayBeLostByKill: (taskId, byMs = Infinity) => killedMs.length > 0 && !isSent(taskId, byMs),
  };
}

const isLasting = (item: Plan["items"][number]): boolean => item?.kind === "fault" && item.where.scope !== "single";

type Task = NonNullable<Workflow["tasks"]>[number];

function* problemsOf(task: Task, runs: readonly Run[], law: Law, { results, killedMs }: Remains): Generator<Problem> {
  const { taskId, status } = task;
  const name = `task ${taskId} of ${task.taskType} (${status})`;
  const seen = new Set<number>();
  for (const { pollCount } of runs) {
    if (seen.has(pollCount)) yield { kind: "ranTwice", text: `${name}: hand-out ${pollCount} ran twice` };
    seen.add(pollCount);
  }
  const returned = runs.find(({ end }) => end === "returned");
  if (returned !== undefined) {
    const later = runs.find(({ beganMs }) => beganMs > (returned.endedMs ?? Infinity));
    if (later !== undefined && !law.isLostByStop(taskId) && !law.mayBeLostByKill(taskId, later.beganMs)) {
      yield {
        kind: "ranAgain",
        text: `${name}: hand-out ${returned.pollCount} had returned, and ${later.pollCount} ran`,
      };
    }
  }
  if (status === "SCHEDULED" || status === "IN_PROGRESS") {
    if (!law.isLostByStop(taskId)) yield { kind: "stuck", text: `${name}: never ended` };
  } else if (status === "COMPLETED") {
    const outputs = runs.map(({ output }) => JSON.stringify(output));
    if (!outputs.includes(JSON.stringify(task.outputData))) {
      yield { kind: "notReturned", text: `${name}: nobody returned ${JSON.stringify(task.outputData)}` };
    }
  } else if (status === "TIMED_OUT") {
    if (task.taskType !== "leased" || !law.mayTimeOut(taskId)) {
      yield { kind: "timedOut", text: `${name}: ${task.reasonForIncompletion ?? ""}` };
    }
  } else if (!law.isRefused(taskId) && !law.mayBeLostByKill(taskId) && !law.isLostByStop(taskId)) {
    const isMeant = status === "FAILED" && runs.some(({ end }) => end === "threw");
    if (!isMeant) yield { kind: "failed", text: `${name}: ${task.reasonForIncompletion ?? ""}` };
  }
  const taken = results.filter((result) => result.taskId === taskId && result.answered < 300);
  const contents = new Set(taken.map(({ status: sent, outputData }) => `${sent} ${JSON.stringify(outputData)}`));
  if (contents.size > 1 && status !== "TIMED_OUT" && !law.isRefused(taskId) && killedMs.length === 0) {
    yield { kind: "otherResult", text: `${name}: the server got different results: ${[...contents].join(", ")}` };
  }
}

/** The audit of all faults. What is lawful here, and would be a loss there, is not shown to it. */
function audited({ plan, ledger, workflows, book, hits }: Remains, law: Law): Accounts {
  const unclearAnswers = new Map<string, number>();
  for (const { kind, taskIds } of hits) {
    if (kind !== "v1" && kind !== "v2") continue;
    unclearAnswers.set(taskIds[0]!, (unclearAnswers.get(taskIds[0]!) ?? 0) + 1);
  }
  const events = book.flatMap((entry): SeenEvent[] => (entry.kind === "event" ? [entry.event] : []));
  // An answer that asks for another token is followed by the second request within one attempt, which may fail as well.
  if (plan.tokenless !== undefined) {
    for (const { name, fields } of events) {
      const known = unclearAnswers.get(String(fields.taskId));
      if (known !== undefined && name === "taskUpdateFailed") unclearAnswers.set(String(fields.taskId), known + 1);
    }
  }
  return audit({
    ledger,
    workflows: workflows.map((workflow) => ({
      ...workflow,
      // Of one that the server has timed out the audit knows what to make.
      tasks: (workflow.tasks ?? []).filter(({ taskId, status }) => status === "TIMED_OUT" || !law.isLostByStop(taskId)),
    })),
    events,
    mayTimeOut: "a lease may not come through",
    unclearAnswers,
  });
}

/** The runs that a book tells of, in their order. */
export function runsOf(book: readonly BookEntry[], startedAt: number): Run[] {
  const runs: Run[] = [];
  for (const entry of book) {
    if (entry.kind === "began") {
      const { taskId, pollCount, at } = entry;
      const run = { taskId, pollCount, beganMs: at - startedAt, endedMs: undefined, end: undefined, output: undefined };
      runs.push(run);
    } else if (entry.kind === "ended") {
      const run = runs.findLast((each) => {
        return each.taskId === entry.taskId && each.pollCount === entry.pollCount && each.end === undefined;
      });
      if (run === undefined) continue;
      run.endedMs = entry.at - startedAt;
      run.end = entry.end;
      run.output = entry.output;
    }
  }
  return runs;
}
