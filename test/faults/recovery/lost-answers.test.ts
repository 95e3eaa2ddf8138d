import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { http, HttpResponse } from "msw";
import { describe, expect } from "vitest";
import type { Task } from "../../../src/index.js";
import { startEmbeddedConductor } from "../../../src/testing/index.js";
import { fault } from "../../support/faults/fault.js";
import { eventsOf, handedOut, idle, pollIsHeld, taskIdsOf, until } from "../../support/faults/helpers.js";
import { startProcessWorld } from "../../support/faults/process-world.js";
import type { World } from "../../support/faults/world.js";
import { startGateway } from "../../support/servers/gateway.js";
import { waitFor } from "../../support/time/wait-for.js";

const group = "Recovery";
const MIB = 1024 * 1024;
const isPoll = (head: string) => head.startsWith("GET /api/tasks/poll/");

/** A task is handed out in an answer that is cut off; gives its workflow. */
async function loseATask(world: World): Promise<string[]> {
  const cuts = world.proxy.cutNextAnswer({ when: isPoll, afterBytes: 600 });
  await pollIsHeld(world);
  const lost = await world.begin();
  await until(() => cuts.heads.length > 0);
  return lost;
}

async function expectFound(world: World, lost: readonly string[]): Promise<void> {
  const [taskId = ""] = await taskIdsOf(world, lost);
  expect(eventsOf(world, "taskReclaimed", taskId), "found").toHaveLength(1);
  expect(eventsOf(world, "taskStarted", taskId), "runs").toHaveLength(1);
}

