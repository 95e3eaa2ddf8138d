// The supervised script of the soak: three steps, each execution in a side file. Plain JavaScript on the built package.
import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import v8 from "node:v8";
import vm from "node:vm";
import { defineWorker, inProgress, TaskHandler } from "ostinato";

const { SOAK_FOLDER, OSTINATO_SUPERVISED } = process.env;
/** The one that nothing is done to, so that its memory tells something. */
const isSpared = OSTINATO_SUPERVISED === "0";
const sideFile = fs.openSync(path.join(SOAK_FOLDER, "executions", `${process.pid}.jsonl`), "a");
// Written at once: what a killed process had written is there.
const note = (entry) => fs.writeSync(sideFile, `${JSON.stringify({ at: Date.now(), pid: process.pid, ...entry })}\n`);

let executions = 0;

if (isSpared) {
  v8.setFlagsFromString("--expose-gc");
  const collectGarbage = vm.runInNewContext("gc");
  const mib = (bytes) => Math.round((bytes / 1024 / 1024) * 100) / 100;
  setInterval(() => {
    // What is left then is needed, or leaks.
    collectGarbage();
    const { rss, heapUsed } = process.memoryUsage();
    note({ what: "memory", residentMib: mib(rss), heapMib: mib(heapUsed) });
  }, 2_000).unref();
}

const wedges = {
  spin() {
    for (;;) executions += 0;
  },
  regex: () => /^(a+)+$/.test(`${"a".repeat(60)}!`),
  wait: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
};

/** A task gets stuck once; left to another process by the spared one. */
const markOf = (workflowInstanceId) => path.join(SOAK_FOLDER, "wedged", workflowInstanceId);

/** Most take `ms`; of some steps, one in twenty takes longer than its response timeout. */
function step(taskDefName, concurrency, durationMs) {
  return defineWorker({
    taskDefName,
    concurrency,
    executionTimeoutMs: 20_000,
    execute: async ({ number, wedge }, { taskId, workflowInstanceId, retryCount, pollCount, signal }) => {
      executions += 1;
      const execution = `${process.pid}:${executions}`;
      const about = { execution, step: taskDefName, taskId, workflowInstanceId, retryCount, pollCount };
      note({ what: "began", ...about });
      if (wedge?.step === taskDefName && !fs.existsSync(markOf(workflowInstanceId))) {
        if (isSpared) return inProgress({ callbackAfterSeconds: 1 });
        fs.writeFileSync(markOf(workflowInstanceId), "");
        wedges[wedge.how]();
      }
      await sleep(durationMs(number), undefined, { signal });
      note({ what: "returned", ...about });
      return { execution, number };
    },
  });
}

await new TaskHandler({
  workers: [
    step("soak_quick", 10, (number) => number % 40),
    step("soak_usual", 10, (number) => 400 + ((number * 7919) % 1600)),
    step("soak_long", 10, (number) => (number % 20 === 7 ? 4_500 : 300)),
  ],
  journal: { dir: path.join(SOAK_FOLDER, "journal") },
  requestTimeoutMs: 2_000,
  stallTimeoutSeconds: 8,
}).run();
