import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import { sleep, taskIdsOf, until } from "../../support/faults/helpers.js";
import type { World } from "../../support/faults/world.js";
import { waitFor } from "../../support/time/wait-for.js";

const group = "Process";
/** A task is looked up this often at least, and the answer takes a moment, in ms. */
const CANCELLATION_BOUND_MS = 10_000 + 1_000;

interface Aborted {
  readonly taskId: string;
  readonly reason: unknown;
}

/** A worker whose tasks wait for their signal (`waits`), take a while (`slow`) or fail for good (`fails`). */
function waiting() {
  const aborted: Aborted[] = [];
  const execute = async ({ mode }: Record<string, unknown>, ctx: { signal: AbortSignal; taskId: string }) => {
    const { signal, taskId } = ctx;
    if (mode === "fails") throw Object.assign(new Error("for good"), { code: "NON_RETRYABLE" });
    if (mode === "slow") await sleep(4_000);
    if (mode === "waits") {
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => {
          aborted.push({ taskId, reason: signal.reason });
          resolve();
        });
      });
    }
    return { aborted: signal.aborted };
  };
  return { aborted, worker: { concurrency: 10, executionTimeoutMs: 60_000, execute } };
}

const started = (world: World, count: number) => until(() => world.seen("taskStarted").length >= count);

/** The signal of each of these tasks aborted with the right reason, and the server was told nothing of them. */
async function expectCancelled(world: World, aborted: readonly Aborted[], taskIds: readonly string[], status: string) {
  await waitFor(() => aborted.length >= taskIds.length, {
    boundMs: CANCELLATION_BOUND_MS,
    what: "the signals to abort",
  });
  expect(aborted.map(({ taskId }) => taskId).sort()).toEqual([...taskIds].sort());
  for (const { reason } of aborted) {
    expect(reason).toMatchObject({
      code: "TASK_CANCELLED",
      message: `the server has ended the task meanwhile: it is ${status}`,
    });
  }
  // What the functions returned after that is dropped.
  await sleep(500);
  const told = (await world.conductor.ledger()).filter(
    (entry) => entry.kind === "update" && taskIds.includes(entry.taskId),
  );
  expect(told, "what the server was told of them").toEqual([]);
  expect(world.seen("taskMoot")).toHaveLength(taskIds.length);
  expect(world.handler.status.runners[0]?.running).toBe(0);
}

describe.concurrent("workflows that end while their tasks run", () => {
  const name = "a workflow ends while its tasks run";
  const guard = "tasks that run for long are looked up";
  const boundMs = CANCELLATION_BOUND_MS + 1_000;

  fault({ number: 39, group, name, variant: "terminated", boundMs, guard }, async (run) => {
    const { aborted, worker } = waiting();
    const world = await run.world({ worker });
    const ids = await world.begin(3, { mode: "waits" });
    await started(world, 3);
    for (const id of ids) await world.conductor.terminateWorkflow(id, "by hand");
    run.injected();
    await expectCancelled(world, aborted, await taskIdsOf(world, ids), "CANCELED");
    await run.worksAgain(world);
    return "Each signal aborted within 10 s, for `TASK_CANCELLED`; its slot was free, and the server was told nothing of the task.";
  });

  fault({ number: 39, group, name, variant: "another branch fails", boundMs, guard }, async (run) => {
    const { aborted, worker } = waiting();
    const world = await run.world({ worker });
    const branch = (ref: string, mode: string) => [
      { name: "work", taskReferenceName: ref, type: "SIMPLE", inputParameters: { mode } },
    ];
    await world.conductor.registerWorkflowDef({
      name: "forked",
      version: 1,
      ownerEmail: "faults@example.com",
      tasks: [
        {
          name: "fork",
          taskReferenceName: "fork",
          type: "FORK_JOIN",
          forkTasks: [branch("a", "waits"), branch("b", "fails")],
        },
        { name: "join", taskReferenceName: "join", type: "JOIN", joinOn: ["a", "b"] },
      ],
    });
    const id = await world.conductor.startWorkflow({ name: "forked", input: {} });
    await started(world, 2);
    const { status, tasks } = await world.conductor.waitForWorkflow(id);
    expect(status).toBe("FAILED");
    run.injected();
    const taskId = tasks.find(({ referenceTaskName }) => referenceTaskName === "a")?.taskId ?? "";
    await expectCancelled(world, aborted, [taskId], "CANCELED");
    await run.worksAgain(world);
    return "The task beside the one that failed was cancelled by the server. Its signal aborted within 10 s, for `TASK_CANCELLED`; its slot was free, and the server was told nothing of it.";
  });

  fault({ number: 39, group, name, variant: "timed out", boundMs, guard }, async (run) => {
    const { aborted, worker } = waiting();
    const world = await run.world({ worker });
    await world.conductor.registerWorkflowDef({
      name: "impatient",
      version: 1,
      ownerEmail: "faults@example.com",
      timeoutSeconds: 2,
      timeoutPolicy: "TIME_OUT_WF",
      tasks: [{ name: "work", taskReferenceName: "work", type: "SIMPLE", inputParameters: { mode: "waits" } }],
    });
    const id = await world.conductor.startWorkflow({ name: "impatient", input: {} });
    await started(world, 1);
    const { status, tasks } = await world.conductor.waitForWorkflow(id);
    expect(status).toBe("TIMED_OUT");
    run.injected();
    await expectCancelled(
      world,
      aborted,
      tasks.map(({ taskId }) => taskId),
      "CANCELED",
    );
    await run.worksAgain(world);
    return "Its tasks were cancelled. Their signals aborted within 10 s, for `TASK_CANCELLED`; their slots were free, and the server was told nothing of them.";
  });

  fault(
    {
      number: 39,
      group,
      name,
      variant: "paused",
      boundMs: 2_000,
      guard: "a workflow that is paused wants its results",
    },
    async (run) => {
      const { worker } = waiting();
      const world = await run.world({ worker });
      const ids = await world.begin(3, { mode: "slow" });
      await started(world, 3);
      const put = async (id: string, what: "pause" | "resume") => {
        const { status } = await fetch(`${world.conductor.serverUrl}/workflow/${id}/${what}`, { method: "PUT" });
        expect(status).toBeLessThan(300);
      };
      for (const id of ids) await put(id, "pause");
      run.injected();
      await run.worksAgain(world);
      await until(() => world.seen("taskUpdated").length >= 4);
      for (const id of ids) {
        const { status, tasks } = await world.conductor.workflow(id);
        expect([status, tasks[0]?.status, tasks[0]?.outputData]).toEqual(["PAUSED", "COMPLETED", { aborted: false }]);
      }
      for (const id of ids) await put(id, "resume");
      await world.done(ids);
      return "Its tasks went on, their signals did not abort, and their results were accepted; resumed, it completed.";
    },
  );
});

