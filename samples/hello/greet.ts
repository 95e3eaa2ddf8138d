import { defineWorker, TaskHandler } from "ostinato";

const greet = defineWorker({
  taskDefName: "greet",
  concurrency: 10,
  execute: async ({ name }: { name: string }, ctx) => {
    const message = `Hello ${name}`;
    ctx.logger.info({ greeted: name }, message);
    return { message };
  },
});

// Polls the server at CONDUCTOR_SERVER_URL, by default http://localhost:8080/api.
// Returns after SIGTERM or Ctrl-C, when what ran has been finished and reported.
await new TaskHandler({ workers: [greet] }).run();
