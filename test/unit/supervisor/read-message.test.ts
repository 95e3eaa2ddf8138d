import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RunnerStatus } from "../../../src/status.js";
import type { Order, Report } from "../../../src/supervisor/messages.js";
import { judgeLive, judgeReady } from "../../../src/supervisor/primary/health.js";
import { readOrder, readReport } from "../../../src/supervisor/read-message.js";
import { createSupervision, RUNNER as IDLE, STATUS } from "../../support/unit/supervisor.js";

const RUNNER: RunnerStatus = { ...IDLE, phase: "full", lastPollAgoMs: 4, pollsFailing: { forMs: 5, error: "no" } };
const POLLER = { taskType: "t", domain: "d", workerId: "w", isUnique: true };
const TASK = {
  taskId: "a",
  workflowInstanceId: "wf",
  taskType: "t",
  workerId: "w",
  pollCount: 1,
  state: "waiting",
} as const;
const METRIC = {
  name: "m_total",
  help: "What it counts",
  type: "histogram",
  values: [
    { value: 1, labels: { taskType: "t", le: 0.5 }, metricName: "m_total_bucket" },
    { value: 2, labels: {} },
  ],
};

const REPORTS: readonly Report[] = [
  { kind: "ready", stallMs: 300_000, pollers: [POLLER, { ...POLLER, domain: undefined }] },
  { kind: "ready", stallMs: undefined, pollers: [] },
  { kind: "beat", status: { ...STATUS, runners: [RUNNER] }, tasks: [TASK, { ...TASK, pollCount: undefined }] },
  { kind: "stopping" },
  { kind: "stopped", leftInFlight: 0, metrics: [METRIC] },
  { kind: "metrics", id: 7, metrics: [METRIC] },
  { kind: "reclaimed", id: 7 },
];
const ORDERS: readonly Order[] = [
  { kind: "welcome", drainTimeoutMs: 25_000 },
  { kind: "drain", drainTimeoutMs: 0 },
  { kind: "scrape", id: 1 },
  { kind: "reclaim", predecessor: { id: 1, tasks: [TASK], pollers: [POLLER], reason: "killed" } },
];

/** As it comes out of the channel. */
const sent = (message: unknown): unknown => JSON.parse(JSON.stringify(message)) as unknown;
const beat = (status: object, tasks: unknown = []) => ({ kind: "beat", status: { ...STATUS, ...status }, tasks });
const ofRunner = (runner: object) => beat({ runners: [{ ...RUNNER, ...runner }] });
const withMetric = (metric: object) => ({ kind: "metrics", id: 1, metrics: [METRIC, { ...METRIC, ...metric }] });