describe.concurrent("a task on its lease", () => {
  const name = "a task runs for three times its response timeout, and the server restarts";
  const RESPONSE_TIMEOUT_S = 4;
  const worker = {
    concurrency: 2,
    executionTimeoutMs: 60_000,
    execute: async ({ mode }: Record<string, unknown>, { retryCount }: { retryCount: number }) => {
      if (mode === "long" && retryCount === 0) await sleep(RESPONSE_TIMEOUT_S * 3_000);
      return { retryCount };
    },
  };

  /** Nobody answers for a while: from before an extension is due until after. */
  async function restart(world: World, forMs: number): Promise<void> {
    const extended = world.seen("leaseExtended").length;
    await waitFor(() => world.seen("leaseExtended").length > extended, { what: "the lease to be extended" });
    await sleep(1_500);
    world.proxy.refuse();
    world.proxy.resetAll();
    await sleep(forMs);
    await world.proxy.accept();
  }

  fault(
    {
      number: 40,
      group,
      name,
      variant: "for less than a lease",
      boundMs: 3_000,
      guard: "a lease is extended at half of its time, and tried again until its end",
    },
    async (run) => {
      const world = await run.world({ worker, taskDef: { responseTimeoutSeconds: RESPONSE_TIMEOUT_S } });
      const ids = await world.begin(1, { mode: "long" });
      await started(world, 1);
      // Twice, each for longer than the margin of 1 s.
      await restart(world, 1_700);
      await restart(world, 1_700);
      run.injected();
      await run.worksAgain(world);
      const [workflow] = await world.done(ids, 20_000);
      expect(workflow?.tasks).toHaveLength(1);
      const [taskId] = await taskIdsOf(world, ids);
      const extensions = world.seen("leaseExtended").filter(({ fields }) => fields.taskId === taskId);
      expect(extensions.length).toBeGreaterThanOrEqual(4);
      return "Away twice for 1.7 s, each time when the lease of 4 s was due: it was extended in what was left of it, the task ran to its end, once, and its result was accepted.";
    },
  );

  fault(
    {
      number: 40,
      group,
      name,
      variant: "for longer than a lease",
      boundMs: 3_000,
      guard: "what the server has ended is found out",
    },
    async (run) => {
      const world = await run.world({
        worker,
        taskDef: { responseTimeoutSeconds: RESPONSE_TIMEOUT_S },
        mayTimeOut: "nothing reaches the server for longer than its response timeout",
      });
      const ids = await world.begin(1, { mode: "long" });
      await started(world, 1);
      await restart(world, RESPONSE_TIMEOUT_S * 1_000);
      run.injected();
      await run.worksAgain(world);
      const [workflow] = await world.done(ids, 20_000);
      expect(workflow?.tasks.map(({ status }) => status)).toEqual(["TIMED_OUT", "COMPLETED"]);
      const [first] = workflow?.tasks ?? [];
      await until(() => world.seen("taskMoot").some(({ fields }) => fields.taskId === first?.taskId));
      return "The server had timed the task out, as it must; its retry ran once. The first attempt was found out to be over, and its signal aborted.";
    },
  );
});
