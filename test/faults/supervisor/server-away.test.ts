import { describe, expect, test } from "vitest";
import { isAlive, lines, withSupervisor, type Supervised } from "../../support/supervisor/with-supervisor.js";
import { waitFor } from "../../support/time/wait-for.js";

const AN_HOUR_MS = 3_600_000;
/** From the server's return until each task of a process that ended meanwhile runs again, in ms. */
const RUNS_AGAIN_MS = 10_000;

/** Twelve endless tasks in two processes; then the server goes away, and `end` ends the first process. */
async function loseOne(supervised: Supervised, end: NodeJS.Signals, awayMs: number) {
  const { conductor, primary, proxy, task, ready } = supervised;
  const [victim] = await ready(2);
  const ids = await Promise.all(Array.from({ length: 12 }, () => task({ ms: AN_HOUR_MS })));
  const began = () => primary.stdout.filter((line) => line.startsWith("began")).length;
  await waitFor(() => began() === 12, { what: "12 to run" });
  const lastOf = async (id: string) => (await conductor.workflow(id)).tasks.at(-1)!;
  const isOf = (workerId: string | undefined, pid: number) => workerId?.includes(`:${pid}:`) === true;
  const itsTasks: string[] = [];
  for (const id of ids) if (isOf((await lastOf(id)).workerId, victim!)) itsTasks.push(id);
  expect(itsTasks.length).toBeGreaterThan(0);

  proxy.refuse();
  proxy.resetAll();
  const awayAt = performance.now();
  process.kill(victim!, end);
  await waitFor(() => !isAlive(victim!), { boundMs: 20_000, what: "it to end" });
  await ready(3, 20_000);
  await waitFor(() => performance.now() - awayAt > awayMs, { boundMs: awayMs + 5_000, what: "the server's absence" });
  await proxy.accept();
  await waitFor(
    async () => {
      for (const id of itsTasks) {
        const { status, workerId } = await lastOf(id);
        if (status !== "IN_PROGRESS" || isOf(workerId, victim!)) return false;
      }
      return true;
    },
    { boundMs: RUNS_AGAIN_MS, everyMs: 50, what: () => `its tasks to run again; ${primary.output.slice(-6_000)}` },
  );
  // Nothing of the process that lives was touched.
  for (const id of ids.filter((each) => !itsTasks.includes(each))) {
    expect((await conductor.workflow(id)).tasks).toEqual([expect.objectContaining({ pollCount: 1 })]);
  }
}

const options = { args: ["--processes", "2", "--drain-timeout-ms", "1000"] };

describe("the supervisor while the server is away", () => {
  test("killed while the server is away for long: what it had runs again when the server is back", () =>
    withSupervisor(options, async (supervised) => {
      await loseOne(supervised, "SIGKILL", 25_000);
    }));

  test("drained while the server was away: what it could not give back runs again when the server is back", () =>
    withSupervisor(options, async (supervised) => {
      await loseOne(supervised, "SIGTERM", 5_000);
      expect(lines(supervised.primary, "a worker process has ended")[0]).toMatchObject({ reason: "stopped" });
    }));
});
