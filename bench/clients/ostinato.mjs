import { defineWorker, TaskHandler } from "ostinato";
import { serveMeasurements } from "./measured-client.mjs";

const silentLogger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLogger };

serveMeasurements(async ({ serverUrl, taskType, concurrency }) => {
  const handler = new TaskHandler({
    serverUrl,
    workers: [defineWorker({ taskDefName: taskType, concurrency, execute: () => ({}) })],
    logger: silentLogger,
  });
  await handler.start();
  return { stop: () => handler.stop({ drainTimeoutMs: 5_000 }) };
});
