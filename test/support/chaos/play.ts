import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Workflow } from "../../../src/index.js";
import { startEmbeddedConductor, type EmbeddedConductor } from "../../../src/testing/index.js";
import type { Accounts } from "../faults/audit.js";
import { waitFor } from "../time/wait-for.js";
import { startChaosProxy } from "./chaos-proxy.js";
import { givenUpByStops, judge, type Problem, type Remains, type SoFar, type Stop } from "./judge.js";
import { CHAOS_MS, CONCURRENCY, LEASED_RESPONSE_TIMEOUT_SECONDS, TASK_TYPES, type Item, type Plan } from "./plan.js";
import { linesOf, storyOf } from "./story.js";
import { createWorker, epochNow, type BookEntry, type ChaosWorker } from "./worker.js";
import { startOwnProcessWorker, type OwnProcessWorker } from "./own-process-worker.js";

/** After the chaos everything must have come to an end within this time, in ms. */
export const REST_MS = 45_000;
/** Stories of so many tasks are told. */
const MAX_STORIES = 3;
const LOOK_EVERY_MS = 50;

/** What came of one play. */
export interface Played {
  readonly seed: number;
  readonly problems: readonly Problem[];
  /** Where there are problems: what happened, for people. */
  readonly story: readonly string[];
  readonly accounts: Accounts;
  /** From the end of the chaos until all was done, in ms. */
  readonly restMs: number;
  readonly hits: number;
  readonly runs: number;
  /** The longest that the event loop was late, in ms: beyond some hundred the machine decided what happened. */
  readonly latenessMs: number;
}

/**
 * Plays a plan over real sockets, and judges what it leaves behind.
 *
 * @param boundMs how long after the chaos everything may take to come to an end
 */
export async function play(plan: Plan, boundMs = REST_MS): Promise<Played> {
  const remains = await remainsOf(plan, boundMs);
  const { problems, accounts } = judge(remains);
  return {
    seed: plan.seed,
    problems,
    story: problems.length === 0 ? [] : tell(problems, remains),
    accounts: { ...accounts, problems: [] },
    restMs: remains.restMs,
    hits: remains.hits.length,
    runs: remains.book.filter(({ kind }) => kind === "began").length,
    latenessMs: remains.latenessMs,
  };
}

function tell(problems: readonly Problem[], remains: Remains): string[] {
  const taskIds = [...new Set(problems.flatMap(({ taskId }) => taskId ?? []))].slice(0, MAX_STORIES);
  return [
    ...taskIds.flatMap((taskId) => [`task ${taskId}:`, ...storyOf(taskId, remains)]),
    "the worker said:",
    ...linesOf(remains).slice(0, 40),
  ];
}

