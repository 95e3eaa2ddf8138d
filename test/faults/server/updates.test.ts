import { http, HttpResponse } from "msw";
import { describe, expect } from "vitest";
import type { TaskResult } from "../../../src/index.js";
import { fault } from "../../support/faults/fault.js";
import {
  eventsOf,
  idle,
  latch,
  pollIsHeld,
  sleep,
  taskIdsOf,
  until,
  UPDATE_PATHS,
} from "../../support/faults/helpers.js";
import type { World } from "../../support/faults/world.js";

const group = "Server";
const boundMs = 3_000;
const V2 = "*/tasks/update-v2";

/** The result in a request, without consuming it. */
const resultIn = async (request: Request): Promise<TaskResult> => (await request.clone().json()) as TaskResult;

/** Results whose output says so meet the fault. */
const isMarked = ({ outputData, status }: TaskResult) => status === "COMPLETED" && outputData?.marked === true;
const marking = ({ mode }: Record<string, unknown>) => ({ marked: mode === "marked" });

/** Many tasks at once, so that the next one comes along with an update. */
async function backlog(world: World, count: number): Promise<string[]> {
  await idle(world);
  const ids = await world.begin(count);
  world.handler.resume();
  return ids;
}

describe.concurrent("404 and 405", () => {
  fault(
    { number: 20, group, name: "404 on update: the task is gone", boundMs, guard: "Conductor's 404 is believed" },
    async (run) => {
      const world = await run.world({ gateway: true, worker: { execute: marking } });
      world.gateway.use(
        http.post(UPDATE_PATHS, async ({ request }) => {
          const result = await resultIn(request);
          if (!isMarked(result)) return undefined;
          const message = `No such task found by id: ${result.taskId}`;
          return HttpResponse.json({ status: 404, message, retryable: false }, { status: 404 });
        }),
      );
      const ids = await world.begin(2, { mode: "marked" });
      await until(() => world.seen("taskMoot").length === 2);
      run.injected();
      await run.worksAgain(world);
      const refused = world.gateway.requests.filter(({ status }) => status === 404);
      expect(refused, "attempts").toHaveLength(2);
      for (const id of ids) await world.conductor.terminateWorkflow(id, "as the server had said");
      return "Each result was offered once and left as moot; work went on.";
    },
  );

  fault(
    { number: 20, group, name: "404 on a hand-back: the task is gone", boundMs, guard: "a hand-back has a door, too" },
    async (run) => {
      const world = await run.world({ gateway: true });
      world.gateway.use(
        http.post("*/api/tasks", async ({ request }) => {
          const { taskId, status } = await resultIn(request);
          if (status !== "IN_PROGRESS") return undefined;
          return HttpResponse.json({ status: 404, message: `No such task found by id: ${taskId}` }, { status: 404 });
        }),
      );
      await world.done(await world.begin());
      await pollIsHeld(world);
      world.handler.pause();
      const ids = await world.begin();
      await until(() => world.seen("taskMoot").length === 1);
      expect(world.seen("taskHandedBack")).toEqual([]);
      for (const id of ids) await world.conductor.terminateWorkflow(id, "as the server had said");
      world.handler.resume();
      run.injected();
      await run.worksAgain(world);
      return "A task that came after the pause was to go back, and was gone: it left as moot, once.";
    },
  );

  for (const [variant, status, body] of [
    ["404", 404, { status: 404, message: "No static resource api/tasks/update-v2.", retryable: false }],
    ["404 from a proxy", 404, "<html>not found</html>"],
    ["405", 405, { status: 405, message: "Request method 'POST' is not supported", retryable: false }],
  ] as const) {
    const name = "the server has no update-v2";
    fault({ number: 20, group, name, variant, boundMs, guard: "no such endpoint is not no such task" }, async (run) => {
      const world = await run.world({ gateway: true, worker: { concurrency: 2 } });
      world.gateway.use(
        http.post(V2, () => {
          return typeof body === "string" ? HttpResponse.html(body, { status }) : HttpResponse.json(body, { status });
        }),
      );
      run.injected();
      const ids = await backlog(world, 20);
      await run.worksAgain(world);
      await world.done(ids);
      const asked = world.gateway.requests.filter(({ path }) => path.endsWith("update-v2")).length;
      expect(asked, "requests to update-v2").toBeGreaterThanOrEqual(1);
      // Results that were finished together may each find out.
      expect(asked, "requests to update-v2").toBeLessThanOrEqual(2);
      expect(world.seen("taskMoot")).toEqual([]);
      return "It was asked once, or once for each slot; every result went by POST /tasks.";
    });
  }
});

