import { http } from "msw";
import { describe, expect } from "vitest";
import type { Logger, TaskResult } from "../../../src/index.js";
import { fault } from "../../support/faults/fault.js";
import { UPDATE_PATHS } from "../../support/faults/helpers.js";
import type { World } from "../../support/faults/world.js";

const group = "User code";
const boundMs = 2_000;
const TASKS = 40;
const never = () => new Promise(() => {});

function slow(): void {
  const endAt = performance.now() + 5;
  while (performance.now() < endAt);
}

/** What listeners and loggers do that they should not. */
const TROUBLES: readonly [variant: string, what: () => unknown][] = [
  [
    "throws",
    () => {
      throw new Error("not my day");
    },
  ],
  ["rejects", () => Promise.reject(new Error("not my day"))],
  ["hangs", never],
  ["is slow", slow],
];

describe.concurrent("what listens", () => {
  for (const [variant, trouble] of TROUBLES) {
    const guard = "listeners are isolated and never awaited";
    fault(
      { number: 30, group, name: "a listener misbehaves", variant: `it ${variant}`, boundMs, guard },
      async (run) => {
        const world = await run.world({ start: false });
        const met = new Set<string>();
        for (const name of ["pollCompleted", "taskStarted", "taskExecuted", "taskUpdated", "requestEnded"] as const) {
          world.handler.on(name, () => {
            met.add(name);
            return trouble();
          });
        }
        await workThrough(world);
        run.nothingStopped();
        expect(met.size).toBe(5);
        return variant === "is slow"
          ? "It computes for 5 ms at each event, and costs that and no more."
          : "The error, if there was one, was logged; nothing waited.";
      },
    );

    fault(
      {
        number: 30,
        group,
        name: "a logger misbehaves",
        variant: `it ${variant}`,
        boundMs,
        guard: "a log line is not worth a task",
      },
      async (run) => {
        let lines = 0;
        const write = () => {
          lines += 1;
          return trouble() as undefined;
        };
        const logger: Logger = {
          debug: write,
          info: write,
          warn: write,
          error: write,
          child: () => trouble() as Logger,
        };
        const world = await run.world({
          start: false,
          handler: { logger },
          worker: {
            execute: (_input, { logger: own }) => {
              own.info({}, "at work");
              return {};
            },
          },
        });
        await workThrough(world);
        run.nothingStopped();
        expect(lines).toBeGreaterThan(TASKS);
        return "No line was worth a task: functions that log did not see it, and nothing waited.";
      },
    );
  }
});

/** Tasks that are there at the start are done within 5 s. */
async function workThrough(world: World): Promise<void> {
  const ids = await world.begin(TASKS);
  await world.handler.start();
  await world.done(ids, 5_000);
}

describe.concurrent("what tasks carry", () => {
  fault(
    {
      number: 31,
      group,
      name: "1,000 log lines in a task",
      boundMs,
      guard: "log lines are joined into the ten that the server keeps",
    },
    async (run) => {
      const logs: string[] = [];
      let entries = 0;
      const world = await run.world({
        gateway: true,
        worker: {
          execute: ({ mode }, { log }) => {
            if (mode !== "logs") return;
            for (let line = 0; line < 1_000; line++) log(`line ${line}`);
          },
        },
      });
      world.gateway.use(
        http.post(UPDATE_PATHS, async ({ request }) => {
          const { logs: sent = [] } = (await request.clone().json()) as TaskResult;
          entries += sent.length;
          logs.push(...sent.flatMap(({ log }) => log.split("\n")));
          return undefined;
        }),
      );
      run.injected();
      const ids = await world.begin(1, { mode: "logs" });
      await run.worksAgain(world);
      await world.done(ids);
      expect(entries).toBe(10);
      expect(logs).toEqual(Array.from({ length: 1_000 }, (_, line) => `line ${line}`));
      return "They went with the result, in ten entries: the server keeps no more. None was lost.";
    },
  );

  fault(
    {
      number: 31,
      group,
      name: "an input with keys like `__proto__`",
      boundMs,
      guard: "inputs are data, and are copied nowhere",
    },
    async (run) => {
      const data = JSON.parse(
        '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"then":"no promise"}',
      );
      const world = await run.world({
        worker: { execute: ({ data: seen }) => ({ keys: Object.keys(seen ?? {}), seen }) },
      });
      run.injected();
      const ids = await world.begin(1, { data });
      await run.worksAgain(world);
      const [workflow] = await world.done(ids);
      expect(workflow?.tasks[0]?.outputData.keys).toEqual(["__proto__", "constructor", "then"]);
      expect(JSON.stringify(workflow?.tasks[0]?.outputData.seen)).toBe(JSON.stringify(data));
      expect(({} as Record<string, unknown>).polluted).toBeUndefined();
      return "The function got them as its input's own keys, and they went into its output the same way; no prototype was touched.";
    },
  );
});
