import { setTimeout as sleep } from "node:timers/promises";
import type { EmbeddedConductor } from "ostinato/testing";
import type { Supervised, Told } from "./supervised.js";
import { countSecond, hasRecovered, lookAtTraffic, mean, pidOf, type Traffic } from "./traffic.js";
import { addressOf, POISON, workflowDef } from "./workflow.js";

/** Workflows under way: enough for both processes to have work in their queue. */
const OPEN_WORKFLOWS = 40;
const LOOK_EVERY_MS = 200;
/** Seconds of undisturbed work before the wedge. */
const CALM_SECONDS = 5;
/** The rate is back when it has been so over so many seconds. */
const RECOVERED_SECONDS = 3;
/** When the demo gives up, in ms. */
const STORY_BOUND_MS = 28_000;
const DRAIN_BOUND_MS = 6_000;
/** An update of the last instants of a second may take that long to be in the ledger, in ms. */
const ROW_DELAY_MS = 100;

export interface Stage {
  readonly conductor: EmbeddedConductor;
  readonly supervised: Supervised;
  /** Since 1970, in ms. */
  readonly startedAt: number;
  readonly signal: AbortSignal;
  /** A second is over, the `end`th since the start. */
  readonly onSecond: (end: number, counts: readonly [number, number]) => void;
  readonly onBothReady: (pids: readonly number[]) => void;
  readonly onPoison: () => void;
}

/** What happened, in numbers. */
export interface Played {
  readonly workflows: number;
  readonly poisonWorkflowId: string;
  readonly wedgeToDeathMs: number;
  readonly deathToReplacementMs: number;
  /** What the dead process had in hand, and when the last of it was ended. */
  readonly inHand: number;
  readonly deathToLastEndedMs: number;
  readonly rate: { readonly before: number; readonly lowest: number; readonly after: number };
}

type Ready = Extract<Told, { kind: "ready" }>;
type Ended = Extract<Told, { kind: "ended" }>;

/** Lets work flow, has one process wedge, and resolves when the work flows again and all of it is done. */
export async function play(stage: Stage): Promise<Played> {
  const { conductor, supervised, startedAt, signal } = stage;
  let started = 0;
  let isClosing = false;
  let traffic: Traffic = { completed: [], failed: [], handOuts: new Map() };
  const rates: number[] = [];

  const ready = (): Ready[] => supervised.told.filter((told) => told.kind === "ready");
  const death = (): Ended | undefined =>
    supervised.told.find((told) => told.kind === "ended" && told.reason === "wedged") as Ended | undefined;

  /** One look; resolves with what the condition gives. */
  async function until<T>(condition: () => T | undefined | false, boundAt: number, what: string): Promise<T> {
    for (;;) {
      signal.throwIfAborted();
      if (supervised.exitCode !== undefined) throw new Error(`the supervisor has ended (${supervised.exitCode})`);
      traffic = await lookAtTraffic(conductor);
      const missing = isClosing || rates.length === 0 ? 0 : OPEN_WORKFLOWS - (started - traffic.completed.length);
      await startWorkflows(missing);
      tellSeconds();
      const met = condition();
      if (met !== undefined && met !== false) return met;
      if (Date.now() > boundAt) throw new Error(`${what}: it did not happen`);
      await sleep(LOOK_EVERY_MS);
    }
  }

  async function startWorkflows(count: number): Promise<void> {
    const inputs = Array.from({ length: Math.max(0, count) }, () => ({ text: addressOf((started += 1)) }));
    const { name } = workflowDef;
    await Promise.all(inputs.map((input) => conductor.startWorkflow({ name, version: 1, input })));
  }

  function tellSeconds(): void {
    const placeOf = new Map(ready().map(({ pid, place }) => [pid, place]));
    for (;;) {
      const fromMs = startedAt + rates.length * 1000;
      if (Date.now() < fromMs + 1000 + ROW_DELAY_MS) return;
      const counts = countSecond(traffic.completed, fromMs, placeOf);
      // The first second is that of the start.
      if (rates.length > 0) stage.onSecond(rates.length + 1, counts);
      rates.push(counts[0] + counts[1]);
    }
  }

  const boundAt = startedAt + STORY_BOUND_MS;
  await until(() => ready().length >= 2, boundAt, "both processes start");
  stage.onBothReady(
    ready()
      .toSorted((a, b) => a.place - b.place)
      .map(({ pid }) => pid),
  );
  const firstSecond = rates.length + 1;
  await until(() => rates.length >= firstSecond + CALM_SECONDS, boundAt, "work flows");
  const before = mean(rates.slice(firstSecond + 1));

  const poisonWorkflowId = await conductor.startWorkflow({
    name: workflowDef.name,
    version: 1,
    input: { text: POISON },
  });
  started += 1;
  stage.onPoison();
  const { atMs: diedAt, pid: deadPid } = await until(death, boundAt, "the stuck process is ended");
  const poison = (await conductor.workflow(poisonWorkflowId)).tasks?.[0]?.taskId ?? "";
  const wedgedAt = traffic.handOuts.get(poison)?.at ?? diedAt;
  const replacement = await until(() => ready()[2], boundAt, "the process is replaced");
  const replacedInSecond = Math.ceil((replacement.atMs - startedAt) / 1000);
  const isBack = () => {
    const latest = rates.slice(replacedInSecond).slice(-RECOVERED_SECONDS);
    return latest.length === RECOVERED_SECONDS && hasRecovered(mean(latest), before);
  };
  await until(isBack, boundAt, "the rate is what it was");
  const after = mean(rates.slice(-RECOVERED_SECONDS));
  const wedgedInSecond = Math.floor((wedgedAt - startedAt) / 1000);

  isClosing = true;
  const drainBoundAt = Date.now() + DRAIN_BOUND_MS;
  await until(() => traffic.completed.length >= started, drainBoundAt, "all that was started is done");
  const left = traffic.failed.filter(({ taskId }) => pidOf(traffic.handOuts.get(taskId)?.workerId) === deadPid);
  return {
    workflows: started,
    poisonWorkflowId,
    wedgeToDeathMs: diedAt - wedgedAt,
    deathToReplacementMs: replacement.atMs - diedAt,
    inHand: left.length,
    deathToLastEndedMs: Math.max(0, ...left.map(({ atMs }) => atMs - diedAt)),
    rate: {
      before,
      lowest: Math.min(...rates.slice(wedgedInSecond + 1, replacedInSecond)),
      after,
    },
  };
}