describe.concurrent("an update is applied, and its answer is lost", () => {
  fault(
    {
      number: 21,
      group,
      name: "an applied update's answer is lost",
      variant: "POST /tasks",
      boundMs,
      guard: "a terminal result may be sent again, and is",
    },
    async (run) => {
      const world = await run.world();
      await world.done(await world.begin());
      const cuts = world.proxy.cutNextAnswer({ when: (head) => head.startsWith("POST /api/tasks ") });
      const ids = await world.begin();
      await until(() => cuts.heads.length === 1);
      run.injected();
      await run.worksAgain(world);
      await world.done(ids);
      await until(() => world.handler.status.inFlight === 0);
      const [taskId = ""] = await taskIdsOf(world, ids);
      const updates = (await world.conductor.ledger()).filter(
        (entry) => entry.kind === "update" && entry.taskId === taskId,
      );
      expect(updates).toMatchObject([{ applied: true }, { applied: false, ignoredReason: "task already ended" }]);
      return "It was sent once more, and the server ignored it; the function ran once.";
    },
  );

  fault(
    {
      number: 21,
      group,
      name: "an applied update's answer is lost",
      variant: "update-v2, with the next task in it",
      boundMs,
      guard: "reclaim after a chain whose answer was lost",
    },
    async (run) => {
      const world = await run.world({ worker: { concurrency: 2, execute: () => sleep(20) } });
      const cuts = world.proxy.cutNextAnswer({
        when: (head) => head.startsWith("POST /api/tasks/update-v2"),
        times: 3,
      });
      const ids = await backlog(world, 20);
      await until(() => cuts.heads.length >= 1);
      run.injected();
      await run.worksAgain(world);
      await world.done(ids, 20_000);
      expect(world.seen("taskReclaimed").length, "tasks that were in lost answers").toBeGreaterThanOrEqual(1);
      for (const { fields } of world.seen("taskReclaimed")) {
        expect(eventsOf(world, "taskStarted", String(fields.taskId))).toHaveLength(1);
      }
      return "The result went again by POST /tasks; the task that had come along was found by its workerId, given back, and run once.";
    },
  );
});

describe.concurrent("a gateway answers in the server's stead", () => {
  for (const [variant, path] of [
    ["504 to a poll that took tasks along", "*/tasks/poll/batch/*"],
    ["502 to an update-v2 that took a task along", "*/tasks/update-v2"],
  ] as const) {
    fault(
      { number: 21, group, name: "a gateway's error for an answer", variant, boundMs, guard: "a lost answer, too" },
      async (run) => {
        const world = await run.world({ gateway: true, worker: { concurrency: 2, execute: () => sleep(20) } });
        let lost = 0;
        world.gateway.use(
          http.all(path, async ({ request }) => {
            const answer = await world.gateway.forward(request);
            const text = await answer.text();
            const hasTask = text.includes('"taskId"');
            if (hasTask && lost === 0) {
              lost += 1;
              return HttpResponse.html("<html>timeout</html>", { status: path.includes("poll") ? 504 : 502 });
            }
            return new HttpResponse(answer.status === 204 ? null : text, {
              status: answer.status,
              headers: { "content-type": answer.headers.get("content-type") ?? "text/plain" },
            });
          }),
        );
        const ids = await backlog(world, 20);
        await until(() => lost === 1);
        run.injected();
        await run.worksAgain(world);
        await world.done(ids, 20_000);
        expect(world.seen("taskReclaimed").length, "tasks that were in the lost answer").toBeGreaterThanOrEqual(1);
        return "The server had handed tasks out, and somebody on the way said otherwise: they were found by their workerId, given back, and run once.";
      },
    );
  }
});

