import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inProgress } from "../../../src/worker/in-progress.js";
import type { Fate } from "../../support/servers/model-server.js";
import { createWorld, workerConfig } from "../../support/unit/runner-world.js";

/** What the function does with a task; the number is how long it takes, in ms. */
type Behaviour =
  { kind: "returns" | "throws" | "ignoresItsDeadline"; ms: number } | { kind: "givesBack"; ms: number; times: number };

type Step =
  | { kind: "push"; behaviour: Behaviour; times: number }
  | { kind: "advance"; ms: number }
  | { kind: "pause" | "resume" }
  | { kind: "concurrency"; value: number }
  | { kind: "trouble"; fates: Fate[] }
  | { kind: "latency"; ms: number };

const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  fc.record({ kind: fc.constant("returns" as const), ms: fc.integer({ min: 0, max: 300 }) }),
  fc.record({ kind: fc.constant("throws" as const), ms: fc.integer({ min: 0, max: 50 }) }),
  fc.record({ kind: fc.constant("ignoresItsDeadline" as const), ms: fc.constant(0) }),
  fc.record({
    kind: fc.constant("givesBack" as const),
    ms: fc.integer({ min: 0, max: 50 }),
    times: fc.integer({ min: 1, max: 2 }),
  }),
);
const fate = fc.constantFrom<Fate>(
  "ok",
  "ok",
  "notSent",
  "lostRequest",
  "lostAnswer",
  "unavailable",
  "serverError",
  "nonsense",
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("push" as const), behaviour, times: fc.constantFrom(1, 1, 2, 6) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("advance" as const), ms: fc.integer({ min: 0, max: 3000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("pause" as const, "resume" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("concurrency" as const), value: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("trouble" as const), fates: fc.array(fate, { maxLength: 6 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("latency" as const), ms: fc.constantFrom(0, 1, 40, 700) }) },
);

async function play(steps: readonly Step[], concurrency: number, stopWithin: number): Promise<void> {
  const behaviours = new Map<string, Behaviour>();
  const executions = new Map<string, number[]>();
  const finished = new Set<string>();
  let limit = concurrency;
  let running = 0;
  const problems: string[] = [];

  const worker = workerConfig(
    "t",
    async (_input, ctx) => {
      running += 1;
      if (running > limit) problems.push(`${running} run, and ${limit} may`);
      // The slot of a function that ignores its deadline is free again, and it does not count any more.
      let counted = true;
      const uncount = () => {
        if (counted) running -= 1;
        counted = false;
      };
      ctx.signal.addEventListener("abort", uncount);
      const seen = executions.get(ctx.taskId) ?? [];
      if (seen.includes(ctx.pollCount)) problems.push(`${ctx.taskId}: hand-out ${ctx.pollCount} ran twice`);
      if (finished.has(ctx.taskId)) problems.push(`${ctx.taskId}: ran again after it had finished`);
      executions.set(ctx.taskId, [...seen, ctx.pollCount]);
      const does = behaviours.get(ctx.taskId)!;
      if (does.kind === "ignoresItsDeadline") return new Promise<never>(() => {});
      await world.sleep(does.ms);
      uncount();
      if (ctx.signal.aborted) return {};
      if (does.kind === "givesBack" && seen.length < does.times) return inProgress({ callbackAfterSeconds: 1 });
      finished.add(ctx.taskId);
      if (does.kind === "throws") throw new Error("no");
      return {};
    },
    { concurrency, executionTimeoutMs: 500 },
  );
  const world = createWorld([worker]);
  const { clock, server, group } = world;
  const runner = group.runners[0]!;
  const undeliverable = new Set<string>();
  world.events.on("taskUndeliverable", ({ taskId }) => undeliverable.add(taskId));
  let fates: Fate[] = [];
  server.fate = () => fates.shift() ?? "ok";
  group.start();

  for (const action of steps) {
    switch (action.kind) {
      case "push":
        for (let i = 0; i < action.times; i += 1) {
          const taskId = `task-${behaviours.size}`;
          behaviours.set(taskId, action.behaviour);
          server.push(taskId, "t");
        }
        break;
      case "latency":
        server.latencyMs = () => action.ms;
        break;
      case "advance":
        await clock.advanceAsync(action.ms);
        break;
      case "pause":
        runner.pause();
        break;
      case "resume":
        runner.resume();
        break;
      case "concurrency":
        // Lowered, it holds for what begins later.
        limit = Math.max(limit, action.value);
        runner.setConcurrency(action.value);
        break;
      case "trouble":
        fates = [...action.fates];
        break;
    }
  }

  fates = [];
  server.latencyMs = () => 1;
  let stopped = false;
  const draining = group.drain(stopWithin).then((report) => {
    stopped = true;
    return report;
  });
  for (let i = 0; i < 60 && !stopped; i += 1) await clock.advanceAsync(1_000);
  expect(stopped, "the drain ends").toBe(true);
  const report = await draining;

  expect(problems).toEqual([]);
  expect(server.violations).toEqual([]);
  expect(report.leftInFlight).toBe(0);
  expect(runner.status.running).toBe(0);
  for (const [taskId, { status, handOutLost }] of server.tasks) {
    if (undeliverable.has(taskId)) continue;
    if (status === "IN_PROGRESS" && !handOutLost)
      expect.fail(`${taskId} was handed out, reached us, and was neither reported nor handed back`);
    if (finished.has(taskId) && status !== "COMPLETED" && status !== "FAILED")
      expect.fail(`${taskId} had finished, and its result was lost: ${status}`);
  }
}

describe("a runner group under random faults", () => {
  test("whatever happens, each task leaves by one door and every slot comes back", { timeout: 120_000 }, async () => {
    const seed = Number(process.env.OSTINATO_SEED ?? Date.now() % 2 ** 31);
    const numRuns = Number(process.env.OSTINATO_RUNS ?? 10_000);
    console.info(`seed ${seed}, ${numRuns} runs`);
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 25 }),
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom(0, 1_000, 25_000),
        play,
      ),
      { numRuns, seed },
    );
  });
});
