import { http } from "msw";
import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import { idle } from "../../support/faults/helpers.js";
import { html, noRoute } from "../../support/faults/strangers.js";

const group = "Strangers";

describe.concurrent("a stranger refuses update-v2 alone", () => {
  for (const stranger of [html(400), noRoute(401), noRoute(403), html(404), html(302), html(200)]) {
    fault(
      {
        number: 42,
        group,
        name: "a gateway has no route for update-v2",
        variant: stranger.name,
        boundMs: 5_000,
        guard: "what update-v2 does not take goes by POST /tasks",
      },
      async (run) => {
        const world = await run.world({ gateway: true, worker: { concurrency: 2 } });
        let asked = 0;
        world.gateway.use(
          http.post("*/tasks/update-v2", () => {
            asked += 1;
            return stranger.answer();
          }),
        );
        run.injected();
        await idle(world);
        const ids = await world.begin(20);
        world.handler.resume();
        await run.worksAgain(world);
        await world.done(ids);
        // Results that were finished together may each find out.
        expect(asked, "requests to update-v2").toBeGreaterThanOrEqual(1);
        expect(asked, "requests to update-v2").toBeLessThanOrEqual(2);
        expect(world.seen("taskUndeliverable")).toEqual([]);
        return "It was asked once, or once for each slot; twenty results went by POST /tasks at once, none of them changed.";
      },
    );
  }
});
