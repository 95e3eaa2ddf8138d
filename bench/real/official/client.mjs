import { clearWorkerRegistry, OrkesClients, TaskHandler, worker } from "@io-orkes/conductor-javascript";
import { serveClient } from "../clients/serve.mjs";

const quietLogger = {
  debug() {},
  info() {},
  warn: (/** @type {unknown[]} */ ...args) => console.warn(...args),
  error: (/** @type {unknown[]} */ ...args) => console.error(...args),
};

/** Without the options that are undefined: only then does the SDK take its defaults. */
const given = (/** @type {object} */ options) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

serveClient(async ({ serverUrl, handlers, concurrency, settings = {} }, execute) => {
  const { pollInterval, pollTimeout, connections, requestTimeoutMs, quiet } = settings;
  const logger = quiet === true ? quietLogger : undefined;
  const running = [];
  for (const taskTypes of handlers) {
    // Each handler stands for a process of its own: own connections, own workers.
    const clients = await OrkesClients.from(
      given({ serverUrl, maxHttp2Connections: connections, requestTimeoutMs, logger }),
    );
    clearWorkerRegistry();
    for (const taskDefName of taskTypes) {
      worker(given({ taskDefName, concurrency, pollInterval, pollTimeout }))(async () => {
        execute();
        return { status: "COMPLETED", outputData: {} };
      });
    }
    const handler = new TaskHandler(given({ client: clients.getClient(), logger }));
    await handler.startWorkers();
    running.push({ stop: () => handler.stopWorkers() });
  }
  return running;
});