describe.concurrent("answers that are lost", () => {
  fault(
    {
      number: 48,
      group,
      name: "one answer is lost while large tasks wait",
      boundMs: 20_000,
      guard: "the listing is read in pages that are bounded in bytes",
    },
    async (run) => {
      const world = await run.world({ gateway: true, worker: { concurrency: 2 } });
      await idle(world);
      const large = await world.begin(40, { data: "x".repeat(200_000) });
      const pages: number[] = [];
      world.gateway.use(
        http.get("*/admin/task/work", async ({ request }) => {
          const text = await (await world.gateway.forward(request)).text();
          pages.push(text.length);
          return new HttpResponse(text, { headers: { "content-type": "application/json" } });
        }),
      );
      const cuts = world.proxy.cutNextAnswer({ when: isPoll, afterBytes: 2_000 });
      world.handler.resume();
      await until(() => cuts.heads.length > 0);
      await idle(world);
      // Found while the others wait.
      const isFound = () => world.seen("taskReclaimed").length > 0;
      await waitFor(isFound, { boundMs: 15_000, what: "the lost task to be found" });
      const listings = () =>
        world.seen("requestEnded").filter(({ fields }) => fields.pathTemplate === "/admin/task/{taskType}");
      await waitFor(() => listings().length === pages.length, { what: "each page to be read or cut off" });
      const tooLong = pages.filter((bytes) => bytes > 4 * MIB).length;
      expect(tooLong, "pages that were too long").toBeGreaterThan(0);
      expect(listings().filter(({ fields }) => fields.status === 0).length, "pages that were cut off").toBe(tooLong);
      run.injected();
      world.handler.resume();
      await run.worksAgain(world);
      await world.done(large, 30_000);
      return "The first page would have had all 8 MB; it was cut off at 4 MiB, and the next ones were for fewer tasks. The task that was lost was found among the others and run once.";
    },
  );

  fault(
    {
      number: 49,
      group,
      name: "an answer to a poll is larger than may be taken",
      boundMs: 15_000,
      guard: "the next poll asks for one task; the bound follows the heap",
    },
    async (run) => {
      const TASKS = 31;
      const conductor = await startEmbeddedConductor({ ownProcess: true });
      const world = await startProcessWorld(run, { conductor });
      const gateway = await startGateway(conductor.serverUrl);
      run.onEnd(() => gateway.close());
      const large = (task: Task) => ({ ...task, workflowTask: { ...task.workflowTask, padding: "x".repeat(MIB) } });
      const answer = async (request: Request, change: (tasks: Task[]) => unknown) =>
        HttpResponse.json(change((await (await gateway.forward(request)).json()) as Task[]) as object);
      gateway.use(
        // One that comes alone tells nothing of the size of the others.
        http.get("*/tasks/poll/batch/work", ({ request }) =>
          answer(request, (tasks) => (tasks.length > 1 ? tasks.map(large) : tasks)),
        ),
        http.get("*/admin/task/work", ({ request }) => answer(request, (tasks) => tasks.map(large))),
      );
      const ids = await world.begin(TASKS);
      const worker = await world.startWorker(
        { serverUrl: `${gateway.url}/api`, concurrency: 50, requestTimeoutMs: 5_000 },
        { nodeArgs: ["--max-old-space-size=256"] },
      );
      const seen = (name: string) => worker.events.filter((event) => event.name === name);
      await waitFor(() => seen("pollFailed").length > 0, { boundMs: 20_000, what: "an answer that is too large" });
      run.injected();
      await run.worksAgain(world);
      await world.done(ids, 60_000);
      expect(seen("pollFailed"), "polls whose answer was too large").toHaveLength(1);
      const failedAt = worker.events.findIndex(({ name }) => name === "pollFailed");
      const next = worker.events.slice(failedAt).find(({ name }) => name === "pollCompleted");
      expect(next?.fields.requested, "tasks that the next poll asked for").toBe(1);
      expect(worker.running).toBe(true);
      return `With a heap of 256 MB an answer of 30 MB was cut off at 24 MiB. The next poll was for one task; the ${TASKS - 1} that were in it were found in pages of 4 MiB, given back and run once each.`;
    },
  );

  const strangers: [string, string, () => HttpResponse<string>, boolean][] = [
    [
      "to the sizes of queues",
      "*/tasks/queue/sizes",
      () => HttpResponse.html("<html>default backend</html>", { status: 404 }),
      false,
    ],
    [
      "to the listing",
      "*/admin/task/work",
      () => HttpResponse.html("<html>not allowed</html>", { status: 405 }),
      false,
    ],
    [
      "to a look at the task, for good",
      "*/tasks/:taskId",
      () => HttpResponse.html("<html>no</html>", { status: 403 }),
      true,
    ],
  ];
  for (const [variant, pathPattern, answer, isForGood] of strangers) {
    fault(
      {
        number: 50,
        group,
        name: "a proxy refuses the search for a lost answer",
        variant,
        boundMs: 12_000,
        guard: "a refusal is retried, and nothing that is owed is forgotten",
      },
      async (run) => {
        const world = await run.world({ gateway: true });
        let refused = 0;
        world.gateway.use(
          http.get(pathPattern, () => {
            refused += 1;
            return answer();
          }),
        );
        const lost = await loseATask(world);
        await waitFor(() => refused > 0, { boundMs: 10_000, what: "the search to be refused" });
        if (!isForGood) world.gateway.reset();
        run.injected();
        await run.worksAgain(world);
        await world.done(lost, 12_000);
        await expectFound(world, lost);
        if (!isForGood) return "The search went on two seconds later, and found the task.";
        expect(refused, "looks").toBe(1);
        return "The next listing showed the task again: that was the second look.";
      },
    );
  }

  for (const variant of ["within the drain", "by the journal"] as const) {
    fault(
      {
        number: 51,
        group,
        name: "an answer is lost, and the worker is stopped at once",
        variant,
        boundMs: 10_000,
        guard: "what is owed is searched for within the drain, or handed on",
      },
      async (run) => {
        const dir = mkdtempSync(path.join(tmpdir(), "ostinato-fault-"));
        run.onEnd(() => {
          rmSync(dir, { recursive: true, force: true });
        });
        const hasTime = variant === "within the drain";
        const world = await run.world(hasTime ? {} : { handler: { journal: { dir } } });
        const lost = await loseATask(world);
        await handedOut(world, lost);
        const stoppedAt = performance.now();
        await world.handler.stop({ drainTimeoutMs: hasTime ? 15_000 : 0 });
        expect(performance.now() - stoppedAt, "ms for the stop").toBeLessThan(hasTime ? 14_000 : 3_000);
        const open = (await Promise.all(lost.map((id) => world.conductor.workflow(id)))).flatMap(({ tasks }) => tasks);
        expect(open.map(({ status }) => status)).toEqual([hasTime ? "SCHEDULED" : "IN_PROGRESS"]);
        run.injected();
        await world.handler.start();
        await run.worksAgain(world);
        await world.done(lost, 10_000);
        await expectFound(world, lost);
        if (hasTime)
          return "The stop took as long as the search: the task was found and given back, and the next start ran it.";
        // The search has a second round five seconds after the first.
        await waitFor(() => readdirSync(dir).length === 1, {
          boundMs: 20_000,
          what: "the journal of the first start to go",
        });
        return "There was no time to search. The next start read in the journal what was owed, found the task and ran it.";
      },
    );
  }
});
