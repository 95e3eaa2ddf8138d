import type { Task, Workflow } from "../../src/index.js";
import { isOwnFailure } from "../support/servers/real-conductor/own-failure.js";
import type { Execution, MemorySample } from "./executions.js";
import type { KeptResult } from "./kept-results.js";

/** One line of the table. Undefined: neither good nor bad. */
export interface Finding {
  readonly name: string;
  readonly value: string;
  readonly isGood?: boolean;
  /** Some of what is wrong. */
  readonly examples?: readonly string[];
}

export interface Books {
  /** As the server has them in the end, with all attempts. */
  readonly workflows: readonly Workflow[];
  readonly executions: ReadonlyMap<string, Execution>;
  readonly kept: readonly KeptResult[];
  readonly steps: readonly string[];
}

const EXAMPLES = 5;

/**
 * Compares the server's books with what the functions wrote down.
 *
 * - Each workflow is COMPLETED, those left out (one in a hundred at most) that the server has ended itself; and each of
 *   its steps has exactly one COMPLETED attempt, crossed ones left out: the server writes a result without the lock that
 *   it decides under, so an attempt whose response timeout is over can be timed out, retried, and COMPLETED all the same.
 *   Nobody but the server can prevent that.
 * - That attempt's output is of an execution that did return, for this very attempt and this input: no result came from
 *   nowhere, and none was mixed up.
 * - No step's function begins after the server has had the step's result.
 * - A result that was in a journal when its process was killed is delivered: its attempt is COMPLETED, and the function
 *   does not begin again. Unless the server had moved on, which only it can say: the attempt TIMED_OUT, because nobody
 *   could report in time. An attempt that a successor has ended instead (FAILED) is a kept result that was lost.
 */
export function judge(books: Books): Finding[] {
  const { workflows, steps, executions, kept } = books;
  const ours = workflows.filter((workflow) => !isOwnFailure(workflow));
  const ownFailures = workflows.length - ours.length;
  const completed = ours.filter(({ status }) => status === "COMPLETED").length;
  const attempts = workflows.flatMap(({ tasks = [] }) => tasks);
  const retried = new Set(attempts.map(({ retriedTaskId }) => retriedTaskId));
  const crossed = new Set(attempts.filter((task) => retried.has(task.taskId) && cameLate(task)));
  return [
    {
      name: "workflows COMPLETED",
      value: `${completed} of ${ours.length}`,
      isGood: completed === ours.length && completed > 0,
      examples: ours
        .filter(({ status }) => status !== "COMPLETED")
        .map(({ workflowId, status, reasonForIncompletion = "no reason", tasks = [] }) => {
          const last = tasks.at(-1);
          const task = `${last?.referenceTaskName} ${last?.status} (${last?.retryCount})`;
          return `${workflowId} ${status}: ${reasonForIncompletion}; last ${task}`;
        }),
    },
    {
      name: "workflows that the server has ended itself",
      value: String(ownFailures),
      isGood: ownFailures * 100 <= workflows.length,
    },
    ...steps.map((step) => perStep(step, ours, crossed)),
    { name: "results that crossed their attempt's time-out", value: String(crossed.size) },
    outputs(attempts, executions),
    afterTheResult(workflows, executions, crossed),
    ...keptResults(attempts, executions, kept, crossed),
    ...attemptsByEnd(attempts),
  ];
}

/** The server had a reason to time the attempt out before its result came. */
function cameLate({ status, startTime = 0, endTime = 0, responseTimeoutSeconds = 0 }: Task): boolean {
  return status === "COMPLETED" && endTime - startTime >= responseTimeoutSeconds * 1000;
}

function perStep(step: string, workflows: readonly Workflow[], crossed: ReadonlySet<Task>): Finding {
  const completed = ({ tasks = [] }: Workflow): number =>
    tasks.filter((task) => task.taskType === step && task.status === "COMPLETED" && !crossed.has(task)).length;
  const wrong = workflows.filter((workflow) => completed(workflow) !== 1);
  return {
    name: `${step} COMPLETED once each`,
    value: `${workflows.length - wrong.length} of ${workflows.length}`,
    isGood: wrong.length === 0,
    examples: wrong.map((workflow) => `${workflow.workflowId}: ${completed(workflow)} times`),
  };
}

function outputs(attempts: readonly Task[], executions: Books["executions"]): Finding {
  const wrong = attempts.filter(({ status, taskId, inputData, outputData }) => {
    if (status !== "COMPLETED") return false;
    const { execution, number } = (outputData ?? {}) as { execution?: string; number?: number };
    const its = executions.get(execution ?? "");
    return its?.returnedAt === undefined || its.taskId !== taskId || number !== inputData?.number;
  });
  return {
    name: "results of no execution, or of another's",
    value: String(wrong.length),
    isGood: wrong.length === 0,
    examples: wrong.map(({ taskId, outputData }) => `${taskId}: ${JSON.stringify(outputData)}`),
  };
}

const stepOf = (workflowId: string, step: string): string => `${workflowId} ${step}`;

