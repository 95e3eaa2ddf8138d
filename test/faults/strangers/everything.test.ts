import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { http } from "msw";
import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import { latch, sleep, until } from "../../support/faults/helpers.js";
import { html, noRoute, spring } from "../../support/faults/strangers.js";

const group = "Strangers";

describe.concurrent("a stranger answers everything", () => {
  const guard = "only Conductor's own word ends a result";
  for (const stranger of [
    html(400),
    spring(400),
    html(409),
    html(415),
    spring(431),
    noRoute(403),
    html(410),
    html(302),
  ]) {
    fault(
      {
        number: 41,
        group,
        name: "a proxy answers everything in its own words",
        variant: stranger.name,
        boundMs: 6_000,
        guard,
      },
      async (run) => {
        const held = latch();
        const world = await run.world({ gateway: true, worker: { execute: () => held.released } });
        const ids = await world.begin(5);
        await until(() => world.handler.status.inFlight === 5);
        world.gateway.use(http.all("*", () => stranger.answer()));
        held.release();
        await sleep(3_000);
        world.gateway.reset();
        run.injected();
        await run.worksAgain(world);
        await world.done(ids);
        expect(world.seen("taskUndeliverable")).toEqual([]);
        return "For 3 s nothing got through. Five results that were finished meanwhile were kept, and applied once.";
      },
    );
  }

  fault(
    {
      number: 41,
      group,
      name: "a proxy answers everything in its own words",
      variant: "400, under a journal",
      boundMs: 6_000,
      guard,
    },
    async (run) => {
      const dir = mkdtempSync(path.join(tmpdir(), "ostinato-journal-"));
      run.onEnd(() => {
        rmSync(dir, { recursive: true, force: true });
      });
      const held = latch();
      const world = await run.world({
        gateway: true,
        worker: { execute: () => held.released },
        handler: { journal: { dir } },
      });
      const ids = await world.begin(5);
      await until(() => world.handler.status.inFlight === 5);
      world.gateway.use(http.all("*", () => html(400).answer()));
      held.release();
      await until(() => world.handler.status.resultsWaiting === 5);
      await world.handler.stop({ drainTimeoutMs: 0 });
      expect(world.seen("taskUndeliverable")).toEqual([]);
      world.gateway.reset();
      run.injected();
      await world.handler.start();
      await run.worksAgain(world);
      await world.done(ids);
      return "The worker was stopped amid it. Five results stayed in the journal; the next start delivered them.";
    },
  );
});
