import { describe, expect, test } from "vitest";
import type { UpdateReceived } from "../../../src/testing/index.js";
import {
  canMakeTerminals,
  canUnshare,
  lines,
  withSupervisor,
  type Supervised,
  type SupervisedOptions,
} from "../../support/supervisor/with-supervisor.js";
import { waitFor } from "../../support/time/wait-for.js";

if (!canMakeTerminals) console.warn("NOT RUN: some tests of signals need `script` of util-linux");

const CTRL_C = "\x03";
const AN_HOUR_MS = 3_600_000;
const DRAIN_MS = 4_000;
/** What the end of the processes may take after the last task has left, on a busy machine, in ms. */
const LEAVING_MS = 3_000;
/** Two processes are full with these: as many that end within the drain as do not. */
const HUNDRED = { concurrency: 50, args: ["--processes", "2", "--drain-timeout-ms", `${DRAIN_MS}`] };

interface Hundred {
  readonly brief: readonly string[];
  readonly long: readonly string[];
}

/** Fifty tasks of a second and fifty of an hour, all of them running. */
async function hundredInFlight({ primary, task, ready }: Supervised): Promise<Hundred> {
  await ready(2);
  const fifty = (ms: number) => Promise.all(Array.from({ length: 50 }, () => task({ ms })));
  const long = await fifty(AN_HOUR_MS);
  const brief = await fifty(1_000);
  await waitFor(() => began(primary) === 100, { boundMs: 15_000, what: () => `100 to run, not ${began(primary)}` });
  return { brief, long };
}

const began = (primary: Supervised["primary"]) => primary.stdout.filter((line) => line.startsWith("began")).length;

/** Each task of the hundred was finished, or went back to its queue within the drain; nothing was failed or lost. */
async function expectAllTakenCareOf({ conductor }: Supervised, { brief, long }: Hundred, askedAt: number) {
  const statuses = async (ids: readonly string[]) => {
    const count: Record<string, number> = {};
    for (const id of ids) {
      const { tasks } = await conductor.workflow(id);
      expect(tasks, "attempts").toHaveLength(1);
      const status = tasks[0]!.status;
      count[status] = (count[status] ?? 0) + 1;
    }
    return count;
  };
  expect(await statuses(brief)).toEqual({ COMPLETED: 50 });
  expect(await statuses(long)).toEqual({ SCHEDULED: 50 });
  const audit = await conductor.audit();
  expect(audit.violations).toEqual({ lost: [], reportedMoreThanOnce: [], handedOutTwice: [] });
  expect(audit.handedBack).toBe(50);
  const handBacks = (await conductor.ledger()).filter(
    (entry): entry is UpdateReceived => entry.kind === "update" && entry.status === "IN_PROGRESS",
  );
  const lastMs = Math.max(...handBacks.map(({ at }) => at)) - askedAt;
  expect(lastMs, "ms until the last was given back").toBeLessThan(DRAIN_MS);
}

interface Row {
  readonly name: string;
  readonly options?: SupervisedOptions;
  readonly canRun?: boolean;
  readonly send: (supervised: Supervised) => void | Promise<void>;
}

const groupOf = ({ primary }: Supervised) => -primary.pid;
const bothDrain = (supervised: Supervised) =>
  waitFor(() => lines(supervised.primary, "stopping: no further polls").length === 2, { what: "both to drain" });

const rows: readonly Row[] = [
  {
    name: "SIGTERM to the primary",
    send: ({ primary }) => void primary.signal("SIGTERM"),
  },
  {
    name: "Ctrl-C in a terminal",
    options: { inTerminal: true },
    canRun: canMakeTerminals,
    send: ({ primary }) => {
      primary.write(CTRL_C);
    },
  },
  {
    name: "Ctrl-C in a terminal, pressed again at once",
    options: { inTerminal: true },
    canRun: canMakeTerminals,
    async send(supervised) {
      supervised.primary.write(CTRL_C);
      await bothDrain(supervised);
      supervised.primary.write(CTRL_C);
    },
  },
  {
    name: "SIGTERM to the whole group",
    send: (supervised) => void process.kill(groupOf(supervised), "SIGTERM"),
  },
  {
    name: "SIGTERM to the whole group, twice within 2 s",
    async send(supervised) {
      process.kill(groupOf(supervised), "SIGTERM");
      await bothDrain(supervised);
      process.kill(groupOf(supervised), "SIGTERM");
    },
  },
  {
    name: "SIGTERM as the first process of a container",
    options: { asFirstProcess: true },
    canRun: canUnshare,
    send: ({ primary }) => {
      primary.write("TERM\n");
    },
  },
  {
    name: "SIGTERM while the server is away, and it comes back within the drain",
    async send(supervised) {
      const { primary, proxy } = supervised;
      proxy.refuse();
      proxy.resetAll();
      primary.signal("SIGTERM");
      await bothDrain(supervised);
      const drainsAt = performance.now();
      // The brief ones finish meanwhile, and cannot be delivered.
      await waitFor(() => performance.now() - drainsAt > 1_500, { what: "1.5 s" });
      await proxy.accept();
    },
  },
];

