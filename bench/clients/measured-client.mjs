// Measured processes run as plain Node runs an installed package: no loader in the process, and the build, not the source.
import { readFileSync } from "node:fs";

/**
 * @typedef {{ serverUrl: string, taskType: string, concurrency: number }} DrainOptions
 * @typedef {{ stop(): Promise<void> }} RunningClient
 */

/**
 * Waits for the parent's `start`, works until its `stop`, and reports what that cost. CPU time counts from `start`,
 * when all modules are loaded, to `stop`; stopping itself is not counted.
 *
 * @param {(options: DrainOptions, begin: () => void) => Promise<RunningClient>} start may call `begin` to have CPU time
 *   counted from then on, when what it does only once is done
 */
export function serveMeasurements(start) {
  /** @type {RunningClient | undefined} */
  let client;
  let cpuAtStart = process.cpuUsage();

  process.on("message", (/** @type {any} */ command) => {
    if (command.kind === "start") {
      const begin = () => {
        cpuAtStart = process.cpuUsage();
      };
      begin();
      start(command.options, begin).then((running) => {
        client = running;
      }, fail);
    } else if (command.kind === "stop") {
      const cpu = process.cpuUsage(cpuAtStart);
      const cpuUs = cpu.user + cpu.system;
      const peakRssMb = readPeakRssMb();
      Promise.resolve(client?.stop()).then(() => {
        process.send?.({ kind: "measured", cpuUs, peakRssMb }, undefined, undefined, () => process.disconnect());
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
