import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { taskDefs, WORKFLOW_NAME, workflowDef } from "../../samples/order-fulfilment/workflow.js";
import { createConductorClient } from "../../src/index.js";
import { repositoryRoot } from "../support/e2e/packed-package.js";
import { startProcess, type RunningProcess } from "../support/process/process-harness.js";
import { isOwnFailure, OWN_FAILURE } from "../support/servers/real-conductor/own-failure.js";
import {
  startRealConductor,
  type RealConductor,
  type RealQueue,
} from "../support/servers/real-conductor/real-conductor.js";
import { waitFor } from "../support/time/wait-for.js";

const ORDERS = 300;
/**
 * About 15 s. A server that is short of processors now and then completes a JOIN and does not go on with its workflow,
 * until its sweeper comes upon it, two minutes later.
 */
const UNDISTURBED_BOUND_MS = 240_000;
/** From the moment the server is killed: its boot, and its own repair of what nobody updated meanwhile. */
const AFTER_KILL_BOUND_MS = 240_000;
/** A server that is killed between writing a JOIN and queueing it does not always find it again. */
const MAX_FORGOTTEN = 3;
const TEST_TIMEOUT_MS = 420_000;
/** Workflows that the server ends itself, because its store has failed: on SQLite now and then one in a thousand. */
const MAX_OWN_FAILURES = 3;
/** The server's own timeouts and sweeps are over by then: what still stands has been forgotten by the server. */
const REPAIR_AFTER_MS = 120_000;
/** One question to the server. */
const LOOK_MS = 10_000;

