import { setTimeout as sleep } from "node:timers/promises";
import type { EmbeddedConductor } from "ostinato/testing";
import { accountsOf, type Accounts } from "./accounts.js";
import type { FaultShape } from "./shape.js";
import { FaultWorld, type ClientName } from "./world.js";

/** A new task is started so often until one is done. */
const PROBE_EVERY_MS = 500;
/** For what is under way when the last probe is done. */
const AT_LEAST_MS = 5_000;

/** What one fault did to one client. */
export interface Measured {
  /** From the fault's end (or its beginning) to the first new task done; `undefined`: not within the bound. */
  readonly recoveredMs: number | undefined;
  /** Its process ended by itself, and nobody was there to start another. */
  readonly hasDied: boolean;
  readonly accounts: Accounts;
  /** What else was measured or seen. */
  readonly remarks: readonly string[];
}

/** Injects one fault into a worker's world, and watches it until everything has ended, or to the bound. */
export async function measure(
  shape: FaultShape,
  client: ClientName,
  conductor: EmbeddedConductor,
  taskType: string,
): Promise<Measured> {
  const { concurrency, isShortOfExit = false, boundMs } = shape;
  const world = await FaultWorld.open(client, conductor, taskType, { concurrency, isShortOfExit }, shape.taskDef);
  try {
    if (shape.startsByItself !== true) await world.startWorker();
    const { since, remarks: before = [] } = await shape.inject(world);
    const recoveredMs = await worksAgain(world, since, boundMs);
    const after = recoveredMs === undefined ? [] : ((await shape.after?.(world)) ?? []);
    await settled(world, Math.max(since + boundMs - performance.now(), AT_LEAST_MS));
    const workflows = await Promise.all(world.workflowIds.map((id) => conductor.workflow(id)));
    const failed = workflows.filter(({ status }) => status !== "COMPLETED" && status !== "RUNNING").length;
    return {
      recoveredMs,
      hasDied: !world.worker.running,
      accounts: accountsOf(workflows, world.told()),
      remarks: [
        ...before,
        ...after,
        ...(failed === 0 ? [] : [`${failed} workflows failed`]),
        ...(world.worker.running ? [] : [await endOf(world)]),
      ],
    };
  } finally {
    await world.close();
  }
}

/** Starts a task, and another now and then, until one of them is done: the first may go to a request that is lost. */
async function worksAgain(world: FaultWorld, since: number, boundMs: number): Promise<number | undefined> {
  const endAt = since + boundMs;
  const over = new AbortController();
  let doneAt: number | undefined;
  while (doneAt === undefined && performance.now() < endAt && world.worker.running) {
    const [id = ""] = await world.begin();
    void world.conductor.waitForWorkflow(id, { timeoutMs: Math.max(endAt - performance.now(), 1) }).then(
      ({ status }) => {
        if (status !== "COMPLETED") return;
        doneAt ??= performance.now();
        over.abort();
      },
      () => undefined,
    );
    await sleep(PROBE_EVERY_MS, undefined, { signal: over.signal }).catch(() => undefined);
  }
  return doneAt === undefined ? undefined : doneAt - since;
}

/** Waits until every workflow has ended; not where nobody is left to end them. */
async function settled(world: FaultWorld, boundMs: number): Promise<void> {
  const all = world.workflowIds.map((id) => world.conductor.waitForWorkflow(id, { timeoutMs: boundMs }));
  await Promise.race([Promise.allSettled(all), world.worker.exited]);
}

async function endOf(world: FaultWorld): Promise<string> {
  const { code, signal } = await world.worker.exited;
  return `its process ended (${signal ?? `exit code ${code ?? "unknown"}`})`;
}
