import { setTimeout as sleep } from "node:timers/promises";
import { http } from "msw";
import { waitFor } from "../../test/support/time/wait-for.js";
import type { FaultShape } from "./shape.js";
import type { FaultWorld } from "./world.js";

/** The official SDK's requests have 60 s. */
const HALF_OPEN_BOUND_MS = 90_000;
/** `POST /tasks` and `POST /tasks/update-v2`. */
export const UPDATE_PATHS = /\/api\/tasks(\/update-v2)?$/;

/** What still waits for an answer when the server has all results: an `update-v2` is held for 100 ms. */
const ANSWERS_MS = 1_500;
/** Longer than any poll of an idle worker is held, so that no new task is given to a dead one. */
const IDLE_MS = 3_000;
const SWALLOW_MS = 5_000;

export const CONNECTION_FAULTS: readonly FaultShape[] = [
  {
    number: 1,
    name: "half-open while idle",
    boundMs: HALF_OPEN_BOUND_MS,
    lastsMs: IDLE_MS,
    concurrency: 10,
    async inject(world) {
      await world.done(await world.begin(16, { mode: "slow", data: 50 }));
      await sleep(ANSWERS_MS);
      world.proxy.silenceEstablished();
      const since = performance.now();
      if (world.proxy.silencedConnections === 0) throw new Error("there was no connection to silence");
      await sleep(IDLE_MS);
      return { since };
    },
  },
  {
    number: 3,
    name: "half-open under an update",
    variant: "the update never arrived",
    boundMs: HALF_OPEN_BOUND_MS,
    concurrency: 1,
    async inject(world) {
      await world.done(await world.begin(3));
      const ids = await world.begin(1, { mode: "held" });
      await world.began(ids);
      world.proxy.silenceEstablished();
      const since = performance.now();
      world.release();
      await sleep(1_000);
      if (await areCompleted(world, ids)) throw new Error("the update did not meet the silence");
      return { since };
    },
  },
  {
    number: 3,
    name: "half-open under an update",
    variant: "applied, and the answer was lost",
    boundMs: HALF_OPEN_BOUND_MS,
    concurrency: 1,
    async inject(world) {
      await world.done(await world.begin(3));
      let silentSince: number | undefined;
      world.gateway.use(
        http.post(
          UPDATE_PATHS,
          async ({ request }) => {
            const answer = await world.gateway.forward(request);
            world.proxy.silenceEstablished();
            silentSince = performance.now();
            return answer;
          },
          { once: true },
        ),
      );
      await world.begin();
      await waitFor(() => silentSince !== undefined, { boundMs: 10_000, what: "the update to meet the silence" });
      return { since: silentSince ?? 0 };
    },
  },
  {
    number: 9,
    name: "accepts and never answers",
    variant: "for 5 s",
    boundMs: HALF_OPEN_BOUND_MS,
    lastsMs: SWALLOW_MS,
    concurrency: 10,
    async inject(world) {
      await world.began(await world.begin(5, { mode: "held" }));
      world.proxy.swallowNew(true);
      world.proxy.silenceEstablished();
      world.release();
      await sleep(SWALLOW_MS);
      world.proxy.swallowNew(false);
      return { since: performance.now() };
    },
  },
];

export async function areCompleted({ conductor }: FaultWorld, ids: readonly string[]): Promise<boolean> {
  const workflows = await Promise.all(ids.map((id) => conductor.workflow(id)));
  return workflows.every(({ status }) => status === "COMPLETED");
}
