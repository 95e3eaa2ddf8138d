import { expect, test } from "vitest";
import { defineWorker, inProgress, TaskHandler, type WorkerEvents, type WorkerSpec } from "../../src/index.js";
import { wordsFor } from "../support/contract/api.js";
import { onEveryTarget } from "../support/contract/target.js";
import { memoryLogger } from "../support/log/loggers.js";
import { startTcpProxy, type TcpProxy } from "../support/network/tcp-proxy.js";
import { waitFor } from "../support/time/wait-for.js";

const HOUR_SECONDS = 3600;

onEveryTarget("a worker", (target) => {
  const { get, post, oneTask, taskType, workflowDef, start, workflow, task, eventually } = wordsFor(target);

  type Spec = Omit<WorkerSpec<Record<string, unknown>, unknown>, "taskDefName">;

  /** Runs a worker, through a proxy that can cut answers off, for as long as `work` takes. */
  async function withWorker(
    taskDefName: string,
    spec: Spec,
    work: (handler: TaskHandler, proxy: TcpProxy) => Promise<void>,
  ): Promise<void> {
    const { origin, pathname } = new URL(target.baseUrl);
    const proxy = await startTcpProxy(origin);
    const { log, lines } = memoryLogger();
    const handler = new TaskHandler({
      serverUrl: `${proxy.url}${pathname}`,
      requestTimeoutMs: 3_000,
      logger: log,
      workers: [defineWorker({ taskDefName, longPollMs: 1_000, ...spec })],
    });
    try {
      await handler.start();
      await work(handler, proxy);
    } catch (error) {
      throw new Error(`what the worker logged: ${lines.slice(-30).join("; ")}`, { cause: error });
    } finally {
      await handler.stop({ drainTimeoutMs: 2_000 });
      await proxy.close();
    }
  }

  test.concurrent("does the tasks of a sequence of its own type, each once", async () => {
    const type = await taskType({ responseTimeoutSeconds: HOUR_SECONDS });
    const tasks = ["a", "b", "c"].map((taskReferenceName) => ({ name: type, taskReferenceName }));
    const name = await workflowDef(tasks);
    const ids: string[] = [];
    // One after the other: of many at once a server that has just started fails some ("Error scheduling tasks").
    for (let i = 0; i < 20; i += 1) ids.push(await start(name));
    const executed: string[] = [];
    const execute = (_input: unknown, ctx: { taskId: string }) => {
      executed.push(ctx.taskId);
      return { done: true };
    };
    await withWorker(type, { concurrency: 5, execute }, async () => {
      for (const id of ids) await eventually(id, "COMPLETED");
    });
    expect(executed).toHaveLength(60);
    expect(new Set(executed).size).toBe(60);
  });

  test.concurrent(
    "a task in a poll's answer that was cut off is run within seconds, not after its response timeout",
    async () => {
      const { type, workflowName, workflowId } = await oneTask({ responseTimeoutSeconds: HOUR_SECONDS });
      const lost: string[] = [];
      let runs = 0;
      const execute = () => {
        runs += 1;
        return {};
      };
      // Waits until the first one is done, so that a poll is held when the second one comes.
      await withWorker(type, { execute }, async (handler, proxy) => {
        handler.on("taskHandedBack", ({ reason }) => lost.push(reason));
        await eventually(workflowId, "COMPLETED");
        const cuts = proxy.cutNextAnswer({
          when: (head) => head.includes("/tasks/poll/batch/") && !head.includes("timeout=0"),
        });
        const second = await start(workflowName);
        await waitFor(() => cuts.heads.length > 0, { what: "an answer to be cut off" });
        await waitFor(async () => (await workflow(second)).status === "COMPLETED", {
          boundMs: 15_000,
          everyMs: 50,
          what: "the lost task to be done",
        });
      });
      expect(runs).toBe(2);
      expect(lost.filter((reason) => reason === "lost").length).toBeLessThanOrEqual(1);
    },
  );

  test.concurrent("a task that came along with an update whose answer was cut off is run within seconds", async () => {
    const type = await taskType({ responseTimeoutSeconds: HOUR_SECONDS });
    const name = await workflowDef([{ name: type, taskReferenceName: "only" }]);
    const ids = await Promise.all(Array.from({ length: 12 }, () => start(name)));
    const runs = new Map<string, number>();
    const execute = async (_input: unknown, ctx: { taskId: string }) => {
      runs.set(ctx.taskId, (runs.get(ctx.taskId) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await withWorker(type, { execute }, async (_handler, proxy) => {
      const cuts = proxy.cutNextAnswer({ when: (head) => head.includes("update-v2") });
      await waitFor(() => cuts.heads.length > 0, { what: "an answer to be cut off" });
      const isLeft = async (id: string) => (await workflow(id)).status !== "COMPLETED";
      let left = ids;
      const allAreDone = async () => {
        const areLeft = await Promise.all(left.map(isLeft));
        left = left.filter((_id, index) => areLeft[index]);
        return left.length === 0;
      };
      const what = () => `${left.join(", ")} to complete; ran: ${[...runs.keys()].join(", ")}`;
      await waitFor(allAreDone, { boundMs: 15_000, everyMs: 50, what });
    });
    expect([...runs.values()]).toEqual(Array<number>(12).fill(1));
  });

  test.concurrent("inProgress gives the task back with its output, and it is there the next time", async () => {
    const { type, workflowId } = await oneTask();
    const seen: unknown[] = [];
    const execute: Spec["execute"] = (_input, ctx) => {
      seen.push([ctx.pollCount, ctx.task.outputData]);
      return ctx.pollCount < 3 ? inProgress({ callbackAfterSeconds: 0, output: { step: ctx.pollCount } }) : { step: 3 };
    };
    await withWorker(type, { execute }, async () => {
      expect((await eventually(workflowId, "COMPLETED")).output).toEqual({ step: 3 });
    });
    expect(seen).toEqual([
      [1, {}],
      [2, { step: 1 }],
      [3, { step: 2 }],
    ]);
  });

  test.concurrent(
    "a hand-back whose answer was cut off is not repeated: it would take the task from whoever has it",
    async () => {
      const { type, workflowId } = await oneTask({ responseTimeoutSeconds: HOUR_SECONDS });
      let handBacks = 0;
      await withWorker(
        type,
        { execute: () => inProgress({ callbackAfterSeconds: 0, output: { kept: 1 } }) },
        async (handler, proxy) => {
          const cuts = proxy.cutNextAnswer({ when: (head) => head.startsWith("POST") && head.includes("/tasks ") });
          await waitFor(() => cuts.heads.length > 0, { what: "the hand-back's answer to be cut off" });
          handBacks = cuts.heads.length;
          // Another worker takes it: from now on every update by the first one would be a theft.
          handler.pause();
          let taken: { taskId: string; outputData: unknown } | undefined;
          await waitFor(
            async () => {
              const polled = (await get(`/tasks/poll/batch/${type}?workerid=other&timeout=100`)).json as {
                taskId: string;
                outputData: unknown;
              }[];
              taken = polled[0];
              return taken !== undefined;
            },
            { boundMs: 10_000, what: "another worker to get the task" },
          );
          expect(taken?.outputData).toEqual({ kept: 1 });
          await new Promise((resolve) => setTimeout(resolve, 1_500));
          expect(await task(taken!.taskId)).toMatchObject({ status: "IN_PROGRESS", workerId: "other" });
          await post("/tasks", {
            taskId: taken!.taskId,
            workflowInstanceId: workflowId,
            status: "COMPLETED",
            outputData: {},
          });
        },
      );
      expect(handBacks).toBe(1);
      expect((await workflow(workflowId)).status).toBe("COMPLETED");
    },
  );

  test.concurrent(
    "at the end of a drain a running task goes back to the queue with what was stored, and no retry is used up",
    async () => {
      const { type, workflowId } = await oneTask({ retryCount: 3, responseTimeoutSeconds: HOUR_SECONDS });
      const handedBack: WorkerEvents["taskHandedBack"][] = [];
      const reasons: unknown[] = [];
      let began = 0;
      const execute: Spec["execute"] = (_input, ctx) => {
        began += 1;
        return new Promise((resolve) => {
          ctx.signal.addEventListener("abort", () => {
            reasons.push(ctx.signal.reason);
            resolve({});
          });
        });
      };
      await withWorker(type, { execute }, async (handler) => {
        handler.on("taskHandedBack", (event) => handedBack.push(event));
        await waitFor(() => began === 1, { what: "the task to begin" });
        await handler.stop({ drainTimeoutMs: 500 });
      });
      expect(reasons).toMatchObject([{ code: "STOPPING" }]);
      expect(handedBack).toMatchObject([{ reason: "stopping" }]);
      const [only] = (await workflow(workflowId)).tasks;
      expect(only).toMatchObject({ status: "SCHEDULED", retryCount: 0 });
    },
  );

  test.concurrent(
    "a task whose queue timeout has passed is failed at the end of a drain, not handed back: that would time it out",
    async () => {
      const { type, workflowId } = await oneTask({
        retryCount: 1,
        pollTimeoutSeconds: 2,
        timeoutPolicy: "TIME_OUT_WF",
        responseTimeoutSeconds: HOUR_SECONDS,
      });
      let began = 0;
      const execute = () => {
        began += 1;
        return new Promise(() => {});
      };
      await withWorker(type, { execute }, async (handler) => {
        await waitFor(() => began === 1, { what: "the task to begin" });
        await new Promise((resolve) => setTimeout(resolve, 2_500));
        await handler.stop({ drainTimeoutMs: 300 });
      });
      const seen = await workflow(workflowId);
      expect(seen.status).toBe("RUNNING");
      expect(seen.tasks.map(({ status }) => status)).toEqual(["FAILED", "SCHEDULED"]);
    },
  );

  test.concurrent("a terminated workflow's task is told so, and nothing is reported", async () => {
    const { type, workflowId } = await oneTask({ responseTimeoutSeconds: HOUR_SECONDS });
    const reasons: unknown[] = [];
    const execute: Spec["execute"] = (_input, ctx) =>
      new Promise((resolve) => {
        ctx.signal.addEventListener("abort", () => {
          reasons.push(ctx.signal.reason);
          resolve({});
        });
      });
    await withWorker(type, { execute, executionTimeoutMs: 60_000 }, async (handler) => {
      await waitFor(() => handler.status.inFlight === 1, { what: "the task to begin" });
      await fetch(`${target.baseUrl}/workflow/${workflowId}`, { method: "DELETE" });
      await waitFor(() => reasons.length > 0, { boundMs: 12_000, what: "the signal to abort" });
    });
    expect(reasons).toMatchObject([{ code: "TASK_CANCELLED" }]);
  });

  test.concurrent("a lease is kept for three times the response timeout", async () => {
    const { type, workflowId } = await oneTask({ retryCount: 0, responseTimeoutSeconds: 1, timeoutSeconds: 30 });
    const execute = () => new Promise((resolve) => setTimeout(() => resolve({ ok: 1 }), 3_100));
    await withWorker(type, { execute, executionTimeoutMs: 20_000 }, async () => {
      await waitFor(async () => (await workflow(workflowId)).status !== "RUNNING", {
        boundMs: 8_000,
        everyMs: 50,
        what: "the end",
      });
    });
    const seen = await workflow(workflowId);
    expect([seen.status, seen.output]).toEqual(["COMPLETED", { ok: 1 }]);
  });
});
