import { setTimeout as sleep } from "node:timers/promises";
import { createConductorClient, defineWorker, TaskHandler } from "ostinato";
import { startEmbeddedConductor } from "ostinato/testing";
import { STUBBORN_WORKFLOW_NAME, taskDefs, WORKFLOW_NAME, workflowDefs } from "./workflow.js";

// A worker with something to see in every panel: quick and slow tasks, failures, extended leases, a function that does
// not heed its deadline, hand-backs. It starts the workflows itself, until SIGTERM or Ctrl-C.

/** Where Prometheus finds the metrics; `CONDUCTOR_WORKER_ADMIN_PORT` wins. */
const ADMIN_PORT = 9400;
/** How often a workflow is started, in ms. */
const START_EVERY_MS = 200;
/** One start of so many is that of a stubborn one: once a minute. */
const STUBBORN_EVERY = 300;
/** How often the quick ones are paused, and for how long, in ms: what polls under way still bring is handed back. */
const PAUSE_EVERY_MS = 5_000;
const PAUSE_MS = 500;

/** Its name becomes the label `exception`. */
class UpstreamError extends Error {
  override readonly name = "UpstreamError";
}

interface Numbered {
  readonly number: number;
}

const quick = defineWorker({
  taskDefName: "demo_quick",
  concurrency: 10,
  execute: async ({ number }: Numbered) => {
    await sleep(5 + (number % 20));
    return { text: "x".repeat(number % 1_000) };
  },
});

const flaky = defineWorker({
  taskDefName: "demo_flaky",
  concurrency: 10,
  execute: async ({ number }: Numbered, ctx) => {
    await sleep(10 + (number % 50));
    if (ctx.retryCount > 0) return { attempt: ctx.retryCount + 1 };
    if (number % 5 === 0) throw new UpstreamError("the upstream did not answer");
    if (number % 7 === 0) throw new TypeError("cannot read what is not there");
    return { attempt: 1 };
  },
});

const slow = defineWorker({
  taskDefName: "demo_slow",
  concurrency: 10,
  executionTimeoutMs: 20_000,
  execute: async ({ number }: Numbered, ctx) => {
    await sleep(number % 10 === 0 ? 3_000 : 50 + (number % 400), undefined, { signal: ctx.signal });
    return {};
  },
});

const stubborn = defineWorker({
  taskDefName: "demo_stubborn",
  concurrency: 2,
  executionTimeoutMs: 1_000,
  // What not to do: nothing here looks at ctx.signal.
  execute: async ({ goOnForSeconds }: { goOnForSeconds: number }) => {
    await sleep(goOnForSeconds * 1_000);
    return {};
  },
});

const isServerGiven = (process.env.CONDUCTOR_SERVER_URL?.trim() ?? "") !== "";
const conductor = isServerGiven ? undefined : await startEmbeddedConductor({ ownProcess: true });
if (conductor !== undefined) process.env.CONDUCTOR_SERVER_URL = conductor.serverUrl;
// Each task that fails is a warning, and many fail here.
process.env.CONDUCTOR_LOG_LEVEL ??= "error";

const client = createConductorClient();
await client.metadata.registerTaskDefs(taskDefs);
await client.metadata.registerWorkflowDefs(workflowDefs);

let started = 0;
const starting = setInterval(() => {
  started += 1;
  const request =
    started % STUBBORN_EVERY === 0
      ? { name: STUBBORN_WORKFLOW_NAME, version: 1, input: { goOnForSeconds: 30 } }
      : { name: WORKFLOW_NAME, version: 1, input: { number: started } };
  // While the server is away no workflows start; the worker says the rest.
  client.workflows.start(request).catch(() => undefined);
}, START_EVERY_MS);

const handler = new TaskHandler({
  adminPort: ADMIN_PORT,
  workers: [quick, flaky, slow, stubborn],
  // Fewer than there are task types, so that those without work are watched instead of polled; by default 16 are polled.
  maxHeldPolls: 2,
});
const pausing = setInterval(() => {
  handler.pause("demo_quick");
  setTimeout(() => {
    handler.resume("demo_quick");
  }, PAUSE_MS).unref();
}, PAUSE_EVERY_MS);

await handler.start();
console.log(`metrics at ${handler.adminUrl ?? "nowhere"}/metrics`);
// Returns after SIGTERM or Ctrl-C, when what ran has been finished and reported.
await handler.run();
clearInterval(starting);
clearInterval(pausing);
await client.close();
await conductor?.close();
