import { describe, expect, test } from "vitest";
import type { Reply } from "../../../../src/conductor/reply.js";
import type { TaskApi } from "../../../../src/conductor/task-api.js";
import { inProgress } from "../../../../src/worker/in-progress.js";
import type { ModelServer } from "../../../support/servers/model-server.js";
import {
  createScriptedWorld,
  failed,
  lostAnswer,
  nonsense,
  record,
  refused,
  unreachable,
} from "../../../support/unit/runner.js";
import { workerConfig } from "../../../support/unit/runner-world.js";

type Failed = Exclude<Reply<never>, { kind: "answered" }>;
type Method = Exclude<keyof TaskApi, "log" | "logs">;

/** The states that an answer to one kind of request can lead into, by that request. */
const METHODS: readonly (readonly Method[])[] = [
  ["pollBatch"], // a task type whose polls are refused; a queue taken for hollow
  ["update"], // results that wait, are suspected, given up; leases that cannot be extended; hand-backs
  ["updateV2"], // no chaining
  ["get"], // looks that are refused; a search that does not end
  ["queueSizes"], // sizes that are not told: turns
  ["pending"], // a search that is not allowed
  ["update", "updateV2"],
  ["get", "queueSizes", "pending"],
  ["pollBatch", "update", "updateV2"],
  ["pollBatch", "update", "updateV2", "get", "queueSizes", "pending"], // the server is away
];

const ANSWERS: readonly (readonly [string, Failed])[] = [
  ...[302, 400, 401, 403, 404, 405, 409, 413, 429, 500, 501, 503].map(
    (status) => [`a stranger's ${status}`, refused(status)] as const,
  ),
  ["a stranger's 429 with a Retry-After of an hour", refused(429, undefined, { retryAfterMs: 3_600_000 })],
  ["a stranger's 403 with a Retry-After", refused(403, undefined, { retryAfterMs: 30_000 })],
  ["Conductor's 401", refused(401, "no token")],
  ["Conductor's 403", refused(403, "no rights")],
  ["Conductor's 405", refused(405, "Request method is not supported")],
  ["Conductor's 500, retryable", refused(500, "boom", { retryable: true })],
  ["Conductor's 500", refused(500, "boom", { retryable: false })],
  ["Conductor's 503", refused(503, "later")],
  ["nonsense with status 200", nonsense()],
  ["a lost answer", lostAnswer()],
  ["a refused connection", unreachable()],
  ["a deadline", failed("maybeApplied", "DEADLINE_EXCEEDED")],
];

const TYPES = 8;
const HEAL_AFTER_MS = 40_000;

/** A worker of eight task types and two held polls, whose requests get `answer` from the first second on until they heal. */
async function live(methods: readonly Method[], answer: Failed) {
  let isHealed = false;
  const workers = Array.from({ length: TYPES }, (_, i) =>
    workerConfig(
      `t${i}`,
      async (input, ctx) => {
        // Every second type is slow enough for looks and leases; one puts its tasks back once.
        if (i === 1 && ctx.pollCount === 1) return inProgress({ callbackAfterSeconds: 1 });
        if (i % 2 === 0) await world.sleep(i === 2 && ctx.taskId.endsWith("-2") ? 12_000 : 300);
        return { input };
      },
      { concurrency: 3, executionTimeoutMs: 60_000 },
    ),
  );
  const script = (model: ModelServer): Partial<TaskApi> =>
    Object.fromEntries(
      methods.map((method) => [
        method,
        async (...args: unknown[]) => {
          if (!isHealed && world.clock.now() > 1_000) {
            await world.sleep(1);
            return answer;
          }
          return (model[method] as (...args: unknown[]) => unknown).apply(model, args);
        },
      ]),
    );
  const world = createScriptedWorld(workers, script, { maxHeldPolls: 2, cancellationCheckMs: 3_000 });
  const undeliverable = record(world, "taskUndeliverable");
  world.group.start();
  let pushed = 0;
  const push = (count: number) => {
    for (let n = 0; n < count; n += 1)
      for (let i = 0; i < TYPES; i += 1)
        world.server.push(`t${i}-${pushed++}`, `t${i}`, { responseTimeoutSeconds: 10 });
  };
  push(2);
  await world.clock.advanceAsync(900);
  push(8);
  await world.clock.advanceAsync(HEAL_AFTER_MS - 900);
  isHealed = true;
  return { world, push, undeliverable };
}

describe("no answer leads into a state without a way out", () => {
  describe.each(METHODS.map((methods) => [methods.join(", "), methods] as const))("to %s", (_names, methods) => {
    test.each(ANSWERS)("%s: a minute after it has ended all is as before", async (_name, answer) => {
      const { world, push, undeliverable } = await live(methods, answer);
      await world.clock.advanceAsync(60_000);
      const before = world.server.count("COMPLETED");
      push(1);
      await world.clock.advanceAsync(20_000);
      expect(world.server.count("COMPLETED")).toBe(before + TYPES);
      expect(world.group.status).toMatchObject({
        inFlight: 0,
        resultsWaiting: 0,
        outboxFull: false,
        serverReachable: true,
      });
      for (const runner of world.group.status.runners) {
        expect(runner).toMatchObject({ state: "polling", running: 0, pollsFailing: undefined });
      }
      expect(world.server.violations).toEqual([]);
      // Alone for 40 s, with others passing beside them, results may be shown to be refused for what they are.
      if (methods.includes("pollBatch")) expect(undeliverable).toEqual([]);
    });
  });
});
