/** What is known of a metric beforehand. */
export interface MetricSpec {
  readonly type: "counter" | "gauge" | "histogram";
  /** One line that says what it counts; Prometheus shows it, and `docs/metrics.md` as well. */
  readonly help: string;
  /** Label names, in their order, with all the values there are; `undefined` where those come from outside. */
  readonly labels: Readonly<Record<string, readonly string[] | undefined>>;
  /** `canonical`: the other SDKs have it by the same name. */
  readonly origin: "canonical" | "ours";
  /** Upper bounds of a histogram's buckets, rising, without the last one (+Inf). */
  readonly buckets?: readonly number[];
  /** How several processes' values become one. Default `sum`. */
  readonly aggregator?: "sum" | "min" | "max";
}

/** Seconds; the same in every SDK. */
const TIME_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;
/** Bytes; the same in every SDK. */
const SIZE_BUCKETS = [100, 1e3, 1e4, 1e5, 1e6, 1e7] as const;
/** Seconds: a backlog is waited for longer than anything runs. */
const QUEUE_BUCKETS = [...TIME_BUCKETS, 30, 60, 300, 1800, 3600] as const;

const any = undefined;
const task = { taskType: any } as const;
const taskError = { taskType: any, exception: any } as const;
const taskStatus = { taskType: any, status: ["SUCCESS", "FAILURE"] } as const;
const none = {} as const;

/**
 * Every metric of a process that runs workers: the one list that the code, the documentation and the tests go by. Names,
 * labels and buckets of the canonical ones are those of the other SDKs; nothing in it may be renamed, for dashboards rest
 * on it. A supervisor adds two of its own, which stand with it: `SUPERVISOR_CATALOG`.
 */
