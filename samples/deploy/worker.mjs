import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorker, TaskHandler } from "ostinato";

// The same file everywhere: what differs from place to place comes from the environment.

const greet = defineWorker({
  taskDefName: "greet",
  concurrency: 10,
  execute: async ({ name, seconds = 0 }, { signal }) => {
    await sleep(seconds * 1000, undefined, { signal }); // stands for the work
    return { message: `Hello ${name}` };
  },
});

// A folder that outlives the process. systemd sets this variable by itself (StateDirectory=), the Dockerfile likewise.
const stateDirectory = process.env.STATE_DIRECTORY;

await new TaskHandler({
  workers: [greet],
  // Finished results that a killed process could not deliver are delivered by the next one. A folder of its own, because
  // the one it is in may be open to others.
  journal: stateDirectory === undefined ? undefined : { dir: path.join(stateDirectory, "journal") },
}).run();
