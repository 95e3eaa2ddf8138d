import { http, HttpResponse } from "msw";
import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import { latch, sleep, until } from "../../support/faults/helpers.js";
import { html, noRoute, wait, type StrangersAnswer } from "../../support/faults/strangers.js";
import type { World } from "../../support/faults/world.js";
import { waitFor } from "../../support/time/wait-for.js";

const group = "Strangers";
/** As a health check that has taken the request for its own. */
const SOMETHING_ELSE: StrangersAnswer = {
  name: "200, JSON of something else",
  answer: () => HttpResponse.json({ status: "UP" }),
};

/** Does forty tasks one after the other, and counts how often the server is taken for away meanwhile. */
async function timesUnreachable(world: World, taskTypes: readonly string[]): Promise<number> {
  let times = 0;
  for (let i = 0; i < 40; i += 1) {
    await world.done(await world.begin(1, {}, taskTypes[i % taskTypes.length]));
    times += Number(!world.handler.status.serverReachable);
    await sleep(100);
  }
  return times;
}

describe.concurrent("a stranger refuses one path or one task type", () => {
  for (const stranger of [noRoute(403), wait(429), html(200)]) {
    fault(
      {
        number: 44,
        group,
        name: "GET /tasks/{taskId} is refused",
        variant: stranger.name,
        boundMs: 5_000,
        guard: "a request aside speaks for nobody",
      },
      async (run) => {
        const held = latch();
        const world = await run.world({
          gateway: true,
          workers: { work: {}, long: { concurrency: 20, execute: () => held.released } },
        });
        let looks = 0;
        world.gateway.use(
          http.get(/\/api\/tasks\/[0-9a-f-]{36}$/, () => {
            looks += 1;
            return stranger.answer();
          }),
        );
        const long = await world.begin(20, {}, "long");
        await waitFor(() => looks > 0, { boundMs: 20_000, what: "a look at a long task" });
        run.injected();
        await run.worksAgain(world);
        expect(await timesUnreachable(world, ["work"]), "times that the server was taken for away, of 40").toBeLessThan(
          4,
        );
        held.release();
        await world.done(long);
        return "The looks at twenty long tasks were refused, and waited by themselves. Forty others were done meanwhile, one after the other, as if nothing were wrong.";
      },
    );
  }

  for (const stranger of [noRoute(401), noRoute(403), html(503), wait(429), html(200)]) {
    fault(
      {
        number: 45,
        group,
        name: "polls of one task type are refused",
        variant: stranger.name,
        boundMs: 5_000,
        guard: "who is refused alone waits alone",
      },
      async (run) => {
        const world = await run.world({ gateway: true, workers: { work: {}, other: {}, bad: {} } });
        world.gateway.use(http.get("*/tasks/poll/batch/bad", () => stranger.answer()));
        await until(() => world.seen("pollFailed").length > 0);
        run.injected();
        await run.worksAgain(world);
        const types = ["work", "other"];
        expect(await timesUnreachable(world, types), "times that the server was taken for away, of 40").toBeLessThan(4);
        world.gateway.reset();
        return "It waited by itself, longer each time; the tasks of two other types were done at once, one after the other.";
      },
    );
  }

  for (const stranger of [noRoute(404), html(503), html(200), SOMETHING_ELSE]) {
    fault(
      {
        number: 46,
        group,
        name: "the sizes of queues are not told",
        variant: stranger.name,
        boundMs: 8_000,
        guard: "what is not told may wait",
      },
      async (run) => {
        const names = Array.from({ length: 12 }, (_, i) => `type${i}`);
        const world = await run.world({
          gateway: true,
          workers: { work: {}, ...Object.fromEntries(names.map((name) => [name, {}])) },
          handler: { maxHeldPolls: 2 },
        });
        world.gateway.use(http.get("*/tasks/queue/sizes", () => stranger.answer()));
        run.injected();
        await run.worksAgain(world);
        const ids = await Promise.all(names.map((name) => world.begin(1, {}, name)));
        await world.done(ids.flat(), 30_000);
        return "Thirteen task types took turns at two held polls, and none starved.";
      },
    );
  }

  for (const status of [401, 403]) {
    fault(
      {
        number: 47,
        group,
        name: "one 404 for a token",
        variant: `of a server that answers ${status} without one`,
        boundMs: 4_000,
        guard: "a request that is refused for want of a token has it asked for",
      },
      async (run) => {
        const world = await run.world({
          gateway: true,
          start: false,
          handler: { auth: { keyId: "key", keySecret: "secret" } },
        });
        let asked = 0;
        world.gateway.use(
          http.post("*/api/token", () => {
            asked += 1;
            return asked === 1 ? html(404).answer() : HttpResponse.json({ token: "t1" });
          }),
          http.all("*", ({ request }) =>
            request.headers.has("x-authorization") ? undefined : HttpResponse.text("no", { status }),
          ),
        );
        await world.handler.start();
        await until(() => asked >= 1);
        run.injected();
        await run.worksAgain(world);
        return "It went on without a token until it was refused for that, asked again, and worked.";
      },
    );
  }
});
