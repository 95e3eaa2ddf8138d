import { createRequire } from "node:module";
import { act, polling, settings } from "./behaviour.mjs";

// It is no dependency of this package: it is installed beside the benchmark on a real server.
const require = createRequire(new URL("../../real/official/package.json", import.meta.url));
const { OrkesClients, TaskHandler, worker } = require("@io-orkes/conductor-javascript");

const { serverUrl, taskType, concurrency, isShortOfExit } = settings();
const clients = await OrkesClients.from({ serverUrl });
worker({ taskDefName: taskType, concurrency })(async (/** @type {any} */ task) => {
  return { status: "COMPLETED", outputData: await act({ retryCount: 0, ...task }) };
});
const handler = new TaskHandler({ client: clients.getClient() });
// As its README shows it. What stops and does not exit says how much of the loss is the exit's.
process.on("SIGTERM", async () => {
  await handler.stopWorkers();
  if (isShortOfExit !== true) process.exit(0);
});
await handler.startWorkers();
polling();
