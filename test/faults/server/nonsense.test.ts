import { http, HttpResponse, type DefaultBodyType } from "msw";
import { describe, expect } from "vitest";
import type { Task } from "../../../src/index.js";
import { fault } from "../../support/faults/fault.js";
import { eventsOf, latch, pollIsHeld, sleep, taskIdsOf, until } from "../../support/faults/helpers.js";
import type { World } from "../../support/faults/world.js";
import type { Gateway } from "../../support/servers/gateway.js";

const group = "Server";
const boundMs = 6_000;
const POLLS = "*/tasks/poll/batch/work";

/** Changes the tasks in the answers to polls, as long as `change` gives others. */
function changePolls(gateway: Gateway, change: (tasks: Task[], request: Request) => unknown): void {
  gateway.use(
    http.get(POLLS, async ({ request }) => {
      const answer = await gateway.forward(request);
      const text = await answer.text();
      if (answer.status !== 200) return new HttpResponse(text, { status: answer.status });
      return HttpResponse.json(change(JSON.parse(text) as Task[], request) as Task[]);
    }),
  );
}

const once = <T>(work: (tasks: Task[]) => T) => {
  let isDone = false;
  return (tasks: Task[]): Task[] | T => {
    if (isDone || tasks.length === 0) return tasks;
    isDone = true;
    return work(tasks);
  };
};

describe.concurrent("answers that are none of Conductor's, to everything, for 3 s", () => {
  const asJson = (body: string) => () => new HttpResponse(body, { headers: { "content-type": "application/json" } });
  const answers: [string, () => HttpResponse<DefaultBodyType>][] = [
    ["HTML with status 200", () => HttpResponse.html("<html>maintenance</html>")],
    ["{}", asJson("{}")],
    ["null", asJson("null")],
    ["a string", asJson('"maintenance"')],
    ["204", () => new HttpResponse(null, { status: 204 })],
    ["no Content-Type", () => new HttpResponse(new TextEncoder().encode("maintenance"))],
    ["truncated JSON", asJson('[{"taskId":"1","workflowInst')],
  ];
  for (const [variant, answer] of answers) {
    fault(
      {
        number: 17,
        group,
        name: "nonsense with status 200",
        variant,
        boundMs,
        guard: "an answer is checked before anything is counted",
      },
      async (run) => {
        const held = latch();
        let begun = 0;
        const execute = async ({ mode }: Record<string, unknown>) => {
          if (mode !== "held") return;
          begun += 1;
          await held.released;
        };
        const world = await run.world({ gateway: true, worker: { execute } });
        const ids = await world.begin(3, { mode: "held" });
        await until(() => begun === 3);
        world.gateway.use(http.all("*", answer));
        // To a poll, 204 is what old servers say when there is nothing.
        const isNone = variant === "204";
        if (!isNone) await until(() => world.seen("pollFailed").length > 0);
        const before = world.gateway.requests.length;
        held.release();
        await sleep(3_000);
        expect(world.gateway.requests.length - before, "requests in 3 s").toBeLessThan(isNone ? 20 : 12);
        expect(world.handler.status.inFlight).toBe(3);
        world.gateway.reset();
        run.injected();
        await run.worksAgain(world);
        await world.done(ids, boundMs);
        return "No counter moved: three finished results were taken for unacknowledged, kept, and applied once.";
      },
    );
  }
});

describe.concurrent("tasks that are none", () => {
  const name = "malformed tasks";

  fault(
    {
      number: 17,
      group,
      name,
      variant: "neighbours without ids",
      boundMs,
      guard: "each task of an answer is checked by itself",
    },
    async (run) => {
      const world = await run.world({ gateway: true });
      await world.done(await world.begin());
      let met = 0;
      changePolls(
        world.gateway,
        once((tasks) => {
          met += 1;
          return [{}, null, "task", { taskId: 7 }, { taskId: "" }, ...tasks];
        }),
      );
      await pollIsHeld(world);
      const ids = await world.begin(3);
      run.injected();
      await run.worksAgain(world);
      await world.done(ids);
      expect(met).toBe(1);
      await until(() => world.handler.status.inFlight === 0);
      return "Five things without ids came before the tasks of an answer. They were logged; the tasks were run.";
    },
  );

  fault(
    { number: 17, group, name, variant: "of another type", boundMs, guard: "a task of another type is given back" },
    async (run) => {
      const executed: unknown[] = [];
      const other = { paused: true, execute: (input: Record<string, unknown>) => void executed.push(input.mode) };
      const world = await run.world({ gateway: true, workers: { work: {}, other } });
      const ids = await world.begin(1, { mode: "stray" }, "other");
      let isDone = false;
      world.gateway.use(
        http.get(POLLS, async ({ request }) => {
          if (isDone) return undefined;
          isDone = true;
          const { pathname, search } = new URL(request.url);
          return world.gateway.forward(request, pathname.replace("batch/work", "batch/other") + search);
        }),
      );
      await until(() => world.seen("taskHandedBack").length === 1);
      run.injected();
      await run.worksAgain(world);
      expect(world.seen("taskHandedBack")[0]?.fields.reason).toBe("notOurs");
      world.handler.resume("other");
      await world.done(ids);
      expect(executed).toEqual(["stray"]);
      return "It was given back after some seconds' delay, and run by the worker of its type.";
    },
  );

  const wrong: [string, (task: Task) => unknown][] = [
    ["inputData is a string", (task) => ({ ...task, inputData: "text" })],
    ["responseTimeoutSeconds is a string", (task) => ({ ...task, responseTimeoutSeconds: "10" })],
    ["pollCount is an array", (task) => ({ ...task, pollCount: [1] })],
  ];
  for (const [what, change] of wrong) {
    fault(
      { number: 17, group, name, variant: what, boundMs, guard: "a malformed task is reported failed, and not run" },
      async (run) => {
        const world = await run.world({ gateway: true });
        await world.done(await world.begin());
        changePolls(
          world.gateway,
          once((tasks) => tasks.map(change)),
        );
        await pollIsHeld(world);
        const ids = await world.begin();
        const { status, tasks } = await world.conductor.waitForWorkflow(ids[0] ?? "");
        run.injected();
        await run.worksAgain(world);
        expect(status).toBe("FAILED");
        expect(tasks[0]).toMatchObject({ status: "FAILED_WITH_TERMINAL_ERROR" });
        expect(tasks[0]?.reasonForIncompletion).toContain(what.split(" ")[0]);
        expect(eventsOf(world, "taskStarted", tasks[0]?.taskId ?? "")).toEqual([]);
        return "It was not run, and reported failed for good with the name of the field.";
      },
    );
  }

  fault(
    { number: 17, group, name: "an input of 20 MB", boundMs, guard: "bodies are bounded by 256 MiB, not by accident" },
    async (run) => {
      const lengths: unknown[] = [];
      const execute = ({ data }: Record<string, unknown>) =>
        void lengths.push(typeof data === "string" ? data.length : data);
      const world = await run.world({ worker: { execute }, handler: { requestTimeoutMs: 10_000 } });
      const ids = await world.begin(1, { data: "x".repeat(19_900_000) });
      run.injected();
      await world.done(ids, boundMs);
      run.recovered();
      expect(lengths).toEqual([19_900_000]);
      return "It arrived whole, and the task was done.";
    },
  );
});