export const CATALOG = {
  task_poll_total: { type: "counter", labels: task, origin: "canonical", help: "Polls that ended, well or not" },
  task_execution_started_total: {
    type: "counter",
    labels: task,
    origin: "canonical",
    help: "Executions that began",
  },
  task_poll_error_total: { type: "counter", labels: taskError, origin: "canonical", help: "Polls that failed" },
  task_execute_error_total: {
    type: "counter",
    labels: taskError,
    origin: "canonical",
    help: "Executions that failed; exception is none where nothing was thrown",
  },
  task_update_error_total: {
    type: "counter",
    labels: taskError,
    origin: "canonical",
    help: "Attempts to deliver a result that failed",
  },
  task_ack_error_total: {
    type: "counter",
    labels: taskError,
    origin: "canonical",
    help: "Attempts to deliver a result whose answer was lost: the server may have it",
  },
  task_ack_failed_total: {
    type: "counter",
    labels: task,
    origin: "canonical",
    help: "Results that the server answered and does not take: it has no use for them, or refuses them for good",
  },
  task_execution_queue_full_total: {
    type: "counter",
    labels: task,
    origin: "canonical",
    help: "Iterations of the loop that could not poll because every slot was taken",
  },
  task_paused_total: {
    type: "counter",
    labels: task,
    origin: "canonical",
    help: "Iterations of the loop that did not poll because it is paused",
  },
  thread_uncaught_exceptions_total: {
    type: "counter",
    labels: { exception: any },
    origin: "canonical",
    help: "Errors that nobody caught",
  },
  external_payload_used_total: {
    type: "counter",
    labels: { entityName: any, operation: any, payloadType: any },
    origin: "canonical",
    help: "Tasks whose input the server keeps in external payload storage",
  },
  workflow_start_error_total: {
    type: "counter",
    labels: { workflowType: any, exception: any },
    origin: "canonical",
    help: "Workflows that could not be started (by a client that was given the registry)",
  },
  task_poll_time_seconds: {
    type: "histogram",
    labels: taskStatus,
    origin: "canonical",
    buckets: TIME_BUCKETS,
    help: "How long polls took, the time that the server held them included",
  },
  task_execute_time_seconds: {
    type: "histogram",
    labels: taskStatus,
    origin: "canonical",
    buckets: TIME_BUCKETS,
    help: "How long functions took",
  },
  task_update_time_seconds: {
    type: "histogram",
    labels: taskStatus,
    origin: "canonical",
    buckets: TIME_BUCKETS,
    help: "How long single attempts to deliver a result took",
  },
  http_api_client_request_seconds: {
    type: "histogram",
    labels: { method: any, uri: any, status: any },
    origin: "canonical",
    buckets: TIME_BUCKETS,
    help: "How long requests to the server took; uri is a template, status 0 means that no whole answer came",
  },
  task_result_size_bytes: {
    type: "histogram",
    labels: task,
    origin: "canonical",
    buckets: SIZE_BUCKETS,
    help: "Size of the results that were delivered, as sent",
  },
  workflow_input_size_bytes: {
    type: "histogram",
    labels: { workflowType: any, version: any },
    origin: "canonical",
    buckets: SIZE_BUCKETS,
    help: "Size of the inputs that workflows were started with (by a client that was given the registry)",
  },
  active_workers: {
    type: "gauge",
    labels: task,
    origin: "canonical",
    help: "Tasks that are being executed now, the first attempt to deliver their result included",
  },

  worker_loop_beat_age_seconds: {
    type: "gauge",
    labels: task,
    origin: "ours",
    aggregator: "max",
    help: "Time since the poll loop's last iteration",
  },
  worker_slots: {
    type: "gauge",
    labels: { taskType: any, state: ["used", "free"] },
    origin: "ours",
    help: "Slots for tasks that run at once; one that a poll is out for is free",
  },
  worker_last_poll_age_seconds: {
    type: "gauge",
    labels: task,
    origin: "ours",
    aggregator: "max",
    help: "Time since the last poll that the server answered, or since the start before the first; a pause counts",
  },
  worker_polls_failing_seconds: {
    type: "gauge",
    labels: task,
    origin: "ours",
    aggregator: "max",
    help: "For how long polls have failed without one that succeeded; 0 when they do not",
  },
  worker_abandoned_tasks: {
    type: "gauge",
    labels: none,
    origin: "ours",
    help: "Functions that go on although their task was ended",
  },
  worker_results_waiting: {
    type: "gauge",
    labels: none,
    origin: "ours",
    help: "Finished results that wait for another attempt to deliver them",
  },
  worker_outbox_full: {
    type: "gauge",
    labels: none,
    origin: "ours",
    aggregator: "max",
    help: "1 while so many results wait that nothing is polled, else 0",
  },
  worker_server_reachable: {
    type: "gauge",
    labels: none,
    origin: "ours",
    aggregator: "min",
    help: "0 while requests fail and the process backs off, else 1",
  },
  worker_tasks_in_flight: {
    type: "gauge",
    labels: none,
    origin: "ours",
    help: "Tasks that were handed out to this process and have not left it, whatever their state",
  },
  task_queue_wait_seconds: {
    type: "histogram",
    labels: task,
    origin: "ours",
    buckets: QUEUE_BUCKETS,
    help: "How long tasks lay in the queue before they were handed out, by the server's clock",
  },
  task_update_attempts_total: {
    type: "counter",
    labels: task,
    origin: "ours",
    help: "Attempts to deliver a result, those that failed included",
  },
  task_hand_back_total: {
    type: "counter",
    labels: { taskType: any, reason: ["surplus", "paused", "stopping", "notOurs", "lost"] },
    origin: "ours",
    help: "Tasks that went back to the queue unfinished",
  },
  task_reclaim_total: {
    type: "counter",
    labels: { taskType: any, reason: ["lostAnswer", "predecessor"] },
    origin: "ours",
    help: "Tasks that were found to have been handed out to us without our knowledge",
  },
  task_moot_total: {
    type: "counter",
    labels: task,
    origin: "ours",
    help: "Tasks that the server had ended before we did",
  },
  task_undeliverable_total: {
    type: "counter",
    labels: task,
    origin: "ours",
    help: "Results that were given up; each is in an event and in the log",
  },
  task_abandoned_total: {
    type: "counter",
    labels: task,
    origin: "ours",
    help: "Functions that went on after their task was ended",
  },
  task_lease_extension_total: {
    type: "counter",
    labels: task,
    origin: "ours",
    help: "Times that a running task's response timeout was pushed out",
  },
  http_connection_generation_total: {
    type: "counter",
    labels: { reason: ["age", "suspicion"] },
    origin: "ours",
    help: "Times that the connections were replaced by new ones",
  },
  http_deadline_exceeded_total: {
    type: "counter",
    labels: { lane: ["poll", "main"] },
    origin: "ours",
    help: "Requests whose deadline passed",
  },
  worker_stall_total: {
    type: "counter",
    labels: { reason: ["loop", "request"] },
    origin: "ours",
    help: "Stalls that the process saw before it ended",
  },
  worker_event_loop_delay_seconds: {
    type: "histogram",
    labels: none,
    origin: "ours",
    buckets: TIME_BUCKETS,
    help: "How late a timer of the event loop was, measured twice a second",
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;

export type MetricName = keyof typeof CATALOG;
type NameOf<T extends MetricSpec["type"]> = {
  [K in MetricName]: (typeof CATALOG)[K]["type"] extends T ? K : never;
}[MetricName];
export type CounterName = NameOf<"counter">;
export type HistogramName = NameOf<"histogram">;
export type GaugeName = NameOf<"gauge">;

/** The names of one type, in the order of the list. */
export function namesOf<T extends MetricSpec["type"]>(type: T): readonly NameOf<T>[] {
  return (Object.keys(CATALOG) as MetricName[]).filter((name) => CATALOG[name].type === type) as NameOf<T>[];
}

export type ErrorName = {
  [K in CounterName]: "exception" extends keyof (typeof CATALOG)[K]["labels"] ? K : never;
}[CounterName];
