import { http, HttpResponse } from "msw";
import { afterEach, describe, expect, test } from "vitest";
import { defineWorker, TaskHandler } from "../../src/index.js";
import { makeTask, startConductorStub, type ServedConductorStub } from "../support/conductor-stub.js";
import { silentLogger } from "../support/runner-world.js";
import { waitFor } from "../support/wait-for.js";

const AWAY_MS = 30_000;

interface Fault {
  readonly name: string;
  begin(served: ServedConductorStub): void | Promise<void>;
  end(served: ServedConductorStub): void | Promise<void>;
  /** From the server's return to the first task done, in ms. */
  readonly boundMs: number;
  /** Requests in the first 30 s, where the server answers at all. */
  readonly maxRequests?: number;
}

const answers = (name: string, answer: () => HttpResponse<string | null>): Fault => ({
  name,
  begin: ({ server }) => {
    server.use(http.all("*", answer));
  },
  end: ({ server }) => {
    server.reset();
  },
  boundMs: 6_000,
  maxRequests: 12,
});

const REQUEST_TIMEOUT_MS = 3_000;
const LONG_POLL_MS = 2_000;

const faults: Fault[] = [
  answers("HTML with status 200", () => HttpResponse.html("<html>maintenance</html>")),
  answers("{}", () => new HttpResponse("{}", { headers: { "content-type": "application/json" } })),
  answers("null", () => new HttpResponse("null", { headers: { "content-type": "application/json" } })),
  answers("503", () => new HttpResponse("no upstream", { status: 503 })),
  answers(
    "503 with Retry-After: 1",
    () => new HttpResponse("no upstream", { status: 503, headers: { "retry-after": "1" } }),
  ),
  answers("429", () => new HttpResponse("slow down", { status: 429 })),
  {
    ...answers(
      "500 as Conductor says it",
      () => new HttpResponse(JSON.stringify({ status: 500, message: "boom", retryable: false }), { status: 500 }),
    ),
    // It may be the result's own fault, so each of the five has tries of its own.
    maxRequests: 40,
  },
  {
    name: "closes every connection",
    begin: ({ server }) => server.fault("close"),
    end: ({ server }) => server.fault("none"),
    boundMs: 6_000,
  },
  {
    name: "refuses connections",
    begin: ({ server }) => server.fault("refuse"),
    end: ({ server }) => server.fault("none"),
    boundMs: 3_000,
  },
  {
    name: "answers nothing",
    begin: ({ server }) => server.fault("silent"),
    end: ({ server }) => server.fault("none"),
    boundMs: LONG_POLL_MS + REQUEST_TIMEOUT_MS + 1_000,
  },
];

describe.concurrent(`a server that is away for ${AWAY_MS / 1000} s`, () => {
  const open: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.stop()));
  });

  test.for(faults)("$name: work goes on, and every finished result is applied once", async (fault) => {
    const served = await startConductorStub();
    const { stub, server } = served;
    const executions = new Map<string, number>();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const handler = new TaskHandler({
      serverUrl: served.serverUrl,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      logger: silentLogger,
      workers: [
        defineWorker({
          taskDefName: "work",
          concurrency: 10,
          longPollMs: LONG_POLL_MS,
          execute: async (input: { hold?: boolean }, ctx) => {
            executions.set(ctx.taskId, (executions.get(ctx.taskId) ?? 0) + 1);
            if (input.hold === true) await held;
            return { done: ctx.taskId };
          },
        }),
      ],
    });
    await handler.start();
    try {
      const before = Array.from({ length: 5 }, () =>
        makeTask({ taskType: "work", taskDefName: "work", inputData: { hold: true } }),
      );
      stub.push(...before);
      await waitFor(() => executions.size === before.length, { boundMs: 5_000, what: "five tasks to begin" });

      await fault.begin(served);
      const requestsBefore = server.requests.length;
      release();
      await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
      // The five results are sent at the same moment, before anybody can know.
      const requests = server.requests.length - requestsBefore - (before.length - 1);
      if (fault.maxRequests !== undefined) expect(requests, "requests in 30 s").toBeLessThan(fault.maxRequests);
      const after = makeTask({ taskType: "work", taskDefName: "work" });
      stub.push(after);
      const backAt = performance.now();
      await fault.end(served);

      await waitFor(() => stub.updatesOf(after.taskId).length > 0, {
        boundMs: fault.boundMs,
        what: "a new task to be done",
      });
      const recoveryMs = Math.round(performance.now() - backAt);
      await waitFor(() => before.every((task) => stub.updatesOf(task.taskId).length > 0), {
        boundMs: fault.boundMs,
        what: "the results from before to be applied",
      });
      console.info(`${fault.name}: back at work after ${recoveryMs} ms`);
      for (const task of [...before, after]) {
        expect(executions.get(task.taskId), "executions").toBe(1);
        expect(stub.tasks.get(task.taskId)?.status).toBe("COMPLETED");
        expect(stub.updatesOf(task.taskId).filter((update) => update.status === "COMPLETED").length, "applied").toBe(1);
      }
    } finally {
      await handler.stop({ drainTimeoutMs: 2_000 });
      await served.close();
    }
  });
});
