// A worker that is healthy and looks as if it were not. Runs the build, as an installed package runs.
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorker, TaskHandler } from "ostinato";

const [scenario, serverUrl, stallTimeoutSeconds] = process.argv.slice(2);

function burn(ms) {
  const endAt = performance.now() + ms;
  while (performance.now() < endAt);
}

/** What the functions of each scenario do, and how many at once. */
const scenarios = {
  saturation: { concurrency: 100, execute: async () => (burn(1), await sleep(300), {}) },
  full: {
    concurrency: 20,
    execute: (_input, { signal }) => sleep(3_600_000, {}, { signal }),
  },
  "server-away": { concurrency: 5, execute: async () => (await sleep(200), {}) },
  unauthorized: { concurrency: 5, execute: async () => (await sleep(200), {}) },
  sigstop: { concurrency: 5, execute: async () => (await sleep(200), {}) },
  debugger: { concurrency: 5, execute: async () => (await sleep(200), {}) },
  heap: { concurrency: 4, execute: async () => (churn(), await sleep(100), {}) },
  blocks: { concurrency: 3, execute: async () => (await sleep(2_000), burn(5_000), {}) },
};

/** A large heap that is always being rewritten: long collections. */
const heap = [];
function churn() {
  for (let i = 0; i < 5_000; i++) {
    const slot = Math.floor(Math.random() * 2_000_000);
    heap[slot] = { slot, text: `entry ${slot} ${Math.random()}`, next: heap[slot >> 1] };
    if (heap[slot].next !== undefined) heap[slot].next.next = undefined;
  }
}

const { concurrency, execute } = scenarios[scenario];
if (scenario === "heap") for (let i = 0; i < 240; i++) churn();

const worker = defineWorker({
  taskDefName: "work",
  concurrency,
  executionTimeoutMs: 3_600_000,
  longPollMs: 200,
  execute,
});
const handler = new TaskHandler({
  serverUrl,
  workers: [worker],
  requestTimeoutMs: 1_000,
  stallTimeoutSeconds: Number(stallTimeoutSeconds),
});
await handler.run();
console.log("ran to the end");
