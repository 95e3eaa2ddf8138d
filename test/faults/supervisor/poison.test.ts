import { describe, expect, test } from "vitest";
import { lines, withSupervisor, type Supervised } from "../../support/supervisor/with-supervisor.js";
import { waitFor } from "../../support/time/wait-for.js";

/** A process that is stuck ends after 1.3 s: the shortest that its polls of 100 ms allow. */
const handler = { requestTimeoutMs: 200, stallTimeoutSeconds: 1.3 };
const SCRIPT = `
  import { TaskHandler, defineWorker } from "ostinato";
  const execute = async ({ ms, act }) => {
    if (act === "spin") for (;;) {}
    await new Promise((resolve) => setTimeout(resolve, ms));
    return { pid: process.pid };
  };
  const options = JSON.parse(process.env.HANDLER_OPTIONS);
  const workers = ["work", "poison"].map((taskDefName) =>
    defineWorker({ taskDefName, concurrency: 4, longPollMs: 100, execute }));
  await new TaskHandler({ ...options, workers }).run();
`;
const RETRIES = 2;
const FEED_EVERY_MS = 40;
/** The two processes are stuck one after the other, and new ones start meanwhile; longer than this nothing rests, in ms. */
const LONGEST_REST_MS = 4_000;

async function feed({ conductor, task }: Supervised, poison: string) {
  const fed: string[] = [];
  let isOver = false;
  const feeding = (async () => {
    while (!isOver) {
      fed.push(await task({ ms: 20 }));
      await new Promise((resolve) => setTimeout(resolve, FEED_EVERY_MS));
    }
  })();
  const ended = await conductor.waitForWorkflow(poison, { timeoutMs: 60_000 });
  isOver = true;
  await feeding;
  return { fed, ended };
}

describe("the supervisor", () => {
  test("a task that wedges every process it touches fails after its retries, and the rest gets done meanwhile", () =>
    withSupervisor({ script: SCRIPT, handler, args: ["--processes", "2"], retryCount: 10 }, async (supervised) => {
      const { conductor, primary, ready } = supervised;
      await conductor.registerTaskDefs([
        { name: "poison", responseTimeoutSeconds: 3_600, retryCount: RETRIES, retryDelaySeconds: 0, timeoutSeconds: 0 },
      ]);
      await conductor.registerWorkflowDef({
        name: "poison",
        tasks: [{ name: "poison", taskReferenceName: "a", inputParameters: { act: "spin" } }],
      });
      await ready(2);
      const startedAt = Date.now();
      const poison = await conductor.startWorkflow({ name: "poison" });
      const { fed, ended } = await feed(supervised, poison);
      const endedAt = Date.now();

      expect(ended.status).toBe("FAILED");
      expect(ended.tasks).toHaveLength(1 + RETRIES);
      for (const { status, reasonForIncompletion } of ended.tasks) {
        expect(status).toBe("FAILED");
        expect(reasonForIncompletion).toMatch(/^the worker process died: wedged in .*worker\.mjs/);
      }
      const deaths = lines(primary, "a worker process has ended") as { reason: string }[];
      expect(deaths.map(({ reason }) => reason)).toEqual(Array.from({ length: 1 + RETRIES }, () => "wedged"));

      // The rest: all of it, and also while processes were stuck.
      const times = [startedAt];
      for (const id of fed) {
        const done = await conductor.waitForWorkflow(id, { timeoutMs: 15_000 });
        expect(done.status).toBe("COMPLETED");
        times.push(done.endTime);
      }
      times.push(endedAt);
      times.sort((a, b) => a - b);
      const rests = times.slice(1).map((at, i) => at - times[i]!);
      expect(Math.max(...rests), "ms in which nothing was done").toBeLessThan(LONGEST_REST_MS);
      await waitFor(() => lines(primary, "a worker process is ready").length === 3 + RETRIES, {
        what: "two processes",
      });
    }));
});
