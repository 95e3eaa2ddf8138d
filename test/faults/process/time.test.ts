import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect } from "vitest";
import { fault, type FaultRun } from "../../support/faults/fault.js";
import { sleep } from "../../support/faults/helpers.js";
import { misbehaving } from "../../support/faults/misbehaving-worker.js";
import { startProcessWorld, type ProcessWorld } from "../../support/faults/process-world.js";

const group = "Process";
const STOPPED_MS = 8_000;
const HOUR_MS = 3_600_000;

/** Stops a worker and lets it go on, with tasks that run, finish and wait meanwhile; `ids` are their workflows. */
async function stopAndContinue(run: FaultRun, world: ProcessWorld): Promise<string[]> {
  const worker = await world.startWorker(...misbehaving({ stallTimeoutSeconds: 3, executionTimeoutMs: 60_000 }));
  const ids = await world.begin(3, { mode: "slow", data: 2_000 });
  await world.began(3);
  worker.signal("SIGSTOP");
  ids.push(...(await world.begin(5)));
  await sleep(STOPPED_MS);
  worker.signal("SIGCONT");
  run.injected();
  await run.worksAgain(world);
  await world.done(ids);
  // Longer than the stall timeout: it does not end itself later, either.
  await sleep(4_000);
  expect(worker.running, worker.output).toBe(true);
  return ids;
}

describe.concurrent("a process that is stopped", () => {
  const name = "SIGSTOP for 8 s, then SIGCONT";
  const guard = "the watchdog counts its own ticks; answers that came meanwhile are read";

  fault({ number: 34, group, name, variant: "tasks have an hour", boundMs: 2_000, guard }, async (run) => {
    const world = await startProcessWorld(run);
    const ids = await stopAndContinue(run, world);
    for (const { tasks } of await world.done(ids)) expect(tasks).toHaveLength(1);
    const failed = world.workers[0]?.events.filter((event) => event.name === "pollFailed");
    expect(failed, "polls whose answer was given up").toEqual([]);
    return "Longer than the stall timeout (3 s) and every request's deadline: the process went on where it was. Results were accepted, tasks that had been given to its poll meanwhile were run, and nothing ran twice.";
  });

  fault({ number: 34, group, name, variant: "tasks have 3 s", boundMs: 2_000, guard }, async (run) => {
    const mayTimeOut = "a process that is stopped extends no lease";
    const world = await startProcessWorld(run, { taskDef: { responseTimeoutSeconds: 3 }, mayTimeOut });
    const ids = await stopAndContinue(run, world);
    for (const { tasks } of await world.done(ids)) expect(tasks.length).toBeLessThanOrEqual(2);
    return "The server had timed its tasks out meanwhile; their retries ran once.";
  });
});

/** Where packages put it, on any architecture. */
function findLibfaketime(): string {
  const folders = ["/usr/lib", ...readdirSync("/usr/lib").map((folder) => path.join("/usr/lib", folder))];
  const found = folders
    .map((folder) => path.join(folder, "faketime", "libfaketimeMT.so.1"))
    .find((file) => existsSync(file));
  if (found === undefined) throw new Error("libfaketime is not installed: apt-get install faketime");
  return found;
}

describe.concurrent("a wall clock that jumps", () => {
  for (const [variant, jumpMs] of [
    ["an hour ahead", HOUR_MS],
    ["an hour back", -HOUR_MS],
  ] as const) {
    fault(
      {
        number: 35,
        group,
        name: "the wall clock jumps",
        variant,
        boundMs: 2_000,
        guard: "everything that waits or measures uses the monotonic clock",
      },
      async (run) => {
        const folder = mkdtempSync(path.join(tmpdir(), "ostinato-clock-"));
        run.onEnd(() => {
          rmSync(folder, { recursive: true, force: true });
        });
        const file = path.join(folder, "offset");
        writeFileSync(file, "+0");
        const world = await startProcessWorld(run, { taskDef: { responseTimeoutSeconds: 2 } });
        const worker = await world.startWorker(
          ...misbehaving(
            { stallTimeoutSeconds: 3, executionTimeoutMs: 60_000 },
            {
              env: {
                LD_PRELOAD: findLibfaketime(),
                FAKETIME_TIMESTAMP_FILE: file,
                FAKETIME_NO_CACHE: "1",
                FAKETIME_DONT_FAKE_MONOTONIC: "1",
              },
            },
          ),
        );
        const wallMs = async (): Promise<number> => {
          const [workflow] = await world.done(await world.begin(1, { mode: "tellsTime" }));
          return Number(workflow?.tasks[0]?.outputData.wallMs);
        };
        expect(Math.abs((await wallMs()) - Date.now())).toBeLessThan(2_000);
        const ids = await world.begin(3, { mode: "slow", data: 6_000 });
        await world.began(4);
        await sleep(1_500);
        writeFileSync(file, jumpMs > 0 ? `+${jumpMs / 1_000}` : String(jumpMs / 1_000));
        run.injected();
        await run.worksAgain(world);
        expect(Math.abs((await wallMs()) - Date.now() - jumpMs), "ms off the clock that jumped").toBeLessThan(5_000);
        for (const { tasks } of await world.done(ids)) expect(tasks).toHaveLength(1);
        const events = (name: string) => worker.events.filter((event) => event.name === name);
        expect(events("leaseExtended").length, "leases that were extended").toBeGreaterThanOrEqual(9);
        for (const name of ["pollFailed", "taskUpdateFailed", "deadlineExceeded", "connectionsRecycled"] as const) {
          expect(events(name), name).toEqual([]);
        }
        expect(worker.running).toBe(true);
        return "Nothing noticed: no deadline, no lease, no poll and no watchdog goes by it.";
      },
    );
  }
});