describe("a message between primary and child", () => {
  test.each(REPORTS)("%j is read as it was sent", (report) => {
    expect(readReport(sent(report))).toEqual({ message: report, problem: undefined });
  });

  test.each(ORDERS)("%j is read as it was sent", (order) => {
    expect(readOrder(sent(order))).toEqual({ message: order, problem: undefined });
  });

  test.each([
    [undefined, "the message is not an object"],
    [{ kind: 5 }, "the message.kind is not a text"],
    [{ kind: "later" }, "the message is not of a kind that is known"],
    [{ kind: "ready", pollers: {} }, "ready.pollers is not a list"],
    [{ kind: "ready", stallMs: -1, pollers: [] }, "ready.stallMs is not a number, 0 or more"],
    [{ kind: "ready", stallMs: Infinity, pollers: [] }, "ready.stallMs is not a number"],
    [{ kind: "ready", pollers: [{ ...POLLER, isUnique: "yes" }] }, "ready.pollers[0].isUnique is not true or false"],
    [{ kind: "beat" }, "beat.status is not an object"],
    [beat({ runners: null }), "beat.status.runners is not a list"],
    [beat({ runners: [null] }), "beat.status.runners[0] is not an object"],
    [ofRunner({ taskType: { toString: 1 } }), "beat.status.runners[0].taskType is not a text"],
    [ofRunner({ taskType: "x".repeat(10_001) }), "beat.status.runners[0].taskType is not a text of up to 10000"],
    [ofRunner({ concurrency: "2" }), "beat.status.runners[0].concurrency is not a number"],
    [ofRunner({ pollsFailing: { forMs: 1, error: null } }), "beat.status.runners[0].pollsFailing.error is not a text"],
    [beat({ state: "dancing" }), "beat.status.state is not one of running, draining, stopped"],
    [beat({ inFlight: Number.NaN }), "beat.status.inFlight is not a number"],
    [beat({}, Array(1_001).fill(TASK)), "beat.tasks is not a list of up to 1000"],
    [beat({}, [{ ...TASK, pollCount: "1" }]), "beat.tasks[0].pollCount is not a number"],
    [{ kind: "stopped", leftInFlight: "0", metrics: [] }, "stopped.leftInFlight is not a number"],
    [{ kind: "metrics", id: null, metrics: [] }, "metrics.id is not a number"],
    [{ kind: "metrics", id: 1, metrics: "all" }, "metrics.metrics is not a list"],
    [{ kind: "reclaimed" }, "reclaimed.id is not a number"],
  ])("%j is none of a child's, and it is said why", (given, problem) => {
    const read = readReport(given);
    expect(read.message).toBeUndefined();
    expect(read.problem).toContain(problem);
  });

  test.each([
    [null, "the message is not an object"],
    [{ kind: "beat" }, "the message is not of a kind that is known"],
    [{ kind: "drain" }, "drain.drainTimeoutMs is not a number"],
    [{ kind: "welcome", drainTimeoutMs: -5 }, "welcome.drainTimeoutMs is not a number, 0 or more"],
    [{ kind: "reclaim", predecessor: { id: 1, tasks: [] } }, "reclaim.predecessor.pollers is not a list"],
  ])("%j is none of the primary's, and it is said why", (given, problem) => {
    const read = readOrder(given);
    expect(read.message).toBeUndefined();
    expect(read.problem).toContain(problem);
  });

  test.each([
    [{ name: "no name" }, "metrics.metrics[1].name"],
    [{ name: "a\nb 5" }, "metrics.metrics[1].name"],
    [{ help: undefined }, "metrics.metrics[1].help"],
    [{ type: 5 }, "metrics.metrics[1].type"],
    [{ type: "gauge\n# TYPE" }, "metrics.metrics[1].type"],
    [{ values: null }, "metrics.metrics[1].values"],
    [{ values: [null] }, "metrics.metrics[1].values[0]"],
    [{ values: [{ value: "1" }] }, "metrics.metrics[1].values[0].value"],
    [{ values: [{}] }, "metrics.metrics[1].values[0].value"],
    [{ values: [{ value: 1, labels: null, metricName: "a b" }] }, "metrics.metrics[1].values[0].metricName"],
    [{ values: [{ value: 1, labels: { 'a="1",b': "x" } }] }, "metrics.metrics[1].values[0].labels"],
    [{ values: [{ value: 1, labels: { a: {} } }] }, "metrics.metrics[1].values[0].labels.a"],
  ])("a metric with %j is left out, and the others are read", (metric, problem) => {
    const read = readReport(withMetric(metric));
    expect(read.message).toEqual({ kind: "metrics", id: 1, metrics: [METRIC] });
    expect(read.problem).toContain(problem);
  });

  test("a value that is no number for JSON is none for Prometheus, and the metric is read", () => {
    const values = [{ value: Number.NaN, labels: {} }];
    expect(readReport(sent(withMetric({ name: "nan", values })))).toMatchObject({
      message: { metrics: [{ name: "m_total" }, { name: "nan", values }] },
      problem: undefined,
    });
  });

  test("words that a later version may have are read as what is safe, and fields that it may have are left out", () => {
    const report = beat({ runners: [{ ...RUNNER, phase: "dreaming", more: 1 }], more: 2 }, [
      { ...TASK, state: "resting" },
    ]);
    expect(readReport(report)).toEqual({
      message: beat({ runners: [{ ...RUNNER, phase: "waiting" }] }, [{ ...TASK, state: "running" }]),
      problem: undefined,
    });
  });
});

/** A message of ours in which some place holds something else. */
const spoilt = fc
  .record({ report: fc.constantFrom(...REPORTS), at: fc.nat(), value: fc.anything({ withNullPrototype: true }) })
  .map(({ report, at, value }) => {
    const copy = structuredClone(report) as unknown;
    const places: { holder: Record<string, unknown>; key: string }[] = [];
    const visit = (holder: unknown) => {
      if (typeof holder !== "object" || holder === null) return;
      for (const key of Object.keys(holder)) {
        places.push({ holder: holder as Record<string, unknown>, key });
        visit((holder as Record<string, unknown>)[key]);
      }
    };
    visit(copy);
    const { holder, key } = places[at % places.length]!;
    holder[key] = value;
    return copy;
  });

describe("a supervisor whose child sends nonsense", () => {
  test("answers for its health and its metrics, goes on, and says it once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(spoilt, fc.anything()), { maxLength: 20 }), async (messages) => {
        const { clock, child, children, supervisor } = createSupervision();
        child().ready();
        const told = children.length;
        for (const message of messages) {
          // The channel itself delivers only what JSON can say, or the algorithm of structured clones.
          child().tell(message as Report);
          const { status, silent } = supervisor;
          judgeLive(status, silent);
          judgeReady(status);
          JSON.stringify(status);
        }
        const page = supervisor.metrics();
        const scrape = child().orders.findLast((order) => order.kind === "scrape");
        for (const message of messages) child().tell(Object.assign(Object(message), { id: scrape?.id }) as Report);
        await clock.advanceAsync(1_500);
        const text = await page;
        for (const line of text.trimEnd().split("\n")) {
          expect(line).toMatch(/^(#.*|[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? (NaN|[+-]Inf|[-+0-9.e]+))$/u);
        }
        void supervisor.roll();
        expect(children.length).toBeGreaterThanOrEqual(told);
      }),
      { numRuns: 300 },
    );
  });
});
