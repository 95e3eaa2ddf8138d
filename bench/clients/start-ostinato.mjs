import "prom-client";
import { defineWorker, TaskHandler } from "ostinato";
import { serveMeasurements } from "./measured-client.mjs";

const silentLogger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLogger };

/** Without watchdog and metrics. */
export const UNWATCHED = { watchdog: false, registry: false };

/**
 * Serves measurements of one handler for each task type, with these options; by default one, of the type asked for, with
 * the defaults. What they would load when they first need it is loaded before the clock starts.
 *
 * @param {(taskType: string) => Record<string, Partial<import("ostinato").TaskHandlerOptions>>} optionsByType
 */
export function serveOstinato(optionsByType = (taskType) => ({ [taskType]: {} })) {
  serveMeasurements(async ({ serverUrl, taskType, concurrency }) => {
    const handlers = Object.entries(optionsByType(taskType)).map(
      ([taskDefName, options]) =>
        new TaskHandler({
          serverUrl,
          workers: [defineWorker({ taskDefName, concurrency, execute: () => ({}) })],
          logger: silentLogger,
          ...options,
        }),
    );
    for (const handler of handlers) await handler.start();
    return {
      stop: async () => {
        await Promise.all(handlers.map((handler) => handler.stop({ drainTimeoutMs: 5_000 })));
      },
    };
  });
}
