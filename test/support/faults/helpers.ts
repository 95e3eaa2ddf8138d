import { expect } from "vitest";
import { waitFor } from "../time/wait-for.js";
import { LONGEST_DEADLINE_MS, type World } from "./world.js";

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Something that is waited for until it is let go. */
export interface Latch {
  /** For a task that is held. */
  readonly released: Promise<void>;
  release(): void;
  /** For a fault: fails when it is not let go within 10 s. `what` it waits for, in words. */
  wait(what: string): Promise<void>;
}

export function latch(): Latch {
  let isReleased = false;
  let resolveReleased = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    resolveReleased = resolve;
  });
  return {
    released,
    release() {
      isReleased = true;
      resolveReleased();
    },
    wait: async (what) => void (await waitFor(() => isReleased, { boundMs: 10_000, what })),
  };
}

/** Matches `POST /tasks` and `POST /tasks/update-v2`. */
export const UPDATE_PATHS = /\/api\/tasks(\/update-v2)?$/;

/** Pauses the worker, and waits until no request of it is under way. */
export async function idle({ handler }: World): Promise<void> {
  handler.pause();
  const isQuiet = () =>
    handler.status.inFlight === 0 && handler.status.runners.every(({ phase }) => phase === "paused");
  await waitFor(isQuiet, { what: "the worker to be idle" });
}

/** Waits until a new poll is being held by the server. */
export async function pollIsHeld(world: World): Promise<void> {
  const before = world.seen("pollCompleted").length;
  await waitFor(() => world.seen("pollCompleted").length > before, { what: "a poll to end" });
  const { bytesUp } = world.proxy;
  await waitFor(() => world.proxy.bytesUp > bytesUp, { what: "the next poll to be sent" });
}

/** Waits until the server has handed out the tasks of these workflows. */
export async function handedOut({ conductor }: World, workflowIds: readonly string[]): Promise<void> {
  await waitFor(
    async () => {
      const ledger = await conductor.ledger();
      const given = new Set(ledger.flatMap((entry) => (entry.kind === "handOut" ? [entry.workflowInstanceId] : [])));
      return workflowIds.every((id) => given.has(id));
    },
    { what: "the tasks to be handed out" },
  );
}

/**
 * The suspicion swapped the connections, and none of the old ones was given new work: every request that got no answer
 * had begun before the swap. `since`: on `performance.now()`.
 */
export async function expectFreshConnections(world: World, since: number): Promise<void> {
  // What met a dead connection ends later than what did not.
  await world.settled();
  await sleep(LONGEST_DEADLINE_MS);
  const swaps = world.seen("connectionsRecycled").filter(({ atMs, fields }) => {
    return atMs >= since && fields.reason === "suspicion";
  });
  expect(swaps.length, "swaps of the connections").toBeGreaterThanOrEqual(1);
  const swappedAt = swaps[0]!.atMs;
  const unanswered = world.seen("requestEnded").filter(({ fields, atMs }) => fields.status === 0 && atMs >= since);
  expect(unanswered.length, "requests without an answer").toBeGreaterThanOrEqual(1);
  const begunAfter = unanswered.filter(({ atMs, fields }) => atMs - Number(fields.durationMs) > swappedAt + 1);
  expect(begunAfter, "requests that met a suspect connection after the swap").toEqual([]);
}

/** The task ids of workflows, in their order. */
export async function taskIdsOf({ conductor }: World, workflowIds: readonly string[]): Promise<string[]> {
  const workflows = await Promise.all(workflowIds.map((id) => conductor.workflow(id)));
  return workflows.flatMap(({ tasks }) => tasks.map(({ taskId }) => taskId));
}

/** The events of one name about one task. */
export const eventsOf = (world: World, name: Parameters<World["seen"]>[0], taskId: string) =>
  world.seen(name).filter(({ fields }) => fields.taskId === taskId);

/** {@link waitFor} with 10 s and the condition's own text: for conditions that say enough. */
export async function until(condition: () => boolean): Promise<void> {
  await waitFor(condition, { boundMs: 10_000, what: String(condition) });
}