describe("signals to the supervisor", () => {
  describe("a hundred tasks in flight: each is finished or handed back within the drain, and the exit code is 0", () => {
    for (const { name, options, canRun = true, send } of rows) {
      test.runIf(canRun)(name, () =>
        withSupervisor({ ...HUNDRED, ...options }, async (supervised) => {
          const { primary } = supervised;
          const hundred = await hundredInFlight(supervised);
          const askedAt = Date.now();
          await send(supervised);
          expect(await primary.waitForExit(30_000), primary.output).toEqual({ code: 0, signal: null });
          expect(Date.now() - askedAt).toBeLessThan(DRAIN_MS + LEAVING_MS);
          await expectAllTakenCareOf(supervised, hundred, askedAt);
        }),
      );
    }
  });

  test.runIf(canMakeTerminals)(
    "Ctrl-C in a terminal again, later than two seconds: the drain is cut short, exit 0",
    () =>
      withSupervisor(
        { ...HUNDRED, inTerminal: true, args: ["--processes", "2", "--drain-timeout-ms", "40000"] },
        async (supervised) => {
          const { primary } = supervised;
          const hundred = await hundredInFlight(supervised);
          const askedAt = Date.now();
          primary.write(CTRL_C);
          await bothDrain(supervised);
          // The supervisor's own, not what a worker's would be without one.
          for (const { drainTimeoutMs } of lines(primary, "stopping: no further polls")) {
            expect(drainTimeoutMs as number).toBeGreaterThan(39_000);
          }
          await waitFor(() => Date.now() - askedAt > 2_200, { what: "2.2 s" });
          expect(primary.running).toBe(true);
          primary.write(CTRL_C);
          expect(await primary.waitForExit(10_000), primary.output).toEqual({ code: 0, signal: null });
          await expectAllTakenCareOf(supervised, hundred, askedAt);
        },
      ),
  );

  test("SIGTERM to one process: it finishes or hands back what it has, and the others go on with that", () =>
    withSupervisor(HUNDRED, async (supervised) => {
      const { conductor, primary, ready } = supervised;
      const { brief, long } = await hundredInFlight(supervised);
      const [one, other] = await ready(2);
      const ofOne: string[] = [];
      const ofOther: string[] = [];
      for (const id of long) {
        const { workerId } = (await conductor.workflow(id)).tasks[0]!;
        (workerId?.includes(`:${one}:`) ? ofOne : ofOther).push(id);
      }
      // One of them may have taken all that were there.
      const [victim, wereVictims] = ofOne.length > ofOther.length ? [one!, ofOne] : [other!, ofOther];
      expect(wereVictims.length).toBeGreaterThan(0);
      process.kill(victim, "SIGTERM");
      await ready(3, 20_000);
      expect(lines(primary, "a worker process has ended")[0]).toMatchObject({ childPid: victim, reason: "stopped" });
      for (const id of brief) expect((await conductor.waitForWorkflow(id)).tasks).toHaveLength(1);
      await waitFor(() => began(primary) === 100 + wereVictims.length, {
        boundMs: 15_000,
        what: "what was handed back to run again",
      });
      for (const id of wereVictims) {
        const { tasks } = await conductor.workflow(id);
        expect(tasks).toHaveLength(1);
        expect(tasks[0]).toMatchObject({ status: "IN_PROGRESS", pollCount: 2 });
        expect(tasks[0]!.workerId).not.toContain(`:${victim}:`);
      }
    }));

  test("SIGTERM while the server is away until the end: it ends in time all the same", () =>
    withSupervisor(HUNDRED, async (supervised) => {
      const { conductor, primary, proxy } = supervised;
      const { brief, long } = await hundredInFlight(supervised);
      proxy.refuse();
      proxy.resetAll();
      const askedAt = Date.now();
      primary.signal("SIGTERM");
      expect(await primary.waitForExit(30_000), primary.output).toEqual({ code: 0, signal: null });
      expect(Date.now() - askedAt).toBeLessThan(DRAIN_MS + LEAVING_MS);
      // Nothing is given up in silence; and a result, with what it was.
      const undelivered = lines(primary, '"level":50') as { taskId: string; result?: unknown }[];
      expect(new Set(undelivered.map(({ taskId }) => taskId)).size).toBe(100);
      expect(undelivered.filter(({ result }) => result !== undefined)).toHaveLength(50);
      for (const id of [...brief, ...long]) {
        expect((await conductor.workflow(id)).tasks[0]!.status).toBe("IN_PROGRESS");
      }
    }));
});
