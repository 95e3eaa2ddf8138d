// The floor: what is left when everything but the HTTP exchanges is taken away. No deadlines, no retries, no drain.
import { Pool } from "undici";
import { serveMeasurements } from "./measured-client.mjs";

/** The number of connections a client may open. */
const MAX_CONNECTIONS = 128;
const POLL_TIMEOUT_MS = 100;

serveMeasurements(async ({ serverUrl, taskType, concurrency }) => {
  const { origin, pathname } = new URL(serverUrl);
  const pool = new Pool(origin, { connections: MAX_CONNECTIONS, pipelining: 1, allowH2: false });
  const workerId = `bare-loop:${process.pid}`;
  const headers = { "content-type": "application/json" };
  const execute = () => ({});

  let free = concurrency;
  let stopping = false;
  /** @type {() => void} */
  let wake = () => {};

  async function poll() {
    const path = `${pathname}/tasks/poll/batch/${taskType}?count=${free}&timeout=${POLL_TIMEOUT_MS}&workerid=${workerId}`;
    const { body } = await pool.request({ method: "GET", path });
    return JSON.parse(await body.text());
  }

  /** Updates a task, and goes on with the one that the answer carries. */
  async function lane(task) {
    while (task !== undefined) {
      const result = {
        taskId: task.taskId,
        workflowInstanceId: task.workflowInstanceId,
        workerId,
        status: "COMPLETED",
        outputData: execute(),
      };
      const { statusCode, body } = await pool.request({
        method: "POST",
        path: `${pathname}/tasks/update-v2`,
        headers,
        body: JSON.stringify(result),
      });
      const text = await body.text();
      if (statusCode !== 200 && statusCode !== 204) throw new Error(`update answered ${statusCode}: ${text}`);
      task = statusCode === 200 && !stopping ? JSON.parse(text) : undefined;
    }
    free++;
    wake();
  }

  async function loop() {
    while (!stopping) {
      if (free === 0) {
        await new Promise((resolve) => {
          wake = resolve;
        });
        continue;
      }
      for (const task of await poll()) {
        free--;
        // A rejection ends the process: a floor that stumbles is no floor.
        void lane(task);
      }
    }
  }

  const running = loop();
  return {
    async stop() {
      stopping = true;
      wake();
      await running;
      await pool.close();
    },
  };
});
