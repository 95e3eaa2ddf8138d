import "prom-client";
import { defineWorker, TaskHandler } from "ostinato";
import { serveMeasurements } from "./measured-client.mjs";

const silentLogger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLogger };

/** In which a thread has started, in ms. */
const SETTLED_MS = 700;

/**
 * Serves measurements of a handler with these options. What it would load when it first needs it is loaded before the
 * clock starts.
 *
 * @param {Partial<import("ostinato").TaskHandlerOptions>} options
 * @param {{ settled?: boolean }} [how] `settled`: start-up is over before anything is counted
 */
export function serveOstinato(options = {}, { settled = false } = {}) {
  serveMeasurements(async ({ serverUrl, taskType, concurrency }, begin) => {
    const handler = new TaskHandler({
      serverUrl,
      workers: [defineWorker({ taskDefName: taskType, concurrency, paused: settled, execute: () => ({}) })],
      logger: silentLogger,
      ...options,
    });
    await handler.start();
    if (settled) {
      await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
      begin();
      handler.resume();
    }
    return { stop: () => handler.stop({ drainTimeoutMs: 5_000 }) };
  });
}
