import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { ConductorError } from "../../../src/conductor/errors.js";
import { CATALOG, type MetricName } from "../../../src/metrics/catalog.js";
import { createClientMetrics } from "../../../src/metrics/client-metrics.js";
import { attachMetrics, type Metrics } from "../../../src/metrics/metrics.js";
import { createSource, IDS, linesOf, runnerStatus } from "../../support/unit/metrics.js";

type Source = ReturnType<typeof createSource>;

interface Row {
  readonly drive: (source: Source, metrics: Metrics) => void;
  /** Lines that are there afterwards, and were not before. */
  readonly lines: readonly string[];
}

const lost = new ConductorError({
  code: "CONNECTION_LOST",
  message: "reset",
  method: "POST",
  pathTemplate: "/tasks",
  retryable: true,
});
const pollFailed = ({ events }: Source) => {
  events.topics.pollFailed.emit({ taskType: "t", durationMs: 700, error: lost });
};
const pollCompleted = ({ events }: Source) => {
  events.topics.pollCompleted.emit({ taskType: "t", requested: 1, received: 0, durationMs: 2_000 });
};
const taskFailed = ({ events }: Source) => {
  const failure = { ...IDS, durationMs: 3_000, terminal: false, reason: "no" };
  events.topics.taskFailed.emit({ ...failure, error: new TypeError("id-1 is odd") });
  events.topics.taskFailed.emit(failure);
};
const updated = ({ events }: Source) => {
  const update = { ...IDS, durationMs: 9_000, attemptMs: 20, attempts: 2, status: "COMPLETED" };
  events.topics.taskUpdated.emit({ ...update, resultBytes: 512 });
};
const updateFailed =
  (then: "retry" | "moot" | "refused", isLost: boolean) =>
  ({ events }: Source) => {
    events.topics.taskUpdateFailed.emit({ ...IDS, attemptMs: 4, attempts: 1, error: lost, then, isLost });
  };
const status = (overrides: Parameters<typeof createSource>[0]) => (source: Source) => {
  Object.assign(source, { now: { ...source.now, ...overrides } });
};
const runner = (overrides: Parameters<typeof runnerStatus>[0]) => status({ runners: [runnerStatus(overrides)] });