describe("samples/order-fulfilment on a real server", () => {
  test.each(["sqlite", "redis"] as const)(
    "all orders are fulfilled, on %s",
    async (queue: RealQueue) => {
      await using conductor = await startRealConductor({ queue });
      const sample = startSample(conductor);
      try {
        const end = await sample.waitForExit(UNDISTURBED_BOUND_MS);
        const ownFailures = sample.stderr.filter((line) => line.startsWith(`order FAILED: ${OWN_FAILURE}`)).length;
        expect(ownFailures, sample.output).toBeLessThanOrEqual(MAX_OWN_FAILURES);
        const all = `workflows completed +${ORDERS - ownFailures} of ${ORDERS}`;
        expect(sample.output).toMatch(new RegExp(`${all}[^]*tasks lost +0[^]*tasks done twice +0`));
        expect(end, sample.output).toEqual({ code: ownFailures === 0 ? 0 : 1, signal: null });
        expect(await running(conductor)).toEqual([]);
        console.log(`${queue}: ${/^time .*/m.exec(sample.output)?.[0] ?? ""}`);
      } finally {
        await sample.kill();
      }
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "all workflows are completed, although the server is killed in the middle",
    async () => {
      // What a worker can do is the question here; what the server forgets of its own tasks is for the server to repair.
      await using conductor = await startRealConductor({ queue: "sqlite", repairsItself: true });
      const { serverUrl } = conductor;
      const workflowIds = await placeOrders(serverUrl);
      const worker = startProcess({
        script: fileURLToPath(new URL("../support/e2e/order-workers.ts", import.meta.url)),
        env: { CONDUCTOR_SERVER_URL: serverUrl },
      });
      const lookAt = {
        everyMs: 500,
        what: () => `more workflows; the worker said last:\n${worker.output.slice(-5_000)}`,
      };
      try {
        await waitFor(async () => (await completed(conductor)) >= ORDERS / 5, {
          ...lookAt,
          everyMs: 50,
          boundMs: UNDISTURBED_BOUND_MS,
        });
        const before = await completed(conductor);
        expect(before, "killed too late to disturb much").toBeLessThan(ORDERS / 2);
        const killedAt = performance.now();
        const elapsedMs = () => performance.now() - killedAt;
        await conductor.restart("SIGKILL");
        const bootMs = elapsedMs();
        let left: string[] = [];
        let forgotten = 0;
        const repaired = new Set<string>();
        await waitFor(
          async () => {
            left = await running(conductor);
            if (elapsedMs() > REPAIR_AFTER_MS) {
              for (const id of left) {
                await repair(conductor, id);
                repaired.add(id);
              }
            }
            return left.length === 0;
          },
          { ...lookAt, everyMs: 2_000, boundMs: AFTER_KILL_BOUND_MS - bootMs },
        ).catch(async (error: unknown) => {
          const open = await openTasks(serverUrl, left);
          // What is left of the server's own it has forgotten for good, asked to repair it or not; of ours nothing may be.
          const isForgotten = left.length <= MAX_FORGOTTEN && open.every((task) => task.startsWith("JOIN "));
          if (!isForgotten)
            throw new Error(`${left.length} workflows did not end:\n${open.join("\n")}`, { cause: error });
          console.warn(`the server has forgotten what to do next in ${left.length} workflows: ${open.join(", ")}`);
          forgotten = left.length;
        });
        const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
        const doneMs = elapsedMs();
        const { byStatus, attempts, ownFailures } = await statusesOf(serverUrl, workflowIds);
        console.log(
          `killed with ${before} completed; back after ${seconds(bootMs)}, all ended after ${seconds(doneMs)};`,
          `repaired: ${repaired.size}; tasks by status: ${JSON.stringify(attempts)}`,
        );
        expect(ownFailures).toBeLessThanOrEqual(MAX_OWN_FAILURES);
        expect(byStatus).toEqual({
          COMPLETED: ORDERS - forgotten - ownFailures,
          ...(forgotten === 0 ? {} : { RUNNING: forgotten }),
          ...(ownFailures === 0 ? {} : { FAILED: ownFailures }),
        });
        worker.signal("SIGTERM");
        expect(await worker.waitForExit(30_000)).toEqual({ code: 0, signal: null });
      } finally {
        await worker.kill();
      }
    },
    TEST_TIMEOUT_MS,
  );
});

/** Registers what the sample registers, and starts all its workflows. */
async function placeOrders(serverUrl: string): Promise<string[]> {
  await using client = createConductorClient({ serverUrl });
  await client.metadata.registerTaskDefs(taskDefs);
  await client.metadata.registerWorkflowDefs([workflowDef]);
  const ids: string[] = [];
  for (let orderNumber = 1; orderNumber <= ORDERS; orderNumber++) {
    ids.push(await client.workflows.start({ name: WORKFLOW_NAME, version: 1, input: { orderNumber } }));
  }
  return ids;
}

async function statusesOf(serverUrl: string, workflowIds: readonly string[]) {
  await using client = createConductorClient({ serverUrl });
  const byStatus: Record<string, number> = {};
  const attempts: Record<string, number> = {};
  let ownFailures = 0;
  for (const id of workflowIds) {
    const workflow = await client.workflows.get(id);
    const { status, tasks = [] } = workflow;
    if (isOwnFailure(workflow)) ownFailures += 1;
    byStatus[status] = (byStatus[status] ?? 0) + 1;
    for (const task of tasks) {
      if (task.taskType.startsWith("order_")) attempts[task.status] = (attempts[task.status] ?? 0) + 1;
    }
  }
  return { byStatus, attempts, ownFailures };
}

/** The tasks of these workflows that have not ended, as `type status (workflow)`. */
async function openTasks(serverUrl: string, workflowIds: readonly string[]): Promise<string[]> {
  await using client = createConductorClient({ serverUrl });
  const open: string[] = [];
  for (const id of workflowIds) {
    const { tasks = [] } = await client.workflows.get(id);
    const left = tasks.filter(({ status }) => status === "SCHEDULED" || status === "IN_PROGRESS");
    open.push(...left.map(({ taskType, status }) => `${taskType} ${status} (${id})`));
  }
  return open;
}

function startSample({ serverUrl }: RealConductor): RunningProcess {
  return startProcess({
    script: path.join(repositoryRoot, "samples/order-fulfilment/main.ts"),
    args: ["--workflows", `${ORDERS}`],
    env: { CONDUCTOR_SERVER_URL: serverUrl },
  });
}

/** The server's own word, so that the sample's report is not all we go by. */
async function running({ serverUrl }: RealConductor): Promise<string[]> {
  const answer = await fetch(`${serverUrl}/workflow/running/${WORKFLOW_NAME}`, {
    signal: AbortSignal.timeout(LOOK_MS),
  });
  return (await answer.json()) as string[];
}

/** What an operator does with a workflow that stands still: has the server look whether all that it needs is queued. */
async function repair({ serverUrl }: RealConductor, workflowId: string): Promise<void> {
  const url = `${serverUrl}/admin/consistency/verifyAndRepair/${workflowId}`;
  const answer = await fetch(url, { method: "POST", signal: AbortSignal.timeout(LOOK_MS) });
  if (!answer.ok) throw new Error(`verifyAndRepair answered ${answer.status}: ${await answer.text()}`);
  await answer.arrayBuffer();
}

async function completed({ serverUrl }: RealConductor): Promise<number> {
  const query = new URLSearchParams({
    size: "1",
    query: `workflowType='${WORKFLOW_NAME}' AND status='COMPLETED'`,
  });
  const answer = await fetch(`${serverUrl}/workflow/search?${query.toString()}`, {
    signal: AbortSignal.timeout(LOOK_MS),
  });
  const { totalHits } = (await answer.json()) as { totalHits: number };
  return totalHits;
}
