import { http } from "msw";
import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import { sleep, until } from "../../support/faults/helpers.js";

const group = "Process";
const boundMs = 3_000;

describe.concurrent("starting and stopping", () => {
  const guard = "a start does not wait for the server";
  fault({ number: 32, group, name: "the server is away at the start", boundMs, guard }, async (run) => {
    const warnings: string[] = [];
    const ignore = () => {};
    const logger = {
      debug: ignore,
      info: ignore,
      warn: (_: object, line: string) => void warnings.push(line),
      error: ignore,
    };
    const world = await run.world({ start: false, handler: { logger } });
    world.proxy.refuse();
    const ids = await world.begin(3);
    const startAt = performance.now();
    await world.handler.start();
    expect(performance.now() - startAt, "ms that the start took").toBeLessThan(1_000);
    await sleep(5_000);
    expect(world.handler.status).toMatchObject({ state: "running", serverReachable: false });
    expect(
      warnings.filter((line) => line.includes("polling failed")),
      "lines that say so",
    ).toHaveLength(1);
    const tries = world.seen("requestEnded").length;
    expect(tries).toBeGreaterThan(3);
    expect(tries).toBeLessThan(20);
    await world.proxy.accept();
    run.injected();
    await run.worksAgain(world);
    await world.done(ids);
    return "The start succeeded; the worker said once that the server could not be reached, tried again for 5 s, every 2 s at last, and worked when it came.";
  });

  fault(
    {
      number: 33,
      group,
      name: "stop and start during a poll",
      boundMs,
      guard: "requests to start and stop are carried out in their order",
    },
    async (run) => {
      let running = 0;
      let mostRunning = 0;
      const world = await run.world({
        start: false,
        gateway: true,
        worker: {
          concurrency: 2,
          execute: async () => {
            running += 1;
            mostRunning = Math.max(mostRunning, running);
            await sleep(30);
            running -= 1;
          },
        },
      });
      let polls = 0;
      let mostPolls = 0;
      world.gateway.use(
        http.get("*/tasks/poll/batch/*", async ({ request }) => {
          polls += 1;
          mostPolls = Math.max(mostPolls, polls);
          const answer = await world.gateway.forward(request);
          polls -= 1;
          return answer;
        }),
      );
      for (let i = 0; i < 5; i += 1) {
        await world.handler.start();
        await until(() => polls > 0);
        void world.handler.stop();
      }
      const starting = world.handler.start();
      run.injected();
      await starting;
      await run.worksAgain(world);
      await world.done(await world.begin(20));
      await sleep(1_500);
      expect(mostPolls, "polls at a time").toBe(1);
      expect(mostRunning, "functions at a time").toBe(2);
      return "Each start waited for the stop before it, and that for its poll: there was one loop, one poll, and no task beyond the concurrency.";
    },
  );
});
