// Types and comments that a compiler takes away, so that lines and columns of what runs are others than here.
import { defineWorker, TaskHandler } from "ostinato";

interface Input {
  readonly what: string;
}

/** The test looks for the line of its loop. */
function findsNoEnd(from: number): number {
  let n: number = from;
  for (;;) n = (n + 1) % 7;
}

const worker = defineWorker<Input>({
  taskDefName: process.env.TASK_TYPE!,
  longPollMs: 100,
  execute: async (input: Input): Promise<number> => {
    if (input.what !== "wedge") return 0;
    process.stdout.write(`stuck at ${Date.now()}\n`);
    return findsNoEnd(1);
  },
});
await new TaskHandler({
  requestTimeoutMs: 200,
  stallTimeoutSeconds: 1.3,
  serverUrl: process.env.SERVER_URL!,
  workers: [worker],
}).run();
