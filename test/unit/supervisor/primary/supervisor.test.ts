import { describe, expect, test, vi } from "vitest";
import { safeLogger } from "../../../../src/log/logger.js";
import type { HeldTask } from "../../../../src/runner/recovery/held-task.js";
import { judgeLive, judgeReady } from "../../../../src/supervisor/primary/health.js";
import { silentLogger } from "../../../support/log/loggers.js";
import { createSupervision, RUNNER } from "../../../support/unit/supervisor.js";

const held = (taskId: string, state: HeldTask["state"] = "running"): HeldTask => ({
  taskId,
  workflowInstanceId: "wf",
  taskType: "t",
  workerId: "w100",
  pollCount: 1,
  state,
});

describe("the supervisor", () => {
  describe("replacing", () => {
    test("what dies is replaced at once, the next times later, and after a healthy minute at once again", () => {
      const { clock, children, child, supervisor } = createSupervision();
      child().ready();
      child().exit(1);
      expect(children).toHaveLength(2);
      child().ready();
      child().exit(1);
      expect(children).toHaveLength(2);
      clock.advance(499);
      expect(children).toHaveLength(2);
      clock.advance(1);
      expect(children).toHaveLength(3);
      child().ready();
      for (let i = 0; i < 60; i += 1) {
        clock.advance(1_000);
        child().beat();
      }
      child().exit(null, "SIGSEGV");
      expect(children).toHaveLength(4);
      expect(supervisor.status.restarts).toMatchObject({ crashed: 2, killed: 1, stopped: 0 });
    });

    test("a child that was signalled drains, tells so, and is replaced", () => {
      const { children, child, supervisor } = createSupervision();
      child().ready();
      child().drained();
      expect(children).toHaveLength(2);
      expect(supervisor.status.restarts.stopped).toBe(1);
    });

    test("a signalled child that does not end is killed and replaced", () => {
      const { clock, children, child, supervisor } = createSupervision();
      child().ready("off");
      child().tell({ kind: "stopping" });
      clock.advance(32_999);
      expect(children).toHaveLength(1);
      clock.advance(1);
      expect(children[0]?.signals).toEqual(["SIGKILL"]);
      expect(children).toHaveLength(2);
      expect(supervisor.status.processes[0]?.lastExit?.description).toContain("its drain had not ended in time");
    });

    test("a handler that is stopped and started by the script's own code is nobody's business", () => {
      const { clock, children, child, states } = createSupervision();
      child().ready("off");
      child().tell({ kind: "stopped", leftInFlight: 0, metrics: [] });
      clock.advance(10_000);
      expect(states()).toEqual(["stopping"]);
      child().ready("off");
      clock.advance(60_000);
      expect(states()).toEqual(["ready"]);
      expect(children).toHaveLength(1);
    });
  });

  test("what a child of another version tells, and cannot be read, ends nobody", () => {
    const lines: string[] = [];
    const log = safeLogger({ ...silentLogger, warn: (_fields, message) => void lines.push(message) });
    const { clock, children, child, supervisor } = createSupervision({ log });
    child().ready();
    for (const kind of ["ready", "beat", "stopped", "metrics", "reclaimed", "later"])
      for (const more of [{}, { status: {} }, { status: { runners: [] } }]) child().tell({ kind, ...more } as never);
    child().ready();
    expect(lines.filter((line) => line.includes("same version"))).toHaveLength(1);
    clock.advance(1_000);
    expect(supervisor.status.processes[0]?.status).toMatchObject({ state: "running" });
    child().exit(null, "SIGKILL");
    expect(children).toHaveLength(2);
  });

  test("names of metrics are bounded, however many a child invents, and it is said once", async () => {
    const warn = vi.fn();
    const { clock, child, supervisor } = createSupervision({ log: safeLogger({ ...silentLogger, warn }) });
    child().ready("off");
    for (let i = 0; i < 5; i += 1) {
      const values = [{ value: i, labels: {} }];
      const names = Array.from({ length: 4_000 }, (_, n) => `m${i}_${n}`);
      const metrics = names.map((name) => ({ name, help: "", type: "counter", values }));
      child().tell({
        kind: "stopped",
        leftInFlight: 0,
        metrics: [...metrics, { name: "same", help: "", type: "counter", values }],
      });
    }
    const page = supervisor.metrics();
    await clock.advanceAsync(1_500);
    const lines = (await page).split("\n");
    expect(lines.filter((line) => /^m\d/.test(line))).toHaveLength(9_999);
    expect(lines).toContain('same{process="0"} 4');
    expect(warn.mock.calls.filter(([, text]) => String(text).includes("too many names"))).toHaveLength(1);
  });

  describe("silence", () => {
    test("a child that does not beat for its stall timeout and five seconds is killed", () => {
      const { clock, children, child, supervisor } = createSupervision();
      child().ready(10_000);
      clock.advance(14_000);
      expect(children[0]?.signals).toEqual([]);
      clock.advance(2_000);
      expect(children[0]?.signals).toEqual(["SIGKILL"]);
      expect(children).toHaveLength(2);
      expect(supervisor.status.restarts.wedged).toBe(1);
    });

    test("one that beats lives", () => {
      const { clock, children, child } = createSupervision();
      child().ready(10_000);
      for (let i = 0; i < 100; i += 1) {
        clock.advance(1_000);
        child().beat();
      }
      expect(children).toHaveLength(1);
    });

    test("beats of a process whose loops do not iterate do not count", () => {
      const { clock, children, child } = createSupervision();
      child().ready(10_000);
      const stuck = { ...RUNNER, lastBeatAgoMs: 20_000 };
      for (let i = 0; i < 16; i += 1) {
        clock.advance(1_000);
        child().beat([], { runners: [stuck] });
      }
      expect(children[0]?.signals).toEqual(["SIGKILL"]);
    });

    test("where stalls are not watched for, silence is no reason", () => {
      const { clock, children, child } = createSupervision();
      child().ready("off");
      clock.advance(3_600_000);
      expect(children).toHaveLength(1);
    });

    test("a supervisor that was stopped itself kills nobody for it: its own ticks count", async () => {
      const { clock, children, child, supervisor } = createSupervision();
      child().ready(10_000);
      // One tick that comes an hour late.
      const now = clock.now.bind(clock);
      clock.now = () => now() + 3_600_000;
      clock.advance(1_000);
      expect(children[0]?.signals).toEqual([]);
      expect(supervisor.status.processes[0]?.silentMs).toBeLessThan(3_000);
    });
  });

  describe("starting", () => {
    test("a script that fails at its first start ends the supervisor, which says why", async () => {
      const { children, child, supervisor } = createSupervision({ processes: 1 });
      child().exit(1, null, "SyntaxError: Unexpected token");
      const end = await supervisor.exited;
      expect(end.code).toBe(1);
      expect(end.failure).toBe(
        "the worker script does not start:\n  process 0: crashed (exit code 1): SyntaxError: Unexpected token",
      );
      expect(children).toHaveLength(1);
    });

    test("the other processes are ended as well", async () => {
      const { child, supervisor } = createSupervision({ processes: 2 });
      child(0).exit(1);
      expect(child(1).signals).toEqual(["SIGTERM"]);
      child(1).exit(null, "SIGTERM");
      expect((await supervisor.exited).code).toBe(1);
    });

    test("a script that starts no handler is killed and told of", async () => {
      const { clock, child, supervisor } = createSupervision({ startTimeoutMs: 5_000 });
      clock.advance(5_000);
      expect(child().signals).toEqual(["SIGKILL"]);
      expect((await supervisor.exited).failure).toContain("did not start a handler in time");
    });

    test("a start that is slow is said, once, and is not the end of it", () => {
      const warnings: string[] = [];
      const log = safeLogger({ ...silentLogger, warn: (_, text) => warnings.push(text) });
      const { clock, children, child, states } = createSupervision({ log });
      clock.advance(9_999);
      expect(warnings).toEqual([]);
      clock.advance(20_000);
      expect(warnings).toEqual([expect.stringContaining("has not started a handler yet")]);
      child().ready("off");
      clock.advance(60_000);
      expect(states()).toEqual(["ready"]);
      expect([warnings.length, children.length]).toEqual([1, 1]);
    });

    test("five starts in a row that fail later end it, with the list of them", async () => {
      const { clock, children, child, supervisor } = createSupervision();
      child().ready();
      for (let i = 0; i < 6; i += 1) {
        child().exit(10 + i);
        clock.advance(40_000);
      }
      const end = await supervisor.exited;
      expect(children).toHaveLength(6);
      expect(end.failure).toBe(
        "5 worker processes in a row ended before they started a handler:\n" +
          [11, 12, 13, 14, 15].map((code) => `  process 0: crashed (exit code ${code})`).join("\n"),
      );
      expect(end.code).toBe(1);
    });

    test("while another one works, starts are tried for ever", () => {
      const { clock, child, supervisor } = createSupervision({ processes: 2 });
      child(0).ready("off");
      child(1).ready("off");
      for (let i = 0; i < 30; i += 1) {
        child(1).exit(1);
        clock.advance(40_000);
      }
      expect(supervisor.status.state).toBe("running");
    });
  });

  describe("stopping", () => {
    test("children are asked by message; one that is not ready yet by a signal; 0 when all drained", async () => {
      const { child, supervisor } = createSupervision({ processes: 2 });
      child(0).ready();
      const ended = supervisor.stop();
      expect(child(0).orders).toContainEqual({ kind: "drain", drainTimeoutMs: 25_000 });
      expect(child(0).signals).toEqual([]);
      expect(child(1).signals).toEqual(["SIGTERM"]);
      child(0).drained();
      child(1).exit(null, "SIGTERM");
      expect((await ended).code).toBe(0);
      expect(supervisor.status.state).toBe("stopped");
    });

    test("one that becomes ready while all stop is asked to drain for what is left", () => {
      const { clock, child, supervisor } = createSupervision();
      void supervisor.stop(10_000);
      clock.advance(4_000);
      child().ready();
      expect(child().orders).toContainEqual({ kind: "drain", drainTimeoutMs: 6_000 });
    });

    test("asked again it only gets shorter", () => {
      const { clock, child, supervisor } = createSupervision();
      child().ready();
      void supervisor.stop(10_000);
      void supervisor.stop(20_000);
      clock.advance(2_000);
      void supervisor.stop(0);
      const drains = child().orders.filter(({ kind }) => kind === "drain");
      expect(drains).toEqual([
        { kind: "drain", drainTimeoutMs: 10_000 },
        { kind: "drain", drainTimeoutMs: 0 },
      ]);
    });

    test("what has not ended by the deadline and a margin is killed, and the exit code says so", async () => {
      const { clock, child, supervisor } = createSupervision();
      child().ready("off");
      const ended = supervisor.stop(10_000);
      clock.advance(17_999);
      expect(child().signals).toEqual([]);
      clock.advance(1);
      expect(child().signals).toEqual(["SIGKILL"]);
      expect((await ended).code).toBe(1);
    });

    test("a process that had to be killed long before does not count at the end", async () => {
      const { clock, child, supervisor } = createSupervision();
      child().ready("off");
      void supervisor.roll();
      clock.advance(40_000);
      child().ready("off");
      const ended = supervisor.stop();
      child().drained();
      expect((await ended).code).toBe(0);
    });

    test("a process that goes on although its handlers have stopped is ended soon", async () => {
      const { clock, child, supervisor } = createSupervision();
      child().ready("off");
      void supervisor.stop();
      child().tell({ kind: "stopped", leftInFlight: 0, metrics: [] });
      clock.advance(1_000);
      expect(child().signals).toEqual(["SIGTERM"]);
      clock.advance(9_000);
      expect(child().signals).toEqual(["SIGTERM", "SIGKILL"]);
      expect((await supervisor.exited).code).toBe(0);
    });

    test("one whose own code had stopped its handlers has nothing to drain", async () => {
      const { clock, child, supervisor } = createSupervision();
      child().ready("off");
      child().tell({ kind: "stopped", leftInFlight: 0, metrics: [] });
      clock.advance(60_000);
      void supervisor.stop();
      clock.advance(10_000);
      expect(child().signals).toEqual(["SIGTERM", "SIGKILL"]);
      expect((await supervisor.exited).code).toBe(0);
    });

    test("however one ends that was held after its handlers had stopped, all is drained", async () => {
      const { clock, child, supervisor } = createSupervision();
      child().ready("off");
      void supervisor.stop();
      child().tell({ kind: "stopped", leftInFlight: 0, metrics: [] });
      clock.advance(1_000);
      child().exit(null, "SIGTERM");
      expect((await supervisor.exited).code).toBe(0);
    });

    test("nothing is started any more, and no timer is left", async () => {
      const { clock, children, child, supervisor } = createSupervision();
      child().ready();
      child().exit(1);
      child().exit(1);
      void supervisor.stop();
      await supervisor.exited;
      clock.advance(120_000);
      expect(children).toHaveLength(2);
      expect(clock.pendingTimers).toBe(0);
    });
  });

  describe("rolling", () => {
    test("ordered again in the middle, it replaces also what it had replaced before", async () => {
      const { supervisor, child, children } = createSupervision({ processes: 2 });
      child(0).ready();
      child(1).ready();
      const first = supervisor.roll();
      child(0).drained();
      child(0).ready();
      const second = supervisor.roll();
      child(1).drained();
      child(1).ready();
      child(0).drained();
      child(0).ready();
      await Promise.all([first, second]);
      expect(children.map(({ place }) => place)).toEqual([0, 1, 0, 1, 0]);
    });

    test("one after the other, the next when all are ready; the count of ends is not touched", async () => {
      const { children, child, states, supervisor } = createSupervision({ processes: 3 });
      for (const place of [0, 1, 2]) child(place).ready();
      const rolled = supervisor.roll();
      const missing: number[] = [];
      for (const place of [0, 1, 2]) {
        missing.push(states().filter((state) => state !== "ready").length);
        child(place).drained();
        missing.push(states().filter((state) => state !== "ready").length);
        expect(supervisor.status.state).toBe("rolling");
        child(place).ready();
      }
      await rolled;
      expect(missing).toEqual([1, 1, 1, 1, 1, 1]);
      expect(children).toHaveLength(6);
      expect(supervisor.status.state).toBe("running");
      expect(supervisor.status.restarts.rolled).toBe(3);
    });

    test("one whose own code had stopped its handlers does not hold it up", async () => {
      const { clock, child, supervisor } = createSupervision({ processes: 2 });
      child(0).ready("off");
      child(1).ready("off");
      child(0).tell({ kind: "stopped", leftInFlight: 0, metrics: [] });
      const rolled = supervisor.roll();
      clock.advance(10_000);
      child(0).ready("off");
      child(1).drained();
      child(1).ready("off");
      await rolled;
      expect(supervisor.status.restarts.rolled).toBe(2);
    });

    test("a new one that does not start keeps the old ones", () => {
      const { clock, children, child, supervisor } = createSupervision({ processes: 3 });
      for (const place of [0, 1, 2]) child(place).ready("off");
      void supervisor.roll();
      child(0).drained();
      for (let i = 0; i < 20; i += 1) {
        child(0).exit(1);
        clock.advance(40_000);
      }
      expect(children.filter(({ place }) => place !== 0)).toHaveLength(2);
      expect(supervisor.status.state).toBe("rolling");
    });

    test("a new one that does not reach the server keeps the old ones that do", async () => {
      const warn = vi.fn();
      const log = safeLogger({ ...silentLogger, warn });
      const { clock, children, child, supervisor } = createSupervision({ processes: 2, log });
      const runner = (lastPollAgoMs?: number) => ({ ...RUNNER, lastPollAgoMs });
      const unanswered = { runners: [runner()] };
      child(0).ready();
      child(1).ready();
      const rolled = supervisor.roll();
      child(0).drained();
      child(0).ready(10_000, unanswered);
      for (let i = 0; i < 30; i += 1) {
        clock.advance(1_000);
        child(0).beat([], unanswered);
        child(1).beat();
      }
      expect(warn.mock.calls.filter(([, text]) => String(text).includes("the roll waits"))).toHaveLength(1);
      expect(children).toHaveLength(3);
      expect(child(1).orders.map(({ kind }) => kind)).not.toContain("drain");
      child(0).beat([], { runners: [runner(0)] });
      child(1).drained();
      child(1).ready(10_000, unanswered);
      await rolled;
    });

    test("while the server answers nobody, it goes on", async () => {
      const { child, supervisor } = createSupervision({ processes: 2 });
      const unanswered = { serverReachable: false };
      for (const place of [0, 1]) child(place).ready(10_000, unanswered);
      const rolled = supervisor.roll();
      for (const place of [0, 1]) {
        child(place).drained();
        child(place).ready(10_000, unanswered);
      }
      await rolled;
    });

    test("a stop ends it", async () => {
      const { child, supervisor } = createSupervision({ processes: 2 });
      child(0).ready();
      child(1).ready();
      const rolled = supervisor.roll();
      void supervisor.stop();
      child(0).drained();
      child(1).drained();
      await rolled;
    });
  });

  test("a process that functions hold which do not end is replaced, unless another one is missing", () => {
    const { children, child, states } = createSupervision({ processes: 2 });
    const runner = (concurrency: number) => ({ ...RUNNER, concurrency });
    child(0).ready("off");
    const burdened = { abandoned: 6, runners: [runner(2), runner(3)] };
    child(0).beat([], burdened);
    expect(states()).toEqual(["ready", "starting"]);
    child(1).ready("off");
    child(0).beat([], { ...burdened, abandoned: 5 });
    expect(states()).toEqual(["ready", "ready"]);
    child(0).beat([], burdened);
    child(0).beat([], burdened);
    expect(child(0).orders.filter(({ kind }) => kind === "drain")).toHaveLength(1);
    child(0).drained();
    expect(children).toHaveLength(3);
  });

  describe("what the dead had", () => {
    const reclaims = (orders: readonly { kind: string }[]) => orders.filter(({ kind }) => kind === "reclaim");

    test("is told to the one that follows, with the reason, until one has taken it over", () => {
      const { clock, child } = createSupervision();
      child().ready();
      child().beat([held("a")]);
      child().exit(3);
      child().ready();
      const told = [
        {
          kind: "reclaim",
          predecessor: {
            id: expect.any(Number),
            tasks: [held("a")],
            pollers: [{ taskType: "t", domain: undefined, workerId: "w100", isUnique: true }],
            ended: [],
            reason: "crashed (exit code 3)",
          },
        },
      ];
      expect(reclaims(child().orders)).toEqual(told);
      child().exit(3);
      clock.advance(1_000);
      child().ready();
      expect(reclaims(child().orders)).toEqual([...told, expect.objectContaining({ kind: "reclaim" })]);
      const ids = reclaims(child().orders).map(
        (order) => (order as unknown as { predecessor: { id: number } }).predecessor.id,
      );
      for (const id of ids) child().tell({ kind: "reclaimed", id });
      child().drained();
      clock.advance(1_000);
      child().ready();
      expect(reclaims(child().orders)).toEqual([]);
    });

    test("is corrected by the watchdog's report", () => {
      const { child } = createSupervision();
      child().ready();
      child().beat([held("a", "received")]);
      const seen = {
        reason: "loop",
        stuck: ["t"],
        stalledMs: 1,
        phase: "",
        mainThread: "busy",
        eventLoopDelayMs: 1,
      } as const;
      child().stall({ ...seen, inFlight: ["t/a (running)", "t/b (received)", "nonsense"] });
      child().exit(70);
      child().ready();
      const [order] = reclaims(child().orders) as unknown as [{ predecessor: { tasks: HeldTask[]; reason: string } }];
      expect(order.predecessor.tasks).toEqual([
        held("a", "running"),
        { ...held("b", "received"), workflowInstanceId: "", pollCount: undefined },
      ]);
      expect(order.predecessor.reason).toMatch(/^wedged/);
    });

    test("and still searched for when it had drained in order is told as well, and nothing else", () => {
      const { child } = createSupervision();
      child().ready();
      child().beat([held("a")]);
      const owed = [{ taskType: "t", domain: undefined, workerId: "w100", isUnique: true, leftNothing: true }];
      child().tell({ kind: "stopping" });
      child().tell({ kind: "stopped", leftInFlight: 0, metrics: [], owed });
      child().exit(0);
      child().ready();
      expect(reclaims(child().orders)).toMatchObject([{ predecessor: { tasks: [], pollers: owed } }]);
    });

    test("and had ended last is told to the next one, whatever else it left", () => {
      const { child } = createSupervision();
      child().ready();
      const ended = [{ taskId: "a", pollCount: 1, updateTime: 5 }];
      child().tell({ kind: "stopping" });
      child().tell({ kind: "stopped", leftInFlight: 0, metrics: [], ended });
      child().exit(0);
      child().ready();
      expect(reclaims(child().orders)).toMatchObject([{ predecessor: { tasks: [], pollers: [], ended } }]);
    });

    test("is nothing after a drain that left nothing", () => {
      const { child } = createSupervision();
      child().ready();
      child().beat([held("a")]);
      child().drained();
      child().ready();
      expect(reclaims(child().orders)).toEqual([]);
    });
  });

  describe("what it shows", () => {
    const metric = (value: number) => [{ name: "c_total", help: "C", type: "counter", values: [{ value }] }];

    test("a process that ends while a scrape waits for another one is not counted twice", async () => {
      const { supervisor, clock, child } = createSupervision({ processes: 2 });
      child(0).ready();
      child(1).ready();
      const metric = (value: number) => [{ name: "done_total", help: "Done", type: "counter", values: [{ value }] }];
      const answer = (value: number) => {
        const { id } = child(0).orders.findLast(({ kind }) => kind === "scrape") as { id: number };
        child(0).tell({ kind: "metrics", id, metrics: metric(value) });
      };
      const first = supervisor.metrics();
      answer(100);
      await clock.advanceAsync(1_000);
      expect(await first).toContain('done_total{process="0"} 100');

      const second = supervisor.metrics();
      answer(110);
      await clock.advanceAsync(500);
      child(0).exit(1);
      await clock.advanceAsync(500);
      expect(await second).toContain('done_total{process="0"} 110');
    });

    test("a process whose handlers have stopped does not beat, and is not killed for that", () => {
      const { supervisor, clock, children, child, states } = createSupervision();
      child().ready(4_000);
      child().tell({ kind: "stopped", leftInFlight: 0, metrics: [] });
      clock.advance(3_600_000);
      expect(children).toHaveLength(1);
      expect(judgeLive(supervisor.status, supervisor.silent).isGood).toBe(true);
      child().ready(4_000);
      expect(states()).toEqual(["ready"]);
      clock.advance(20_000);
      expect(children[0]?.signals).toEqual(["SIGKILL"]);
    });

    test("one that something else holds after its drain is killed for that, and not as stuck", async () => {
      const { supervisor, clock, child } = createSupervision();
      child().ready(2_000);
      const ended = supervisor.stop();
      child().tell({ kind: "stopping" });
      child().tell({ kind: "stopped", leftInFlight: 0, metrics: [] });
      clock.advance(20_000);
      expect(await ended).toMatchObject({ code: 0, exits: [{ kind: "stopped" }] });
    });

    test("a process that is held at a breakpoint is not killed for its silence", () => {
      const { clock, child, children } = createSupervision();
      child().ready(4_000);
      for (let seconds = 0; seconds < 60; seconds += 5) {
        clock.advance(5_000);
        child().paused();
      }
      expect(children).toHaveLength(1);
      clock.advance(12_000);
      expect(children[0]?.signals).toEqual(["SIGKILL"]);
    });

    test("metrics of those that answer in time, and what it counts itself", async () => {
      const { clock, child, supervisor } = createSupervision({ processes: 2 });
      child(0).ready();
      child(1).ready();
      child(1).exit(1);
      child(1).ready();
      const scraping = supervisor.metrics();
      const asked = child(0).orders.find(({ kind }) => kind === "scrape") as { id: number };
      child(0).tell({ kind: "metrics", id: asked.id, metrics: metric(5) });
      await clock.advanceAsync(1_000);
      const text = await scraping;
      expect(text).toContain('c_total{process="0"} 5');
      expect(text).not.toContain('c_total{process="1"}');
      expect(text).toContain('worker_restart_total{reason="crashed"} 1');
      expect(text).toContain('worker_restart_total{reason="wedged"} 0');
      expect(text).toContain('worker_process_ready{process="1"} 1');
    });

    test("what a child counted last, told when it stopped, is not lost", async () => {
      const { child, supervisor } = createSupervision();
      child().ready();
      child().tell({ kind: "stopping" });
      child().tell({ kind: "stopped", leftInFlight: 0, metrics: metric(7) });
      child().exit(0);
      const first = supervisor.metrics();
      expect(await first).toContain('c_total{process="0"} 7');
      child().ready();
      const second = supervisor.metrics();
      const { id } = child().orders.find(({ kind }) => kind === "scrape") as { id: number };
      child().tell({ kind: "metrics", id, metrics: metric(1) });
      expect(await second).toContain('c_total{process="0"} 8');
    });

    test("live: unless one is silent for too long and cannot even be killed", () => {
      const { clock, child, supervisor } = createSupervision({ processes: 2 });
      const judge = () => judgeLive(supervisor.status, supervisor.silent);
      expect(judge().isGood).toBe(true);
      child(0).ready(10_000);
      child(1).ready("off");
      child(0).kill = () => {};
      clock.advance(14_000);
      expect(judge().isGood).toBe(true);
      clock.advance(2_000);
      expect(judge()).toEqual({ isGood: false, reasons: ["process 0 has not told anything for 15 s"] });
    });

    test("ready: while at most one of several is missing, and at least one is there", () => {
      const { child, supervisor } = createSupervision({ processes: 2 });
      const isReady = () => judgeReady(supervisor.status).isGood;
      expect(isReady()).toBe(false);
      child(0).ready("off");
      expect(isReady()).toBe(true);
      child(1).ready("off");
      child(0).beat([], { outboxFull: true });
      expect(judgeReady(supervisor.status)).toEqual({
        isGood: true,
        reasons: [expect.stringMatching(/^process 0: outbox/)],
      });
      child(1).exit(1);
      expect(isReady()).toBe(false);
      child(1).ready("off");
      expect(isReady()).toBe(true);
      void supervisor.stop();
      expect(isReady()).toBe(false);
    });

    test("ready with a single process: only while that one is", () => {
      const { child, supervisor } = createSupervision();
      expect(judgeReady(supervisor.status)).toEqual({ isGood: false, reasons: ["process 0: is starting"] });
      child().ready("off");
      expect(judgeReady(supervisor.status).isGood).toBe(true);
      child().exit(1);
      child().exit(1);
      expect(judgeReady(supervisor.status).isGood).toBe(false);
    });
  });
});
