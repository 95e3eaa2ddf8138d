import "prom-client";
import { defineWorker, TaskHandler } from "ostinato";
import { serveMeasurements } from "./measured-client.mjs";

const silentLogger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLogger };

/**
 * Serves measurements of a handler with these options. What it would load when it first needs it is loaded before the
 * clock starts.
 *
 * @param {Partial<import("ostinato").TaskHandlerOptions>} options
 */
export function serveOstinato(options = {}) {
  serveMeasurements(async ({ serverUrl, taskType, concurrency }) => {
    const handler = new TaskHandler({
      serverUrl,
      workers: [defineWorker({ taskDefName: taskType, concurrency, execute: () => ({}) })],
      logger: silentLogger,
      ...options,
    });
    await handler.start();
    return { stop: () => handler.stop({ drainTimeoutMs: 5_000 }) };
  });
}