function afterTheResult(
  workflows: readonly Workflow[],
  executions: Books["executions"],
  crossed: ReadonlySet<Task>,
): Finding {
  const results = new Map<string, { readonly endTime: number; readonly execution: unknown }>();
  for (const { workflowId, tasks = [] } of workflows)
    for (const task of tasks) {
      const { taskType, status, endTime, outputData } = task;
      if (status === "COMPLETED" && endTime !== undefined && !crossed.has(task))
        results.set(stepOf(workflowId, taskType), { endTime, execution: outputData?.execution });
    }
  const lateMs = ({ workflowInstanceId, step, execution, beganAt }: Execution): number => {
    const result = results.get(stepOf(workflowInstanceId, step));
    // The server rounds, and reads another clock: an execution does not begin after its own result.
    return result === undefined || result.execution === execution ? 0 : beganAt - result.endTime;
  };
  const late = [...executions.values()].filter((each) => lateMs(each) > 0);
  return {
    name: "executions after the server had the result",
    value: String(late.length),
    isGood: late.length === 0,
    examples: late.map((each) => `${each.step} ${each.taskId} by ${each.execution}, ${lateMs(each)} ms late`),
  };
}

function keptResults(
  attempts: readonly Task[],
  executions: Books["executions"],
  kept: Books["kept"],
  crossed: ReadonlySet<Task>,
): Finding[] {
  const byId = new Map(attempts.map((task) => [task.taskId, task]));
  const began = groupBy([...executions.values()], ({ workflowInstanceId, step }) => stepOf(workflowInstanceId, step));
  // What a successor keeps of its own is that a task of a dead process failed.
  const returned = new Set(
    [...executions.values()].flatMap((each) => (each.returnedAt === undefined ? [] : each.taskId)),
  );
  const byTask = new Map(kept.map((result) => [result.taskId, result]));
  const once = [...byTask.values()].filter(({ taskId }) => returned.has(taskId));
  const delivered = once.filter(({ taskId }) => byId.get(taskId)?.status === "COMPLETED");
  const movedOn = once.filter(({ taskId }) => byId.get(taskId)?.status === "TIMED_OUT");
  const lost = once.filter((result) => !delivered.includes(result) && !movedOn.includes(result));
  const again = delivered.filter(
    ({ taskId, workflowInstanceId, step, keptAt }) =>
      !crossed.has(byId.get(taskId)!) &&
      began.get(stepOf(workflowInstanceId, step))?.some(({ beganAt }) => beganAt > keptAt),
  );
  return [
    {
      name: "results kept by a journal at a SIGKILL",
      value: `${once.length}: ${delivered.length} delivered, ${movedOn.length} timed out before`,
    },
    {
      name: "of these, lost",
      value: String(lost.length),
      isGood: lost.length === 0,
      examples: lost.map(({ taskId, step }) => {
        const task = byId.get(taskId);
        return `${step} ${taskId}: ${task?.status ?? "not there"}, ${task?.reasonForIncompletion ?? "no reason"}`;
      }),
    },
    {
      name: "of these, run again",
      value: String(again.length),
      isGood: again.length === 0,
      examples: again.map(({ taskId, step }) => `${step} ${taskId}`),
    },
  ];
}

/** What became of the attempts, with what is special left out of the reasons. */
function attemptsByEnd(attempts: readonly Task[]): Finding[] {
  const groups = groupBy(attempts, ({ status, reasonForIncompletion = "" }) => {
    const reason = /^the worker process died: (\w+)/.exec(reasonForIncompletion)?.[0] ?? reasonForIncompletion;
    return status === "FAILED" ? `${status}: ${reason.replaceAll(/[0-9a-f-]{36}|\d+/g, "N").slice(0, 60)}` : status;
  });
  return [...groups]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([end, of]) => ({ name: `attempts ${end}`, value: String(of.length) }));
}

function groupBy<T>(all: readonly T[], keyOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const key = keyOf(one);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [one]);
    else group.push(one);
  }
  return groups;
}

/** What may be added over the second half, by a straight line through it, in MiB: pages that V8 keeps, and no leak. */
const RESIDENT_LIMIT_MIB = 16;
const HEAP_LIMIT_MIB = 3;
const LEAST_SAMPLES = 10;

export function judgeMemory(samples: readonly MemorySample[]): Finding[] {
  const half = samples.slice(Math.floor(samples.length / 2));
  const [first, last] = [half[0], half.at(-1)];
  if (first === undefined || last === undefined || half.length < LEAST_SAMPLES)
    return [{ name: "memory of the spared process", value: "not enough samples", isGood: false }];
  const minutes = (last.at - first.at) / 60_000;
  const growth = (name: string, of: (sample: MemorySample) => number, limit: number): Finding => {
    const perMinute = slope(half.map((sample) => [sample.at / 60_000, of(sample)]));
    const all = perMinute * minutes;
    const value = `${of(first).toFixed(1)} to ${of(last).toFixed(1)} MiB, ${perMinute.toFixed(2)} a minute, ${all.toFixed(1)} in all (limit ${limit})`;
    return { name, value, isGood: all <= limit };
  };
  return [
    growth("its memory (RSS), second half", ({ residentMib }) => residentMib, RESIDENT_LIMIT_MIB),
    growth("its heap after collection, second half", ({ heapMib }) => heapMib, HEAP_LIMIT_MIB),
  ];
}

/** Of the straight line that fits best. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (of: (point: readonly [number, number]) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean(([at]) => at), mean(([, value]) => value)];
  const spread = mean(([at]) => (at - x) ** 2);
  return spread === 0 ? 0 : mean(([at, value]) => (at - x) * (value - y)) / spread;
}

/** The table; examples below their line. */
export function findingLines(findings: readonly Finding[]): string[] {
  const longest = Math.max(...findings.map(({ name }) => name.length));
  return findings.flatMap(({ name, value, isGood, examples = [] }) => [
    `${isGood === undefined ? "     " : isGood ? "ok   " : "WRONG"}  ${name.padEnd(longest)}  ${value}`,
    ...(isGood === false ? examples.slice(0, EXAMPLES).map((example) => `         ${example}`) : []),
  ]);
}
