import { http, HttpResponse } from "msw";
import { describe, expect } from "vitest";
import type { TaskResult } from "../../../src/index.js";
import { fault } from "../../support/faults/fault.js";
import { until, UPDATE_PATHS } from "../../support/faults/helpers.js";

describe.concurrent("500 to one result alone", () => {
  const guard = "a result that is refused while others are accepted is given up";
  fault({ number: 14, group: "Server", name: "500 to one result, always", boundMs: 2_000, guard }, async (run) => {
    const world = await run.world({
      gateway: true,
      worker: { concurrency: 2, execute: ({ mode }) => ({ poison: mode === "poison" }) },
    });
    const told: unknown[] = [];
    world.handler.on("taskUndeliverable", ({ result }) => told.push(result));
    let refused = 0;
    world.gateway.use(
      http.post(UPDATE_PATHS, async ({ request }) => {
        const { outputData, status } = (await request.clone().json()) as TaskResult;
        if (outputData?.poison !== true || status !== "COMPLETED") return undefined;
        refused += 1;
        return HttpResponse.json({ status: 500, message: "cannot store this", retryable: false }, { status: 500 });
      }),
    );
    const [id = ""] = await world.begin(1, { mode: "poison" });
    await until(() => refused > 0);
    run.injected();
    await run.worksAgain(world);
    await world.done(await world.begin(50));
    const { tasks } = await world.conductor.waitForWorkflow(id, { timeoutMs: 20_000 });
    expect(tasks).toMatchObject([{ status: "FAILED_WITH_TERMINAL_ERROR" }]);
    expect(tasks[0]?.reasonForIncompletion).toContain("cannot store this");
    expect(told).toMatchObject([{ status: "COMPLETED", outputData: { poison: true } }]);
    return "It held up nobody: fifty others were delivered beside it. After a few tries its task was reported failed for good, with the server's message; the result went to an event and the log.";
  });
});
