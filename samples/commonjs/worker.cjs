const { defineWorker, TaskHandler } = require("ostinato");

const greet = defineWorker({
  taskDefName: "greet",
  concurrency: 10,
  execute: async (input, ctx) => {
    ctx.log(`greeting ${input.name}`);
    return { message: `Hello ${input.name}` };
  },
});

// Polls the server at CONDUCTOR_SERVER_URL until SIGTERM or Ctrl-C, then finishes and reports what runs.
new TaskHandler({ workers: [greet] }).run().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
