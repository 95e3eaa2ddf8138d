// Measured processes run as plain Node runs an installed package: no loader in the process, and the build, not the source.
import { readFileSync } from "node:fs";

/**
 * @typedef {{ serverUrl: string, taskType: string, concurrency: number }} DrainOptions
 * @typedef {{ stop(): Promise<void> }} RunningClient
 */

/**
 * Waits for the parent's `start`, works until its `stop`, and reports at `cost` and at `stop` what that took. CPU time
 * counts from `start`, when all modules are loaded; stopping itself is not counted.
 *
 * @param {(options: DrainOptions) => Promise<RunningClient>} start
 */
export function serveMeasurements(start) {
  /** @type {RunningClient | undefined} */
  let client;
  let cpuAtStart = process.cpuUsage();
  const measured = () => {
    const { user, system } = process.cpuUsage(cpuAtStart);
    return { kind: "measured", cpuUs: user + system, peakRssMb: readPeakRssMb() };
  };

  process.on("message", (/** @type {any} */ command) => {
    if (command.kind === "start") {
      cpuAtStart = process.cpuUsage();
      start(command.options).then((running) => {
        client = running;
      }, fail);
    } else if (command.kind === "cost") {
      process.send?.(measured());
    } else if (command.kind === "stop") {
      const report = measured();
      Promise.resolve(client?.stop()).then(() => {
        process.send?.(report, undefined, undefined, () => process.disconnect());
      }, fail);
    }
  });
  process.send?.({ kind: "ready" });
}

/** On Linux `maxRSS` of a child begins with its parent's, so the kernel's own high-water mark is read where there is one. */
function readPeakRssMb() {
  try {
    const kilobytes = /VmHWM:\s*(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (kilobytes !== undefined) return Number(kilobytes) / 1_024;
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS / 1_024;
}

/** @param {unknown} error */
function fail(error) {
  console.error(error);
  process.exit(1);
}