/** Every metric, what drives it, and what is read then. */
const ROWS: Record<Exclude<MetricName, "workflow_start_error_total" | "workflow_input_size_bytes">, Row> = {
  task_poll_total: {
    drive: (source) => {
      pollCompleted(source);
      pollFailed(source);
    },
    lines: ['task_poll_total{taskType="t"} 2'],
  },
  task_execution_started_total: {
    drive: ({ events }) => events.topics.taskStarted.emit({ ...IDS, queueWaitMs: 1 }),
    lines: ['task_execution_started_total{taskType="t"} 1'],
  },
  task_poll_error_total: {
    drive: pollFailed,
    lines: ['task_poll_error_total{taskType="t",exception="CONNECTION_LOST"} 1'],
  },
  task_execute_error_total: {
    drive: taskFailed,
    lines: [
      'task_execute_error_total{taskType="t",exception="TypeError"} 1',
      'task_execute_error_total{taskType="t",exception="none"} 1',
    ],
  },
  task_update_error_total: {
    drive: updateFailed("retry", false),
    lines: ['task_update_error_total{taskType="t",exception="CONNECTION_LOST"} 1'],
  },
  task_ack_error_total: {
    drive: (source) => {
      updateFailed("retry", true)(source);
      updateFailed("retry", false)(source);
    },
    lines: ['task_ack_error_total{taskType="t",exception="CONNECTION_LOST"} 1'],
  },
  task_ack_failed_total: {
    drive: (source) => {
      updateFailed("moot", false)(source);
      updateFailed("refused", false)(source);
      updateFailed("retry", false)(source);
    },
    lines: ['task_ack_failed_total{taskType="t"} 2'],
  },
  task_execution_queue_full_total: {
    drive: ({ events }) => {
      for (const reason of ["full", "paused", "outboxFull"] as const) {
        events.topics.pollSkipped.emit({ taskType: "t", reason });
      }
    },
    lines: ['task_execution_queue_full_total{taskType="t"} 1'],
  },
  task_paused_total: {
    drive: ({ events }) => {
      for (const reason of ["full", "paused", "outboxFull"] as const) {
        events.topics.pollSkipped.emit({ taskType: "t", reason });
      }
    },
    lines: ['task_paused_total{taskType="t"} 1'],
  },
  thread_uncaught_exceptions_total: {
    drive: ({ events }) =>
      events.topics.uncaughtError.emit({ kind: "uncaughtException", error: new RangeError("far") }),
    lines: ['thread_uncaught_exceptions_total{exception="RangeError"} 1'],
  },
  external_payload_used_total: {
    drive: ({ events }) =>
      events.topics.externalPayloadUsed.emit({ ...IDS, operation: "READ", payloadType: "TASK_INPUT" }),
    lines: ['external_payload_used_total{entityName="t",operation="READ",payloadType="TASK_INPUT"} 1'],
  },
  task_poll_time_seconds: {
    drive: (source) => {
      pollCompleted(source);
      pollFailed(source);
    },
    lines: [
      'task_poll_time_seconds_sum{taskType="t",status="SUCCESS"} 2',
      'task_poll_time_seconds_sum{taskType="t",status="FAILURE"} 0.7',
    ],
  },
  task_execute_time_seconds: {
    drive: (source) => {
      source.events.topics.taskExecuted.emit({ ...IDS, durationMs: 250, status: "COMPLETED" });
      taskFailed(source);
    },
    lines: [
      'task_execute_time_seconds_sum{taskType="t",status="SUCCESS"} 0.25',
      'task_execute_time_seconds_count{taskType="t",status="FAILURE"} 2',
    ],
  },
  task_update_time_seconds: {
    drive: (source) => {
      updated(source);
      updateFailed("retry", false)(source);
    },
    lines: [
      'task_update_time_seconds_sum{taskType="t",status="SUCCESS"} 0.02',
      'task_update_time_seconds_sum{taskType="t",status="FAILURE"} 0.004',
    ],
  },
  http_api_client_request_seconds: {
    drive: ({ events }) => {
      const request = { lane: "main", method: "POST", pathTemplate: "/tasks" } as const;
      events.topics.requestEnded.emit({ ...request, status: 503, durationMs: 500 });
      events.topics.requestEnded.emit({ ...request, status: 0, durationMs: 10_000 });
    },
    lines: [
      'http_api_client_request_seconds_sum{method="POST",uri="/tasks",status="503"} 0.5',
      'http_api_client_request_seconds_count{method="POST",uri="/tasks",status="0"} 1',
    ],
  },
  task_result_size_bytes: { drive: updated, lines: ['task_result_size_bytes_sum{taskType="t"} 512'] },
  active_workers: { drive: runner({ running: 3 }), lines: ['active_workers{taskType="t"} 3'] },
  worker_loop_beat_age_seconds: {
    drive: runner({ lastBeatAgoMs: 1_500 }),
    lines: ['worker_loop_beat_age_seconds{taskType="t"} 1.5'],
  },
  worker_slots: {
    drive: runner({ running: 3, concurrency: 8 }),
    lines: ['worker_slots{taskType="t",state="used"} 3', 'worker_slots{taskType="t",state="free"} 5'],
  },
  worker_last_poll_age_seconds: {
    drive: runner({ lastPollAgoMs: 2_500 }),
    lines: ['worker_last_poll_age_seconds{taskType="t"} 2.5'],
  },
  worker_polls_failing_seconds: {
    drive: runner({ pollsFailing: { forMs: 90_000, error: "id-1 refused" } }),
    lines: ['worker_polls_failing_seconds{taskType="t"} 90'],
  },
  worker_abandoned_tasks: { drive: status({ abandoned: 2 }), lines: ["worker_abandoned_tasks 2"] },
  worker_results_waiting: { drive: status({ resultsWaiting: 7 }), lines: ["worker_results_waiting 7"] },
  worker_outbox_full: { drive: status({ outboxFull: true }), lines: ["worker_outbox_full 1"] },
  worker_server_reachable: { drive: status({ serverReachable: false }), lines: ["worker_server_reachable 0"] },
  worker_tasks_in_flight: { drive: status({ inFlight: 12 }), lines: ["worker_tasks_in_flight 12"] },
  task_queue_wait_seconds: {
    drive: ({ events }) => {
      for (const queueWaitMs of [45_000, -20, NaN, Infinity]) events.topics.taskStarted.emit({ ...IDS, queueWaitMs });
    },
    lines: [
      'task_queue_wait_seconds_sum{taskType="t"} 45',
      'task_queue_wait_seconds_bucket{le="30",taskType="t"} 3',
      'task_queue_wait_seconds_bucket{le="60",taskType="t"} 4',
    ],
  },
  task_update_attempts_total: {
    drive: (source) => {
      updated(source);
      updateFailed("retry", false)(source);
    },
    lines: ['task_update_attempts_total{taskType="t"} 2'],
  },
  task_hand_back_total: {
    drive: ({ events }) => {
      for (const reason of ["surplus", "paused", "stopping", "notOurs", "lost"] as const) {
        events.topics.taskHandedBack.emit({ ...IDS, reason });
      }
    },
    lines: ["surplus", "paused", "stopping", "notOurs", "lost"].map(
      (reason) => `task_hand_back_total{taskType="t",reason="${reason}"} 1`,
    ),
  },
  task_reclaim_total: {
    drive: ({ events }) => {
      events.topics.taskReclaimed.emit({ ...IDS, reason: "lostAnswer" });
      events.topics.taskReclaimed.emit({ ...IDS, reason: "predecessor" });
    },
    lines: [
      'task_reclaim_total{taskType="t",reason="lostAnswer"} 1',
      'task_reclaim_total{taskType="t",reason="predecessor"} 1',
    ],
  },
  task_moot_total: {
    drive: ({ events }) => events.topics.taskMoot.emit({ ...IDS, reason: "gone" }),
    lines: ['task_moot_total{taskType="t"} 1'],
  },
  task_undeliverable_total: {
    drive: ({ events }) => events.topics.taskUndeliverable.emit({ ...IDS, attempts: 1, result: {}, error: lost }),
    lines: ['task_undeliverable_total{taskType="t"} 1'],
  },
  task_abandoned_total: {
    drive: ({ events }) => events.topics.taskAbandoned.emit(IDS),
    lines: ['task_abandoned_total{taskType="t"} 1'],
  },
  task_lease_extension_total: {
    drive: ({ events }) => events.topics.leaseExtended.emit(IDS),
    lines: ['task_lease_extension_total{taskType="t"} 1'],
  },
  http_connection_generation_total: {
    drive: ({ events }) => {
      events.topics.connectionsRecycled.emit({ reason: "age" });
      events.topics.connectionsRecycled.emit({ reason: "suspicion" });
    },
    lines: [
      'http_connection_generation_total{reason="age"} 1',
      'http_connection_generation_total{reason="suspicion"} 1',
    ],
  },
  http_deadline_exceeded_total: {
    drive: ({ events }) => {
      events.topics.deadlineExceeded.emit({ lane: "poll" });
      events.topics.deadlineExceeded.emit({ lane: "main" });
    },
    lines: ['http_deadline_exceeded_total{lane="poll"} 1', 'http_deadline_exceeded_total{lane="main"} 1'],
  },
  worker_stall_total: {
    drive: ({ events }) => {
      events.topics.stalled.emit({ taskType: "t, u", reason: "loop", stalledMs: 1 });
      events.topics.stalled.emit({ taskType: "t", reason: "request", stalledMs: 1 });
    },
    lines: ['worker_stall_total{reason="loop"} 1', 'worker_stall_total{reason="request"} 1'],
  },
  worker_event_loop_delay_seconds: {
    drive: (_source, metrics) => {
      metrics.eventLoopDelayed(30);
    },
    lines: ["worker_event_loop_delay_seconds_sum 0.03", 'worker_event_loop_delay_seconds_bucket{le="0.05"} 1'],
  },
};

