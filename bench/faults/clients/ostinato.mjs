import { defineWorker, TaskHandler } from "ostinato";
import { act, polling, settings } from "./behaviour.mjs";

const { serverUrl, taskType, concurrency } = settings();
const worker = defineWorker({
  taskDefName: taskType,
  concurrency,
  execute: (_input, { task }) => act({ retryCount: 0, ...task }),
});
const running = new TaskHandler({ serverUrl, workers: [worker] }).run();
polling();
await running;
