import { http, HttpResponse } from "msw";
import { describe, expect } from "vitest";
import type { TaskResult } from "../../../src/index.js";
import { fault } from "../../support/faults/fault.js";
import { until, UPDATE_PATHS } from "../../support/faults/helpers.js";
import { html, noRoute } from "../../support/faults/strangers.js";

const group = "Strangers";

describe.concurrent("a stranger refuses one result alone", () => {
  const conductors500 = {
    name: "500 of Conductor's own, retryable",
    answer: () =>
      HttpResponse.json({ status: 500, message: "Incorrect string value", retryable: true }, { status: 500 }),
  };
  for (const stranger of [html(200), noRoute(403), html(406), html(413), html(501), conductors500]) {
    fault(
      {
        number: 43,
        group,
        name: "one result is refused for its content, always",
        variant: stranger.name,
        boundMs: 5_000,
        guard: "what passes beside it tells",
      },
      async (run) => {
        const world = await run.world({
          gateway: true,
          worker: { execute: ({ mode }) => ({ bad: mode === "bad" }) },
        });
        const told: unknown[] = [];
        world.handler.on("taskUndeliverable", ({ result }) => told.push(result));
        let refused = 0;
        world.gateway.use(
          http.post(UPDATE_PATHS, async ({ request }) => {
            const { outputData, status } = (await request.clone().json()) as TaskResult;
            if (outputData?.bad !== true || status !== "COMPLETED") return undefined;
            refused += 1;
            return stranger.answer();
          }),
        );
        const bad = await world.begin(10, { mode: "bad" });
        await until(() => refused >= 10);
        run.injected();
        await run.worksAgain(world);
        await world.done(await world.begin(50));
        for (const id of bad) {
          const { tasks } = await world.conductor.waitForWorkflow(id, { timeoutMs: 60_000 });
          expect(tasks).toMatchObject([{ status: "FAILED_WITH_TERMINAL_ERROR" }]);
          expect(tasks[0]?.reasonForIncompletion).toContain("the server refused the result");
        }
        expect(told).toHaveLength(10);
        return "Ten of them held up nobody: others passed beside them at once. After some tries, each shown by what passed to be about the result, their tasks were reported failed for good; the results went to an event and the log.";
      },
    );
  }
});
