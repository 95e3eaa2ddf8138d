import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import { eventsOf, idle, latch, pollIsHeld, sleep, taskIdsOf, until } from "../../support/faults/helpers.js";
import { CONNECTION_BOUND_MS, LONGEST_DEADLINE_MS } from "../../support/faults/world.js";

const group = "Connections";
const boundMs = CONNECTION_BOUND_MS;
const isPoll = (head: string) => head.startsWith("GET /api/tasks/poll/");

describe.concurrent("connections that end, or hardly go on", () => {
  for (const how of ["close", "reset"] as const) {
    const name = "the server closes an idle connection exactly at reuse";
    const variant = how === "close" ? "by FIN" : "by RST";
    fault(
      { number: 5, group, name, variant, boundMs, guard: "a lost connection is one failure, not an outage" },
      async (run) => {
        const world = await run.world();
        await world.done(await world.begin(5));
        const many = world.proxy.closeAtReuse({ times: 20, how });
        await world.done(await world.begin(20), 20_000);
        many.cancel();
        expect(many.heads.length, "requests that met a connection just closed").toBeGreaterThanOrEqual(5);
        expect(many.heads.some(isPoll), "polls among them").toBe(true);
        expect(
          many.heads.some((head) => head.startsWith("POST ")),
          "updates among them",
        ).toBe(true);
        await world.settled();
        const one = world.proxy.closeAtReuse({ times: 3, how });
        // A pool asks its clients in turn, connected or not: a task may go by on new connections alone.
        for (let tasks = 0; one.heads.length === 0 && tasks < 10; tasks++) {
          run.injected();
          await run.worksAgain(world);
        }
        one.cancel();
        expect(one.heads.length, "requests that met a connection just closed").toBeGreaterThanOrEqual(1);
        return "Polls and updates were written to connections that were gone by then. Each went again on another one; no task ran twice.";
      },
    );
  }

  fault(
    {
      number: 6,
      group,
      name: "the server closes each connection after 100 requests",
      boundMs,
      guard: "Pool, not Agent: a closed connection is replaced by one",
    },
    async (run) => {
      const world = await run.world({ worker: { concurrency: 10 } });
      const before = world.proxy.connections;
      await world.done(await world.begin(1_200), 60_000);
      run.nothingStopped();
      const requests = world.seen("requestEnded").length;
      // An update for each task; the server may have told of the last ones before their requests ended here.
      expect(requests, "requests").toBeGreaterThanOrEqual(1_200 - 10);
      expect(
        world.seen("requestEnded").filter(({ fields }) => fields.status === 0),
        "without an answer",
      ).toEqual([]);
      const opened = world.proxy.connections - before;
      expect(opened, "connections that had to be replaced").toBeGreaterThan(requests / 100 - 6);
      expect(opened, "connections for so many requests").toBeLessThan(requests / 100 + 40);
      return "Every connection was replaced after its hundredth request, by one; no request noticed.";
    },
  );

  fault(
    {
      number: 7,
      group,
      name: "reset in the middle of a body",
      variant: "of a poll's answer",
      boundMs,
      guard: "reclaim after a poll whose answer was lost",
    },
    async (run) => {
      const world = await run.world();
      await world.done(await world.begin(3));
      const cuts = world.proxy.cutNextAnswer({ when: isPoll, afterBytes: 600 });
      await pollIsHeld(world);
      const lost = await world.begin();
      await until(() => cuts.heads.length > 0);
      const since = performance.now();
      run.injected();
      await run.worksAgain(world);
      await world.done(lost);
      const [taskId = ""] = await taskIdsOf(world, lost);
      expect(eventsOf(world, "taskReclaimed", taskId)).toHaveLength(1);
      expect(eventsOf(world, "taskStarted", taskId)).toHaveLength(1);
      expect(world.seen("pollFailed").filter(({ atMs }) => atMs >= since - 100)).toHaveLength(1);
      return "Half of a task had arrived. It was not run; it was found by its workerId, given back, and run once.";
    },
  );

  fault(
    {
      number: 7,
      group,
      name: "reset in the middle of a body",
      variant: "of an update's answer, with the next task in it",
      boundMs,
      guard: "after an ambiguous update-v2 the result goes again by POST /tasks",
    },
    async (run) => {
      const world = await run.world({ worker: { concurrency: 2, execute: () => sleep(20) } });
      const cuts = world.proxy.cutNextAnswer({
        when: (head) => head.startsWith("POST /api/tasks/update-v2"),
        afterBytes: 600,
      });
      await idle(world);
      const ids = await world.begin(30);
      world.handler.resume();
      await until(() => cuts.heads.length > 0);
      run.injected();
      await run.worksAgain(world);
      await world.done(ids);
      expect(world.seen("taskReclaimed"), "the next task, which came in the lost answer").toHaveLength(1);
      expect(world.seen("taskUpdateFailed")).toHaveLength(1);
      return "The result was applied and its answer lost, with a task in it: the result went again by POST /tasks, and the task was found and given back.";
    },
  );

  fault(
    { number: 8, group, name: "a body that drips past the deadline", boundMs, guard: "the deadline covers the body" },
    async (run) => {
      const held = latch();
      const begun: unknown[] = [];
      const world = await run.world({
        worker: {
          execute: async ({ mode }) => {
            begun.push(mode);
            if (mode === "held") await held.released;
          },
        },
      });
      const finished = await world.begin(3, { mode: "held" });
      await until(() => begun.length === 3);
      await pollIsHeld(world);
      // The head of an answer passes within its deadline; a body with a task in it does not.
      world.proxy.drip({ bytes: 30, everyMs: 50 });
      held.release();
      const under = await world.begin(2, { data: "x".repeat(3_000) });
      await sleep(3 * LONGEST_DEADLINE_MS);
      world.proxy.drip(null);
      const since = performance.now();
      run.injected();
      await run.worksAgain(world);
      await world.done([...finished, ...under]);
      expect(world.seen("deadlineExceeded").length, "requests that ended at their deadline").toBeGreaterThanOrEqual(1);
      const overdue = world.seen("requestEnded").filter(({ fields, atMs }) => {
        return atMs < since && Number(fields.durationMs) > LONGEST_DEADLINE_MS + 500;
      });
      expect(overdue, "requests beyond their deadline").toEqual([]);
      return "Answers came in drops for 3.9 s. The polls ended at their deadlines although their bodies went on; results got through, and the tasks in those bodies were found again.";
    },
  );

  fault(
    {
      number: 8,
      group,
      name: "large tasks over a slow link",
      boundMs,
      guard: "an answer that keeps coming is not given up",
    },
    async (run) => {
      const world = await run.world();
      await world.done(await world.begin(1));
      // 1 MB/s: what a poll brings takes longer than its deadline.
      world.proxy.drip({ bytes: 10_000, everyMs: 10 });
      const ids = await world.begin(20, { data: "x".repeat(400_000) });
      await world.done(ids, 30_000);
      expect(world.seen("pollFailed")).toEqual([]);
      world.proxy.drip(null);
      run.injected();
      await run.worksAgain(world);
      return "Five tasks at once took longer to arrive than a poll may take, and were waited for while they came; each ran once.";
    },
  );

  fault(
    {
      number: 9,
      group,
      name: "accepts connections and never answers",
      boundMs,
      guard: "every request has a total deadline",
    },
    async (run) => {
      const held = latch();
      const begun: unknown[] = [];
      const world = await run.world({
        worker: {
          execute: async ({ mode }) => {
            begun.push(mode);
            if (mode === "held") await held.released;
          },
        },
      });
      const finished = await world.begin(3, { mode: "held" });
      await until(() => begun.length === 3);
      world.proxy.swallowNew(true);
      world.proxy.silenceEstablished();
      const silentSince = performance.now();
      held.release();
      await sleep(3 * LONGEST_DEADLINE_MS);
      world.proxy.swallowNew(false);
      const answersSince = performance.now();
      run.injected();
      await run.worksAgain(world);
      await world.done(finished);
      const failed = world.seen("requestEnded").filter(({ fields, atMs }) => fields.status === 0 && atMs > silentSince);
      expect(failed.length, "requests into the silence").toBeLessThan(20);
      const begunAfter = failed.filter(({ atMs, fields }) => atMs - Number(fields.durationMs) > answersSince);
      expect(begunAfter, "requests that met a silent connection afterwards").toEqual([]);
      return "Nothing was answered for 3.9 s, on old connections and on new ones. Requests ended at their deadlines, one at a time; three finished results were kept and applied.";
    },
  );

  const TYPES = 160;
  fault(
    {
      number: 11,
      group,
      name: `${TYPES} held polls, more than connections`,
      boundMs,
      guard: "two lanes: results have connections of their own",
    },
    async (run) => {
      const names = Array.from({ length: TYPES }, (_, i) => `type${i}`);
      const world = await run.world({
        workers: Object.fromEntries(names.map((name) => [name, { longPollMs: 2_000 }])),
        handler: { maxHeldPolls: TYPES, requestTimeoutMs: 5_000 },
      });
      await until(() => world.proxy.openConnections >= 128);
      const ids = await Promise.all(names.slice(0, 20).map((name) => world.begin(1, {}, name)));
      await world.done(ids.flat(), 15_000);
      run.nothingStopped();
      await until(() => world.seen("taskUpdated").length === 20);
      const updates = world.seen("taskUpdated");
      const slowest = Math.max(...updates.map(({ fields }) => Number(fields.durationMs)));
      expect(slowest, "ms for the slowest result").toBeLessThan(500);
      expect(world.seen("deadlineExceeded")).toEqual([]);
      return "128 polls were held and the others waited for a connection; every result was acknowledged in less than half a second.";
    },
  );
});
