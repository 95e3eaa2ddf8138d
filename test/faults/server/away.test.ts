import { describe, expect } from "vitest";
import { startEmbeddedConductor } from "../../../src/testing/index.js";
import { watchEvents, type SeenEvent } from "../../support/faults/event-log.js";
import { fault } from "../../support/faults/fault.js";
import { latch, sleep, until } from "../../support/faults/helpers.js";
import { keepBooks } from "../../support/faults/model-evidence.js";
import { defineTypes, openTasks, startWorld } from "../../support/faults/world.js";
import { waitFor } from "../../support/time/wait-for.js";
import { createWorld, workerConfig } from "../../support/unit/runner-world.js";

const group = "Server";
const name = "away with finished results waiting";
const guard = "a finished result is kept until it is acknowledged";

/** A worker whose tasks wait until they are let go, and then return what must not get lost. */
function holding() {
  const held = latch();
  let begun = 0;
  const execute = async ({ mode, n }: Record<string, unknown>) => {
    if (mode !== "held") return {};
    begun += 1;
    await held.released;
    return { kept: n };
  };
  return { execute, release: () => held.release(), begun: (count: number) => until(() => begun === count) };
}

describe.concurrent("a server that is away", () => {
  fault({ number: 12, group, name, variant: "for 60 s", boundMs: 3_000, guard }, async (run) => {
    const { execute, release, begun } = holding();
    const world = await run.world({ worker: { concurrency: 10, execute } });
    const ids = await world.begin(10, { mode: "held" });
    await begun(10);
    world.proxy.refuse();
    world.proxy.resetAll();
    release();
    await sleep(60_000);
    expect(world.handler.status).toMatchObject({ inFlight: 10, serverReachable: false });
    await world.proxy.accept();
    run.injected();
    await run.worksAgain(world);
    const ended = await world.done(ids, 3_000);
    expect(ended.map(({ tasks }) => tasks[0]?.outputData.kept).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    return "Connections were refused for a minute. Ten results that were finished meanwhile were kept, and all applied within 3 s of its return.";
  });

  fault({ number: 12, group, name, variant: "for 10 minutes, on a fake clock", boundMs: 3_000, guard }, async (run) => {
    const held = latch();
    const work = workerConfig("work", () => held.released, { concurrency: 10 });
    const { clock, server, events, group: runners } = createWorld([work]);
    const seen: SeenEvent[] = [];
    watchEvents({ on: events.on.bind(events) }, "worker", (event) => seen.push(event));
    const evidence = keepBooks(server, seen);
    run.audited({
      settled: async () => {
        await clock.advanceAsync(10_000);
        expect(server.violations).toEqual([]);
      },
      evidence: async () => evidence(),
      close: async () => {
        const drained = runners.drain(0);
        await clock.advanceAsync(30_000);
        await drained;
      },
    });
    for (let i = 0; i < 10; i++) server.push(`t${i}`, "work");
    runners.start();
    await clock.advanceAsync(1_000);
    expect(server.count("IN_PROGRESS")).toBe(10);
    server.fate = () => "notSent";
    held.release();
    const requestsBefore = server.requests;
    await clock.advanceAsync(600_000);
    expect(server.count("COMPLETED")).toBe(0);
    expect(server.requests - requestsBefore, "requests in 10 minutes").toBeLessThan(600);
    server.fate = () => "ok";
    const backAt = clock.now();
    while (server.count("COMPLETED") < 10 && clock.now() - backAt < 3_000) await clock.advanceAsync(50);
    run.recoveredAfter(clock.now() - backAt);
    expect(server.count("COMPLETED")).toBe(10);
    return "Connections were refused for ten minutes; one attempt every two seconds, for everybody together. All ten results were applied within 3 s of its return.";
  });

  fault({ number: 13, group, name: "restarted", variant: "with its state", boundMs: 3_000, guard }, async (run) => {
    const { execute, release, begun } = holding();
    const world = await run.world({ worker: { concurrency: 10, execute } });
    const ids = await world.begin(5, { mode: "held" });
    await begun(5);
    world.proxy.refuse();
    world.proxy.resetAll();
    release();
    await sleep(5_000);
    await world.proxy.accept();
    run.injected();
    await run.worksAgain(world);
    await world.done(ids, 3_000);
    return "Every connection was reset and none accepted for 5 s, under polls and finished results. The results were kept and applied.";
  });

  fault(
    {
      number: 13,
      group,
      name: "restarted",
      variant: "behind a balancer that accepts and closes",
      boundMs: 3_000,
      guard,
    },
    async (run) => {
      const { execute, release, begun } = holding();
      const world = await run.world({ gateway: true, worker: { concurrency: 10, execute } });
      const ids = await world.begin(5, { mode: "held" });
      await begun(5);
      await world.gateway.fault("close");
      release();
      const before = world.proxy.connections;
      await sleep(5_000);
      expect(world.proxy.connections - before, "connections in 5 s").toBeLessThan(30);
      await world.gateway.fault("none");
      run.injected();
      await run.worksAgain(world);
      await world.done(ids, 3_000);
      return "Every connection was accepted and closed at once for 5 s, under polls and finished results. The results were kept and applied.";
    },
  );

  fault(
    {
      number: 13,
      group,
      name: "restarted",
      variant: "with an empty memory",
      boundMs: 3_000,
      guard: "404: the task is gone",
    },
    async (run) => {
      const { execute, release, begun } = holding();
      const first = await startEmbeddedConductor({ ownProcess: true });
      const world = await startWorld({ conductor: first, worker: { concurrency: 10, execute } });
      run.onEnd(() => world.close());
      const ids = await world.begin(5, { mode: "held" });
      await begun(5);
      const { port } = first;
      const gone = (await world.evidence()).ledger.flatMap((entry) => (entry.kind === "handOut" ? [entry.taskId] : []));
      await first.close();
      release();
      await sleep(2_000);
      const second = await startEmbeddedConductor({ ownProcess: true, port });
      await defineTypes(second, ["work"]);
      run.audited({
        settled: async () => {
          await waitFor(async () => (await openTasks(second)) === 0 && world.handler.status.inFlight === 0, {
            boundMs: 15_000,
            what: "every task to end",
          });
        },
        evidence: async () => ({
          ledger: await second.ledger(),
          workflows: await second.workflows(),
          events: world.events,
        }),
        close: () => second.close(),
      });
      run.injected();
      await run.worksAgain({
        begin: async () => [await second.startWorkflow({ name: "work", input: {} })],
        done: async (workflowIds, timeoutMs = 1) => {
          return Promise.all(workflowIds.map((id) => second.waitForWorkflow(id, { timeoutMs })));
        },
      });
      await until(() => world.seen("taskMoot").length === ids.length);
      expect(
        world
          .seen("taskMoot")
          .map(({ fields }) => fields.taskId)
          .sort(),
        "tasks that nobody knows any more",
      ).toEqual(gone.sort());
      expect(world.seen("taskUndeliverable")).toEqual([]);
      return "The new server did not know the five tasks whose results were waiting: it said so, each left as moot, once, and work went on.";
    },
  );
});