async function remainsOf(plan: Plan, boundMs: number): Promise<Remains & { readonly restMs: number }> {
  const conductor = await startEmbeddedConductor({ queue: plan.queue });
  const folder = plan.hasJournal ? mkdtempSync(path.join(tmpdir(), "ostinato-chaos-")) : undefined;
  const lateness = monitorEventLoopDelay({ resolution: 20 });
  lateness.enable();
  const book: BookEntry[] = [];
  const stops: Stop[] = [];
  const killedMs: number[] = [];
  await defineAll(conductor);
  const proxy = await startChaosProxy(conductor.serverUrl, plan);
  const startedAt = epochNow();
  const since = () => epochNow() - startedAt;
  const settings = { serverUrl: proxy.serverUrl, journalDir: folder, hasAuth: plan.tokenless !== undefined };
  const write = (entry: BookEntry) => void book.push(entry);
  let processes = 0;
  const newProcess = (): Promise<OwnProcessWorker> =>
    startOwnProcessWorker({ ...settings, name: `process ${++processes}` }, write);
  let ownProcess = plan.hasOwnProcess ? await newProcess() : undefined;
  let worker: ChaosWorker = ownProcess ?? createWorker({ ...settings, name: "worker" }, write);

  async function stop(drainTimeoutMs: number): Promise<void> {
    const fromMs = since();
    await worker.tell({ do: "stop", drainTimeoutMs });
    stops.push({ fromMs, toMs: since(), drainTimeoutMs });
  }

  async function act(item: Item): Promise<void> {
    if (item.kind === "expiry") proxy.expireTokens();
    else if (item.kind === "pause") await worker.tell({ do: "pause", taskType: item.taskType });
    else if (item.kind === "concurrency") {
      await worker.tell({ do: "concurrency", taskType: item.taskType, concurrency: item.concurrency });
    } else if (item.kind === "restart") {
      await stop(item.drainTimeoutMs);
      await worker.tell({ do: "start" });
    } else if (item.kind === "kill" && ownProcess !== undefined) {
      killedMs.push(since());
      await ownProcess.kill();
      worker = ownProcess = await newProcess();
      await worker.tell({ do: "start" });
    }
  }

  try {
    await worker.tell({ do: "start" });
    const begin = async (item: Item): Promise<void> => {
      if (item.kind !== "tasks") return;
      for (const input of item.inputs) await conductor.startWorkflow({ name: item.taskType, input: { ...input } });
    };
    const items = plan.items.filter((item) => item !== undefined);
    await Promise.all([
      inTime(
        items.filter(({ kind }) => kind === "tasks").map((item) => [atOf(item), () => begin(item)]),
        since,
      ),
      inTime(
        items.flatMap((item): Moment[] => {
          if (item.kind !== "pause") return [[atOf(item), () => act(item)]];
          const resume = async () => void (await worker.tell({ do: "resume", taskType: item.taskType }));
          return [
            [item.atMs, () => act(item)],
            [Math.min(item.atMs + item.forMs, CHAOS_MS), resume],
          ];
        }),
        since,
      ),
    ]);
    await until(CHAOS_MS, since);
    proxy.calm();
    const calmAt = since();
    for (const taskType of TASK_TYPES) {
      await worker.tell({ do: "concurrency", taskType, concurrency: CONCURRENCY[taskType] });
      await worker.tell({ do: "resume", taskType });
    }
    const unrest = await atRest(conductor, worker, { plan, startedAt, book, stops }, boundMs);
    const restMs = since() - calmAt;
    const { latenessMs, status } = { latenessMs: lateness.max / 1e6, status: await worker.tell({ do: "status" }) };
    await stop(3_000);
    const left = { ledger: await conductor.ledger(), workflows: await conductor.workflows() };
    const { hits, results } = proxy;
    const more = { plan, startedAt, book, hits, results, stops, killedMs, latenessMs };
    return { ...more, ...left, rest: { status, unrest }, restMs };
  } finally {
    lateness.disable();
    await worker.close();
    await proxy.close();
    await conductor.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits until every task has ended that can; says what has not. */
async function atRest(
  conductor: EmbeddedConductor,
  worker: ChaosWorker,
  soFar: SoFar,
  boundMs: number,
): Promise<string | undefined> {
  let open: readonly string[] = [];
  let status = await worker.tell({ do: "status" });
  const look = async (): Promise<boolean> => {
    const givenUp = givenUpByStops(soFar);
    open = openTasks(await conductor.workflows())
      // What a stop has given up of a short lease, the server times out, and then there is another attempt.
      .filter(({ taskId, taskType }) => taskType === "leased" || !givenUp.has(taskId))
      .map(({ taskId }) => taskId);
    status = await worker.tell({ do: "status" });
    return open.length + status.inFlight + status.resultsWaiting === 0;
  };
  return waitFor(look, { boundMs, everyMs: LOOK_EVERY_MS, what: "rest" }).then(
    () => undefined,
    () => `after ${boundMs} ms ${open.length} tasks are open: ${open.slice(0, 5).join(", ")}`,
  );
}

const openTasks = (workflows: readonly Workflow[]) =>
  workflows
    .flatMap(({ tasks }) => tasks ?? [])
    .filter(({ status }) => status === "SCHEDULED" || status === "IN_PROGRESS");

type Moment = readonly [atMs: number, act: () => Promise<void>];

const atOf = (item: Item): number => ("atMs" in item ? item.atMs : 0);

/** Does what is due, one after the other. */
async function inTime(moments: readonly Moment[], since: () => number): Promise<void> {
  for (const [atMs, act] of moments.toSorted(([a], [b]) => a - b)) {
    await until(atMs, since);
    await act();
  }
}

function until(atMs: number, since: () => number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(atMs - since(), 0)));
}

async function defineAll(conductor: EmbeddedConductor): Promise<void> {
  await conductor.registerTaskDefs(
    TASK_TYPES.map((name) => ({
      name,
      ownerEmail: "chaos@example.com",
      retryCount: 3,
      retryDelaySeconds: 0,
      timeoutSeconds: 0,
      responseTimeoutSeconds: name === "leased" ? LEASED_RESPONSE_TIMEOUT_SECONDS : 3_600,
    })),
  );
  for (const name of TASK_TYPES) {
    const inputParameters = Object.fromEntries(
      ["ms", "fails", "back"].map((key) => [key, `\${workflow.input.${key}}`]),
    );
    await conductor.registerWorkflowDef({
      name,
      version: 1,
      ownerEmail: "chaos@example.com",
      tasks: [{ name, taskReferenceName: name, type: "SIMPLE", inputParameters }],
    });
  }
}
