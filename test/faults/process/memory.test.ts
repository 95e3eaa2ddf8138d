import { http, HttpResponse } from "msw";
import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import { UPDATE_PATHS } from "../../support/faults/helpers.js";
import { misbehaving } from "../../support/faults/misbehaving-worker.js";
import { startProcessWorld } from "../../support/faults/process-world.js";
import { startGateway } from "../../support/servers/gateway.js";
import { waitFor } from "../../support/time/wait-for.js";

const TASKS = 250;
const HEAP_MB = 160;
const ROWS = Array.from({ length: 8_000 }, (_, id) => ({
  id,
  name: `customer name ${id}`,
  ok: true,
  amount: id * 1.5,
}));

describe("a process with little memory", () => {
  fault(
    {
      number: 55,
      group: "Bounds",
      name: "results that wait, of tasks with large inputs",
      boundMs: 6_000,
      guard: "a task whose result waits keeps nothing of its input",
    },
    async (run) => {
      const world = await startProcessWorld(run);
      const gateway = await startGateway(world.conductor.serverUrl);
      run.onEnd(() => gateway.close());
      const rows = JSON.stringify(ROWS);
      gateway.use(
        http.get("*/tasks/poll/batch/*", async ({ request }) => {
          const answer = await gateway.forward(request);
          const text = await answer.text();
          return HttpResponse.text(text.replaceAll('"inputData":{', `"inputData":{"rows":${rows},`), {
            status: answer.status,
            headers: { "content-type": "application/json" },
          });
        }),
        http.post(UPDATE_PATHS, () =>
          HttpResponse.json({ status: 500, message: "the disk is full", retryable: true }, { status: 500 }),
        ),
      );
      const worker = await world.startWorker(
        ...misbehaving(
          { serverUrl: `${gateway.url}/api`, concurrency: 20, requestTimeoutMs: 10_000 },
          { nodeArgs: [`--max-old-space-size=${HEAP_MB}`] },
        ),
      );
      const ids = await world.begin(TASKS);
      const executed = () =>
        new Set(worker.events.filter(({ name }) => name === "taskExecuted").map(({ fields }) => fields.taskId));
      await waitFor(() => executed().size === TASKS || !worker.running, {
        boundMs: 80_000,
        what: () => `all functions to return; ${executed().size} have`,
      });
      expect(worker.running, worker.stderr.join("\n")).toBe(true);
      gateway.reset();
      run.injected();
      await run.worksAgain(world);
      await world.done(ids, 20_000);
      return `The server stored nothing until ${TASKS} results waited, whose tasks had inputs of ${Math.round(rows.length / 1000)} kB each, in a process with a heap of ${HEAP_MB} MB. It went on, and all of them were delivered.`;
    },
  );
});
