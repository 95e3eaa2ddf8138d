// Measured processes run as plain Node runs an installed package: no loader in the process, and the build, not the source.

/**
 * @typedef {{ pollInterval?: number, pollTimeout?: number, connections?: number, requestTimeoutMs?: number,
 *   quiet?: boolean }} Settings of the official SDK; what is left out has its default
 * @typedef {{ serverUrl: string, handlers: string[][], concurrency: number, settings?: Settings }} ClientOptions
 *   a list of task types for each handler
 * @typedef {{ stop(): Promise<unknown> }} RunningClient
 */

/**
 * Does what the parent says: starts the client, tells when so many tasks were executed and what CPU time was used, and
 * stops it.
 *
 * @param {(options: ClientOptions, execute: () => void) => Promise<RunningClient[]>} start
 */
export function serveClient(start) {
  /** @type {RunningClient[]} */
  let running = [];
  let executed = 0;
  let expected = Infinity;

  /** @param {object} message */
  const tell = (message) => process.send?.(message);
  const tellIfExecuted = () => {
    if (executed < expected) return;
    expected = Infinity;
    tell({ kind: "executed" });
  };
  const execute = () => {
    executed += 1;
    tellIfExecuted();
  };

  process.on("message", async (/** @type {any} */ command) => {
    try {
      if (command.kind === "start") {
        running = await start(command.options, execute);
        tell({ kind: "started" });
      } else if (command.kind === "expect") {
        expected = command.tasks;
        tellIfExecuted();
      } else if (command.kind === "usage") {
        const { user, system } = process.cpuUsage();
        tell({ kind: "usage", cpuMs: (user + system) / 1_000 });
      } else if (command.kind === "stop") {
        await Promise.all(running.map((client) => client.stop()));
        tell({ kind: "stopped" });
      }
    } catch (error) {
      console.error(error);
      process.exit(1);
    }
  });
  // Without a parent nobody would ever stop it.
  process.on("disconnect", () => process.exit(1));
  tell({ kind: "ready" });
}
