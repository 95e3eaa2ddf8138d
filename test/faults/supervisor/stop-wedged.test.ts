import { describe, expect, test } from "vitest";
import {
  isAlive,
  lines,
  QUICK_STALL,
  WORKER,
  withSupervisor,
  type Supervised,
} from "../../support/supervisor/with-supervisor.js";
import { waitFor } from "../../support/time/wait-for.js";

/** From the moment a process is stuck until its own watchdog has ended it, in ms. */
const ENDED_MS = QUICK_STALL.stallTimeoutSeconds * 1_000 + 3_000;
const OTHERS = 9;
const options = { args: ["--processes", "2"], handler: QUICK_STALL };

/** One process runs a task that gets stuck now, or when `act` says; both run tasks of two seconds. */
async function withOthers({ primary, conductor, task, ready }: Supervised, act: string) {
  const children = await ready(2);
  const others = await Promise.all(Array.from({ length: OTHERS }, () => task({ ms: 2_000 })));
  const began = (what: string) => primary.stdout.filter((line) => line.startsWith(`began ${what}`)).length;
  await waitFor(() => began("wait") === OTHERS, { what: "the others to run" });
  const stuck = await task({ act });
  const [, pid] = await primary.waitForLine(new RegExp(`began ${act} in (\\d+)`));
  const victim = Number(pid);
  const living = children.find((child) => child !== victim)!;
  const firstOf = async (id: string) => (await conductor.workflow(id)).tasks[0]!;
  const isOf = async (id: string, child: number) => (await firstOf(id)).workerId?.split(":").at(-2) === `${child}`;
  const ofLiving: string[] = [];
  for (const id of others) if (await isOf(id, living)) ofLiving.push(id);
  return { victim, living, stuck, others, ofLiving, firstOf };
}

describe("stopping the supervisor while a process is stuck", () => {
  test("SIGTERM while a process is stuck: its watchdog ends it, the others finish, and the exit code says so", () =>
    withSupervisor(options, async (supervised) => {
      const { primary } = supervised;
      const { victim, ofLiving, firstOf } = await withOthers(supervised, "spin");
      const askedAt = performance.now();
      primary.signal("SIGTERM");
      expect(await primary.waitForExit(20_000), primary.output).toEqual({ code: 1, signal: null });
      // Not at the end of the drain.
      expect(performance.now() - askedAt).toBeLessThan(ENDED_MS + 1_000);
      for (const id of ofLiving) expect((await firstOf(id)).status).toBe("COMPLETED");
      const ends = lines(primary, "a worker process has ended");
      expect(ends.find(({ childPid }) => childPid === victim)).toMatchObject({ reason: "wedged" });
      expect(ends.find(({ childPid }) => childPid !== victim)).toMatchObject({ reason: "stopped" });
      expect(lines(primary, "a worker process is ready"), "processes that were started").toHaveLength(2);
    }));

  test("a process that gets stuck while all of them drain: its watchdog ends it, and the others finish", () => {
    const script = WORKER.replace(
      'if (act === "spin")',
      'if (act === "spinLater") await new Promise((resolve) => process.once("SIGTERM", () => setTimeout(resolve, 300)));\n' +
        'if (act === "spinLater")',
    );
    return withSupervisor({ ...options, script }, async (supervised) => {
      const { primary } = supervised;
      const { victim, ofLiving, firstOf } = await withOthers(supervised, "spinLater");
      const askedAt = performance.now();
      process.kill(-primary.pid, "SIGTERM");
      expect(await primary.waitForExit(20_000), primary.output).toEqual({ code: 1, signal: null });
      expect(performance.now() - askedAt).toBeLessThan(ENDED_MS + 1_300);
      for (const id of ofLiving) expect((await firstOf(id)).status).toBe("COMPLETED");
      const ends = lines(primary, "a worker process has ended");
      expect(ends.find(({ childPid }) => childPid === victim)).toMatchObject({ reason: "wedged" });
    });
  });

  test("when the primary is killed while a process is stuck, its own watchdog ends it, and the other one finishes", () =>
    withSupervisor(options, async (supervised) => {
      const { primary } = supervised;
      const { victim, living, ofLiving, firstOf } = await withOthers(supervised, "spin");
      const stuckAt = performance.now();
      primary.signal("SIGKILL");
      expect(isAlive(victim)).toBe(true);
      await waitFor(() => !isAlive(victim), { boundMs: ENDED_MS, what: "the one that is stuck to end" });
      expect(performance.now() - stuckAt).toBeGreaterThan(2_000);
      await waitFor(() => !isAlive(living), { boundMs: 15_000, what: "the other one to end" });
      for (const id of ofLiving) {
        const ended = await firstOf(id);
        expect(ended.status).toBe("COMPLETED");
      }
    }));
});
