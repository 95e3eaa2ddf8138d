import { http, HttpResponse } from "msw";
import { describe, expect } from "vitest";
import type { Task } from "../../../src/index.js";
import { fault } from "../../support/faults/fault.js";
import { eventsOf, pollIsHeld, taskIdsOf, until } from "../../support/faults/helpers.js";
import { waitFor } from "../../support/time/wait-for.js";

const group = "Recovery";
const isPoll = (head: string) => head.startsWith("GET /api/tasks/poll/");

describe.concurrent("answers that a recovery must not trip over", () => {
  fault(
    {
      number: 52,
      group,
      name: "a cache repeats the answer to a poll after its tasks have ended",
      boundMs: 30_000,
      guard: "hand-outs that have ended are remembered for a while",
    },
    async (run) => {
      const REPEATS = 20;
      const world = await run.world({ gateway: true });
      let kept: string | undefined;
      let repeats = -1;
      world.gateway.use(
        http.get("*/tasks/poll/batch/work", async ({ request }) => {
          if (repeats >= 0 && repeats < REPEATS) {
            repeats += 1;
            return new HttpResponse(kept, { headers: { "content-type": "application/json" } });
          }
          const text = await (await world.gateway.forward(request)).text();
          if (text !== "[]") kept ??= text;
          return new HttpResponse(text, { headers: { "content-type": "application/json" } });
        }),
      );
      const ids = await world.begin();
      await world.done(ids);
      repeats = 0;
      run.injected();
      await waitFor(() => repeats === REPEATS, { boundMs: 60_000, what: "all repetitions" });
      await run.worksAgain(world);
      const [taskId = ""] = await taskIdsOf(world, ids);
      expect(eventsOf(world, "taskStarted", taskId), "runs").toHaveLength(1);
      expect(eventsOf(world, "taskUpdated", taskId), "results").toHaveLength(1);
      expect(eventsOf(world, "taskHandedBack", taskId)).toEqual([]);
      return `Of ${REPEATS} repetitions none was run or given back, and the polls that brought them came ever more slowly.`;
    },
  );

  fault(
    {
      number: 53,
      group,
      name: "an id that no path takes, beside a task whose answer was lost",
      boundMs: 12_000,
      guard: "each request ends in a reply, whatever it is asked for",
    },
    async (run) => {
      const world = await run.world({ gateway: true });
      let listings = 0;
      world.gateway.use(
        http.get("*/admin/task/work", async ({ request }) => {
          const tasks = (await (await world.gateway.forward(request)).json()) as Task[];
          listings += 1;
          // Half a surrogate pair.
          return HttpResponse.json([...tasks.map((task) => ({ ...task, taskId: "task \ud83d" })), ...tasks]);
        }),
      );
      const cuts = world.proxy.cutNextAnswer({ when: isPoll, afterBytes: 600 });
      await pollIsHeld(world);
      const lost = await world.begin();
      await until(() => cuts.heads.length > 0);
      run.injected();
      await run.worksAgain(world);
      await world.done(lost, 12_000);
      const [taskId = ""] = await taskIdsOf(world, lost);
      expect(eventsOf(world, "taskReclaimed", taskId)).toHaveLength(1);
      expect(listings).toBeGreaterThan(0);
      return "The search left the one alone that nobody can ask for, and found the other.";
    },
  );
});
