import { defineWorker, TaskHandler } from "ostinato";
import { serveClient } from "./serve.mjs";

serveClient(async ({ serverUrl, handlers, concurrency }, execute) => {
  const workerOf = (/** @type {string} */ taskDefName) =>
    defineWorker({
      taskDefName,
      concurrency,
      execute: () => {
        execute();
        return {};
      },
    });
  const running = handlers.map((taskTypes) => new TaskHandler({ serverUrl, workers: taskTypes.map(workerOf) }));
  for (const handler of running) await handler.start();
  return running;
});
