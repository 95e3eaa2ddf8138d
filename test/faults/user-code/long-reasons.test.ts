import { http, HttpResponse } from "msw";
import { describe, expect } from "vitest";
import type { Logger, TaskResult, WorkerEventName } from "../../../src/index.js";
import { fault, type FaultRun } from "../../support/faults/fault.js";
import { UPDATE_PATHS } from "../../support/faults/helpers.js";
import type { Input } from "../../support/faults/world.js";

const LONG = "😀 no ".repeat(1_000_000);
/** What a text may become that is repeated in events and in the log. */
const MAX_CHARACTERS = 40_000;
const EVENTS: readonly WorkerEventName[] = [
  "taskFailed",
  "taskUpdateFailed",
  "taskUndeliverable",
  "pollFailed",
  "taskMoot",
];

/** A world that remembers the longest thing it says, in characters of JSON. */
async function talkingWorld(run: FaultRun, execute: (input: Input) => unknown) {
  let longest = 0;
  const measure = (said: object) => {
    const texts = JSON.stringify(said, (_key, value: unknown) =>
      value instanceof Error && !value.message.startsWith(LONG.slice(0, 100))
        ? { ...value, message: value.message }
        : value,
    );
    longest = Math.max(longest, texts.length);
  };
  const write = (fields: object, msg: string) => {
    measure({ ...fields, msg });
  };
  const logger: Logger = { debug: write, info: write, warn: write, error: write };
  const world = await run.world({ gateway: true, worker: { execute }, handler: { logger } });
  for (const name of EVENTS) world.handler.on(name, measure);
  return { world, longestSaid: () => longest };
}

describe.concurrent("reasons of megabytes", () => {
  fault(
    {
      number: 58,
      group: "Bounds",
      name: "a reason of megabytes",
      variant: "a function's",
      boundMs: 2_000,
      guard: "a reason is cut where it is made",
    },
    async (run) => {
      const { world, longestSaid } = await talkingWorld(run, ({ mode }) => {
        if (mode === "throws") throw new Error(LONG);
        return { done: true };
      });
      const [id = ""] = await world.begin(1, { mode: "throws" });
      const { tasks } = await world.conductor.waitForWorkflow(id, { timeoutMs: 20_000 });
      run.injected();
      await run.worksAgain(world);
      for (const { status, reasonForIncompletion = "" } of tasks) {
        expect(status).toBe("FAILED");
        expect(reasonForIncompletion).toMatch(/^😀 no .*…$/u);
        expect(reasonForIncompletion.length).toBeLessThanOrEqual(500);
      }
      expect(longestSaid()).toBeLessThan(MAX_CHARACTERS);
      return "A function threw an error with a message of 5 million characters, four times. The server got 500 of them, events and log lines 2000, the task's log its stack with the frames, each with a mark where it was cut.";
    },
  );

  fault(
    {
      number: 58,
      group: "Bounds",
      name: "a reason of megabytes",
      variant: "the server's",
      boundMs: 2_000,
      guard: "what a server says is cut where it comes in",
    },
    async (run) => {
      const { world, longestSaid } = await talkingWorld(run, ({ mode }) => ({ mode }));
      world.gateway.use(
        http.post(UPDATE_PATHS, async ({ request }) => {
          const { outputData } = (await request.clone().json()) as TaskResult;
          if (outputData?.mode !== "refused") return undefined;
          // As much as an answer may have in all.
          const long = LONG.slice(0, 1_000_000);
          const validationErrors = Array.from({ length: 3 }, () => ({
            path: long,
            message: long,
            invalidValue: [long],
          }));
          const body = { status: 400, message: long, retryable: false, validationErrors };
          return HttpResponse.json(body, { status: 400 });
        }),
      );
      const [id = ""] = await world.begin(1, { mode: "refused" });
      const { tasks } = await world.conductor.waitForWorkflow(id, { timeoutMs: 20_000 });
      run.injected();
      await run.worksAgain(world);
      expect(tasks).toMatchObject([{ status: "FAILED_WITH_TERMINAL_ERROR" }]);
      expect(tasks[0]?.reasonForIncompletion).toMatch(/^the server refused the result: 😀 no .*…$/u);
      expect(longestSaid()).toBeGreaterThan(1_000);
      expect(longestSaid()).toBeLessThan(MAX_CHARACTERS);
      return "A refusal had a message and validation errors of a million characters each. Of no text of it more than 2000 went into events, the log and the reason of the failure.";
    },
  );
});
