import { http } from "msw";
import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import {
  eventsOf,
  expectFreshConnections,
  handedOut,
  idle,
  latch,
  pollIsHeld,
  sleep,
  taskIdsOf,
  UPDATE_PATHS,
} from "../../support/faults/helpers.js";
import { CONNECTION_BOUND_MS } from "../../support/faults/world.js";

const group = "Connections";
const boundMs = CONNECTION_BOUND_MS;

describe.concurrent("established connections go silent: no FIN, no RST; new ones work", () => {
  fault(
    { number: 1, group, name: "half-open while idle", boundMs, guard: "both lanes are swapped by suspicion" },
    async (run) => {
      const world = await run.world({ worker: { concurrency: 8, execute: () => sleep(50) } });
      await world.done(await world.begin(16));
      await idle(world);
      expect(world.proxy.openConnections, "idle connections").toBeGreaterThanOrEqual(2);
      world.proxy.silenceEstablished();
      const since = performance.now();
      run.injected();
      world.handler.resume();
      await run.worksAgain(world);
      await expectFreshConnections(world, since);
      return "The first poll met a dead connection and ended at its deadline; it cost both lanes their connections, and nothing else met a dead one.";
    },
  );

  fault(
    { number: 2, group, name: "half-open under a poll", boundMs, guard: "reclaim after a poll whose answer was lost" },
    async (run) => {
      const world = await run.world();
      await world.done(await world.begin(3));
      await pollIsHeld(world);
      world.proxy.silenceEstablished();
      const since = performance.now();
      run.injected();
      const lost = await world.begin();
      await handedOut(world, lost);
      await run.worksAgain(world);
      await expectFreshConnections(world, since);
      await world.done(lost);
      const [taskId = ""] = await taskIdsOf(world, lost);
      expect(eventsOf(world, "taskReclaimed", taskId)).toHaveLength(1);
      expect(eventsOf(world, "taskStarted", taskId)).toHaveLength(1);
      return "The server gave a task to the dead poll. The poll ended at its deadline, the next one worked, and the task was found by its workerId and given back: done seconds later, where it would have waited for its response timeout.";
    },
  );

  fault(
    {
      number: 3,
      group,
      name: "half-open under an update",
      variant: "the update never arrived",
      boundMs,
      guard: "an unacknowledged result is sent again",
    },
    async (run) => {
      const gone = latch();
      const world = await run.world({
        worker: {
          concurrency: 1,
          execute: ({ mode }) => {
            if (mode !== "silence") return {};
            world.proxy.silenceEstablished();
            gone.release();
            return { kept: true };
          },
        },
      });
      await world.done(await world.begin(3));
      const since = performance.now();
      const ids = await world.begin(1, { mode: "silence" });
      await gone.wait("the update to meet the fault");
      run.injected();
      await run.worksAgain(world);
      await expectFreshConnections(world, since);
      const [workflow] = await world.done(ids);
      expect(workflow?.tasks[0]?.outputData).toEqual({ kept: true });
      expect(updatesOf(await world.conductor.ledger(), workflow?.tasks[0]?.taskId)).toBe(1);
      return "The result waited for its deadline, was kept, and was sent again on a new connection; the function ran once.";
    },
  );

  fault(
    {
      number: 3,
      group,
      name: "half-open under an update",
      variant: "applied, and the answer was lost",
      boundMs,
      guard: "an unacknowledged result is sent again",
    },
    async (run) => {
      const gone = latch();
      const world = await run.world({ gateway: true, worker: { concurrency: 1 } });
      await world.done(await world.begin(3));
      world.gateway.use(
        http.post(
          UPDATE_PATHS,
          async ({ request }) => {
            const answer = await world.gateway.forward(request);
            world.proxy.silenceEstablished();
            gone.release();
            return answer;
          },
          { once: true },
        ),
      );
      const since = performance.now();
      const ids = await world.begin();
      await gone.wait("the update to meet the fault");
      run.injected();
      await run.worksAgain(world);
      await expectFreshConnections(world, since);
      const [workflow] = await world.done(ids);
      await world.settled();
      expect(updatesOf(await world.conductor.ledger(), workflow?.tasks[0]?.taskId)).toBe(2);
      return "The server had the result and the worker could not know: it was sent once more, which the server ignored; the function ran once.";
    },
  );
});

function updatesOf(ledger: readonly { kind: string; taskId: string }[], taskId: string | undefined): number {
  return ledger.filter((entry) => entry.kind === "update" && entry.taskId === taskId).length;
}
