import type { WorkerEvents } from "../events/events.js";
import { CATALOG, type CounterName, type ErrorName, type HistogramName } from "./catalog.js";
import type { Counter, CounterFamily, Histogram, HistogramFamily } from "./families.js";
import type { ErrorFamily, ErrorSeries } from "./series.js";

type HandBackReason = WorkerEvents["taskHandedBack"]["reason"];
type ReclaimReason = WorkerEvents["taskReclaimed"]["reason"];

/** All series of one task type, looked up once: what happens to a task is then counted without a label in sight. */
export interface TaskSeries {
  readonly polls: Counter;
  readonly pollErrors: ErrorSeries;
  readonly pollTime: StatusSeries;
  readonly full: Counter;
  readonly paused: Counter;
  readonly started: Counter;
  readonly queueWait: Histogram;
  readonly executeErrors: ErrorSeries;
  readonly executeTime: StatusSeries;
  readonly updateAttempts: Counter;
  readonly updateErrors: ErrorSeries;
  readonly updateTime: StatusSeries;
  readonly ackErrors: ErrorSeries;
  readonly ackFailed: Counter;
  readonly resultSize: Histogram;
  readonly handBack: Readonly<Record<HandBackReason, Counter>>;
  readonly reclaim: Readonly<Record<ReclaimReason, Counter>>;
  readonly moot: Counter;
  readonly undeliverable: Counter;
  readonly abandoned: Counter;
  readonly leaseExtensions: Counter;
}

/** A histogram's two series: of what went well, and of what did not. */
export interface StatusSeries {
  readonly success: Histogram;
  readonly failure: Histogram;
}

/** The families that the series of a task type are made in. */
export interface Families {
  readonly counters: Readonly<Record<CounterName, CounterFamily>>;
  readonly histograms: Readonly<Record<HistogramName, HistogramFamily>>;
  readonly errors: Readonly<Record<ErrorName, ErrorFamily>>;
}

/** Makes the series of a task type; its counters are exposed from now on. */
export function createTaskSeries({ counters, histograms, errors }: Families, taskType: string): TaskSeries {
  const timed = (name: "task_poll_time_seconds" | "task_execute_time_seconds" | "task_update_time_seconds") => ({
    success: histograms[name].of(taskType, "SUCCESS"),
    failure: histograms[name].of(taskType, "FAILURE"),
  });
  const perReason = <K extends string>(name: "task_hand_back_total" | "task_reclaim_total", reasons: readonly K[]) =>
    Object.fromEntries(reasons.map((reason) => [reason, counters[name].of(taskType, reason)])) as Record<K, Counter>;
  return {
    polls: counters.task_poll_total.of(taskType),
    pollErrors: errors.task_poll_error_total.of(taskType),
    pollTime: timed("task_poll_time_seconds"),
    full: counters.task_execution_queue_full_total.of(taskType),
    paused: counters.task_paused_total.of(taskType),
    started: counters.task_execution_started_total.of(taskType),
    queueWait: histograms.task_queue_wait_seconds.of(taskType),
    executeErrors: errors.task_execute_error_total.of(taskType),
    executeTime: timed("task_execute_time_seconds"),
    updateAttempts: counters.task_update_attempts_total.of(taskType),
    updateErrors: errors.task_update_error_total.of(taskType),
    updateTime: timed("task_update_time_seconds"),
    ackErrors: errors.task_ack_error_total.of(taskType),
    ackFailed: counters.task_ack_failed_total.of(taskType),
    resultSize: histograms.task_result_size_bytes.of(taskType),
    handBack: perReason("task_hand_back_total", CATALOG.task_hand_back_total.labels.reason),
    reclaim: perReason("task_reclaim_total", CATALOG.task_reclaim_total.labels.reason),
    moot: counters.task_moot_total.of(taskType),
    undeliverable: counters.task_undeliverable_total.of(taskType),
    abandoned: counters.task_abandoned_total.of(taskType),
    leaseExtensions: counters.task_lease_extension_total.of(taskType),
  };
}
