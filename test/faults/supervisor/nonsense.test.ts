import { describe, expect } from "vitest";
import { fault } from "../../support/faults/fault.js";
import { sleep } from "../../support/faults/helpers.js";
import { startProcessWorld } from "../../support/faults/process-world.js";
import { talkative } from "../../support/faults/talkative-worker.js";
import { waitFor } from "../../support/time/wait-for.js";

describe("the channel between a supervisor and its process", () => {
  fault(
    {
      number: 59,
      group: "Bounds",
      name: "a process sends its supervisor nonsense",
      boundMs: 2_000,
      guard: "messages are checked where they arrive",
    },
    async (run) => {
      const world = await startProcessWorld(run);
      const primary = await world.startWorker(...talkative());
      const [, url = ""] = await primary.waitForLine(/^admin (http.+)$/);
      const answer = async (page: string) => {
        const response = await fetch(`${url}/${page}`);
        return { status: response.status, text: await response.text() };
      };
      await waitFor(async () => (await answer("readyz")).status === 200, { what: "it to be ready" });
      const ids = await world.begin(5);
      for (let i = 0; i < 20; i += 1) {
        for (const page of ["livez", "readyz", "status", "metrics"]) {
          const { status, text } = await answer(page);
          expect({ page, status }, `${text}\n${primary.output}`).toEqual({ page, status: 200 });
        }
        await sleep(100);
      }
      run.injected();
      await run.worksAgain(world);
      await world.done(ids);
      const { text } = await answer("metrics");
      expect(text).toContain("task_execution_started_total");
      expect(text).not.toContain("no_help");
      const said = primary.stdout.filter((line) => line.includes("does not understand"));
      expect(said).toHaveLength(1);
      expect(primary.running).toBe(true);
      return "For 2 s the process sent sixteen kinds of odd messages, ten times a second, and odd metrics. Health, status and metrics were answered with 200, tasks were done, and one line said that it was not understood.";
    },
  );
});