describe.concurrent("updates that are refused for what they are", () => {
  for (const [name, answer] of [
    [
      "400 on update",
      () => HttpResponse.json({ status: 400, message: "Validation failed", retryable: false }, { status: 400 }),
    ],
  ] as const) {
    fault(
      { number: 22, group, name, boundMs, guard: "a refused result becomes a failure that says why" },
      async (run) => {
        const world = await run.world({ gateway: true, worker: { execute: marking } });
        world.gateway.use(
          http.post(UPDATE_PATHS, async ({ request }) => (isMarked(await resultIn(request)) ? answer() : undefined)),
        );
        const [id = ""] = await world.begin(1, { mode: "marked" });
        const { tasks } = await world.conductor.waitForWorkflow(id);
        run.injected();
        await run.worksAgain(world);
        expect(tasks).toHaveLength(1);
        expect(tasks[0]?.status).toBe("FAILED_WITH_TERMINAL_ERROR");
        expect(tasks[0]?.reasonForIncompletion).toContain("the server refused the result");
        expect(world.seen("taskUndeliverable")).toHaveLength(1);
        return "The result was offered once. The task was reported failed for good, with the reason; the result went to an event and the log.";
      },
    );
  }

  fault(
    {
      number: 22,
      group,
      name: "a maintenance page: HTML to every GET, 405 to every POST",
      boundMs: 6_000,
      guard: "what a gateway refuses is no word of the server's",
    },
    async (run) => {
      const held = latch();
      const world = await run.world({ gateway: true, worker: { execute: () => held.released } });
      const ids = await world.begin(5);
      await until(() => world.handler.status.inFlight === 5);
      world.gateway.use(
        http.get("*", () => HttpResponse.html("<html>under maintenance</html>")),
        http.post("*", () => HttpResponse.html("<html>Not Allowed</html>", { status: 405 })),
      );
      held.release();
      await sleep(3_000);
      world.gateway.reset();
      run.injected();
      await run.worksAgain(world);
      await world.done(ids);
      expect(world.seen("taskUndeliverable")).toEqual([]);
      return "For 3 s nothing got through. Five results that were finished meanwhile were kept, and applied once.";
    },
  );

  fault(
    {
      number: 22,
      group,
      name: "one result takes longer than a request may",
      boundMs: 8_000,
      guard: "what does not get through while others do is given more time",
    },
    async (run) => {
      const world = await run.world({ gateway: true, worker: { execute: marking } });
      world.gateway.use(
        http.post(UPDATE_PATHS, async ({ request }) => {
          if (isMarked(await resultIn(request))) await sleep(2_000);
          return world.gateway.forward(request);
        }),
      );
      const [marked = ""] = await world.begin(1, { mode: "marked" });
      await until(() => world.seen("taskUpdateFailed").length > 0);
      await world.done(await world.begin(5));
      run.injected();
      await run.worksAgain(world);
      await world.done([marked]);
      await until(() => world.handler.status.inFlight === 0);
      // Two with more time each; those before, and probes of the gate, get what every request gets.
      expect(world.seen("taskUpdateFailed").length).toBeLessThanOrEqual(5);
      return "It was given more time with each attempt, until its acknowledgement came; nothing else waited for it.";
    },
  );

  for (const isApplied of [false, true]) {
    const variant = isApplied ? "the update was applied" : "the update never arrived";
    fault(
      {
        number: 22,
        group,
        name: "an HTML 200 to an update",
        variant,
        boundMs,
        guard: "an acknowledgement is the task's id, not a status",
      },
      async (run) => {
        const world = await run.world({ gateway: true, worker: { execute: marking } });
        let met = 0;
        world.gateway.use(
          http.post(UPDATE_PATHS, async ({ request }) => {
            if (met > 0 || !isMarked(await resultIn(request))) return undefined;
            met += 1;
            if (isApplied) await world.gateway.forward(request);
            return HttpResponse.html("<html>please log in</html>");
          }),
        );
        const ids = await world.begin(1, { mode: "marked" });
        await until(() => met === 1);
        run.injected();
        await run.worksAgain(world);
        await world.done(ids);
        return isApplied
          ? "It was not taken for an acknowledgement: the result went once more, and the server ignored it."
          : "It was not taken for an acknowledgement: the result went again, and was applied.";
      },
    );
  }
});

describe.concurrent("a task that comes too late", () => {
  fault(
    {
      number: 23,
      group,
      name: "a poll is answered after stop began",
      boundMs,
      guard: "a poll under way is waited for",
    },
    async (run) => {
      const world = await run.world();
      await world.done(await world.begin());
      await pollIsHeld(world);
      const stopped = world.handler.stop();
      const ids = await world.begin();
      await stopped;
      const [taskId = ""] = await taskIdsOf(world, ids);
      expect(eventsOf(world, "taskStarted", taskId)).toEqual([]);
      expect(eventsOf(world, "taskHandedBack", taskId)).toMatchObject([{ fields: { reason: "stopping" } }]);
      expect(await world.conductor.task(taskId)).toMatchObject({ status: "SCHEDULED" });
      await world.handler.start();
      run.injected();
      await run.worksAgain(world);
      await world.done(ids);
      return "It was handed back before the stop had ended, not run; who polled next got it at once.";
    },
  );

  for (const how of ["pause", "stop"] as const) {
    fault(
      {
        number: 23,
        group,
        name: `a chained task comes after ${how} began`,
        boundMs,
        guard: "what comes after the end is handed back",
      },
      async (run) => {
        const world = await run.world({ gateway: true, worker: { concurrency: 1 } });
        const began = latch();
        let stopping: Promise<void> | undefined;
        world.gateway.use(
          http.post(V2, async ({ request }) => {
            const answer = await world.gateway.forward(request);
            if (stopping !== undefined || answer.status !== 200) return answer;
            stopping = how === "stop" ? world.handler.stop() : Promise.resolve(world.handler.pause());
            began.release();
            return answer;
          }),
        );
        const ids = await backlog(world, 20);
        await began.wait("a chained task to come");
        await stopping;
        await until(() => world.seen("taskHandedBack").length > 0);
        const reason = how === "stop" ? "stopping" : "paused";
        expect(world.seen("taskHandedBack")).toMatchObject([{ fields: { reason } }]);
        if (how === "stop") await world.handler.start();
        else world.handler.resume();
        run.injected();
        await run.worksAgain(world);
        await world.done(ids);
        return "It was handed back at once, not run; it was done after the worker had come back.";
      },
    );
  }
});
