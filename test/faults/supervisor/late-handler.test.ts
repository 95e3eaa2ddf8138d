import { describe, test } from "vitest";
import { withSupervisor } from "../../support/supervisor/with-supervisor.js";
import { waitFor } from "../../support/time/wait-for.js";

describe("the supervisor", () => {
  test("what a dead process had is ended also by a handler that its successor starts later", () => {
    const script = `
    import { TaskHandler, defineWorker } from "ostinato";
    const idle = defineWorker({ taskDefName: "idle", execute: () => ({}) });
    const work = defineWorker({
      taskDefName: "work",
      execute: async ({ ms }) => {
        console.log("began in " + process.pid);
        await new Promise((resolve) => setTimeout(resolve, ms));
        return {};
      },
    });
    await new TaskHandler({ workers: [idle] }).start();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await new TaskHandler({ workers: [work] }).start();
  `;
    return withSupervisor({ script }, async ({ conductor, primary, task, ready }) => {
      const [first] = await ready(1);
      const id = await task({ ms: 3_600_000 });
      await primary.waitForLine(/^began/);
      // The beat that tells of it.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      process.kill(first!, "SIGKILL");
      const failed = async () => (await conductor.workflow(id)).tasks?.[0]?.status === "FAILED";
      await waitFor(failed, { boundMs: 10_000, what: "the task of the dead process to be failed" });
    });
  });
});