describe.concurrent("more than was asked for", () => {
  fault(
    { number: 18, group, name: "more tasks than asked", boundMs, guard: "what finds no slot is given back at once" },
    async (run) => {
      let running = 0;
      let most = 0;
      const execute = async () => {
        most = Math.max(most, ++running);
        await sleep(100);
        running -= 1;
      };
      const world = await run.world({ gateway: true, worker: { concurrency: 2, execute } });
      world.gateway.use(
        http.get(POLLS, ({ request }) => {
          const { pathname, search } = new URL(request.url);
          return world.gateway.forward(request, pathname + search.replace(/count=\d+/, "count=8"));
        }),
      );
      run.injected();
      const ids = await world.begin(24);
      await run.worksAgain(world);
      world.gateway.reset();
      await world.done(ids, 20_000);
      expect(most).toBe(2);
      const surplus = world.seen("taskHandedBack").filter(({ fields }) => fields.reason === "surplus");
      expect(surplus.length).toBeGreaterThanOrEqual(4);
      return "Eight tasks came where two at most were asked for. Never more than two ran; the others went back to the queue at once, and were done in their turn.";
    },
  );

  const name = "the same task twice";
  const guard = "one execution answers both";
  const twice = async (world: World, ids: readonly string[]) => {
    const taskIds = await taskIdsOf(world, ids);
    for (const taskId of taskIds) expect(eventsOf(world, "taskStarted", taskId), "executions").toHaveLength(1);
  };

  fault({ number: 19, group, name, variant: "in one answer", boundMs, guard }, async (run) => {
    const world = await run.world({ gateway: true, worker: { execute: () => sleep(50) } });
    let met = 0;
    changePolls(world.gateway, (tasks) => {
      met += tasks.length;
      return tasks.flatMap((task) => [task, task]);
    });
    run.injected();
    const ids = await world.begin(5);
    await run.worksAgain(world);
    await world.done(ids);
    expect(met).toBeGreaterThanOrEqual(1);
    await twice(world, ids);
    return "Each ran once, and its result answered both.";
  });

  fault({ number: 19, group, name, variant: "in a later answer, while it runs", boundMs, guard }, async (run) => {
    const held = latch();
    const execute = ({ mode }: Record<string, unknown>) => (mode === "held" ? held.released : undefined);
    const world = await run.world({ gateway: true, worker: { execute } });
    let known: Task[] = [];
    let repeats = 0;
    changePolls(world.gateway, (tasks) => {
      if (known.length === 0) known = tasks;
      else if (repeats < 3) {
        repeats += 1;
        return [...known, ...tasks];
      }
      return tasks;
    });
    run.injected();
    const ids = await world.begin(1, { mode: "held" });
    await until(() => repeats === 3);
    await run.worksAgain(world);
    held.release();
    await world.done(ids);
    await twice(world, ids);
    return "Three more answers named a task that was running. It ran once.";
  });

  fault({ number: 19, group, name, variant: "a whole answer, twice on the wire", boundMs, guard }, async (run) => {
    const world = await run.world({ worker: { execute: () => sleep(50) } });
    await world.done(await world.begin());
    const copies = world.proxy.duplicateNextAnswer({
      when: (head) => head.startsWith("GET /api/tasks/poll"),
      times: 3,
    });
    const ids = await world.begin(3);
    await until(() => copies.heads.length === 3);
    run.injected();
    await run.worksAgain(world);
    await world.done(ids);
    await twice(world, ids);
    return "The second copy answered nothing that was asked: its connection was given up, and nothing ran twice.";
  });
});