describe("the metrics", () => {
  describe("each metric of a handler says what its event or its state says", () => {
    test.each(Object.entries(ROWS))("%s", async (name, { drive, lines }) => {
      const source = createSource();
      const registry = new Registry();
      const metrics = await attachMetrics(source, registry);
      const before = linesOf(await registry.metrics(), name);
      for (const line of lines) expect(before).not.toContain(line);
      drive(source, metrics);
      const text = await registry.metrics();
      expect(linesOf(text, name)).toEqual(expect.arrayContaining([...lines]));
      expect(text).not.toMatch(/NaN|undefined|id-1|wf-1/);
      const { help, type } = CATALOG[name as MetricName];
      expect(text).toContain(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`);
    });
  });

  test("the metrics of a client say what the client does", async () => {
    const registry = new Registry();
    const sink = createClientMetrics(registry);
    sink.workflowStarting("orders", 3, 2_000);
    sink.workflowStarting("orders", undefined, 50);
    sink.workflowStartFailed("orders", lost);
    sink.requestEnded("POST", "/workflow", 200, 40);
    const text = await registry.metrics();
    expect(text.split("\n")).toEqual(
      expect.arrayContaining([
        'workflow_input_size_bytes_sum{workflowType="orders",version="3"} 2000',
        'workflow_input_size_bytes_bucket{le="100",workflowType="orders",version=""} 1',
        'workflow_start_error_total{workflowType="orders",exception="CONNECTION_LOST"} 1',
        'http_api_client_request_seconds_count{method="POST",uri="/workflow",status="200"} 1',
      ]),
    );
  });

  test("every counter with known labels is there at 0 before anything has happened, and no other series", async () => {
    const registry = new Registry();
    await attachMetrics(createSource(), registry);
    const text = await registry.metrics();
    const isKnown = ([name, values]: [string, readonly string[] | undefined]) =>
      name === "taskType" || values !== undefined;
    for (const [name, { type, labels }] of Object.entries(CATALOG)) {
      if (type !== "counter") continue;
      const known = Object.entries<readonly string[] | undefined>(labels);
      const count = known.every(isKnown) ? known.reduce((n, [, values]) => n * (values?.length ?? 1), 1) : 0;
      const lines = linesOf(text, name);
      expect(lines, name).toHaveLength(count);
      for (const line of lines) expect(line).toMatch(/ 0$/);
    }
  });
});
