import type { WorkerEmitter } from "../events/emitter.js";
import { CATALOG } from "./catalog.js";
import type { Counter, CounterFamily } from "./families.js";
import type { MetricsStore } from "./store.js";

/** Counts what is emitted, until the returned function is called. Each listener costs a look into a map and additions. */
export function listen(events: Pick<WorkerEmitter, "on">, store: MetricsStore): () => void {
  const { counters, errors, requests } = store;
  const generations = perValue(
    counters.http_connection_generation_total,
    reasonsOf("http_connection_generation_total"),
  );
  const stalls = perValue(counters.worker_stall_total, reasonsOf("worker_stall_total"));
  const deadlines = perValue(counters.http_deadline_exceeded_total, CATALOG.http_deadline_exceeded_total.labels.lane);
  const uncaught = errors.thread_uncaught_exceptions_total.of();

  const offs = [
    events.on("pollSkipped", ({ taskType, reason }) => {
      if (reason === "full") store.task(taskType).full.inc();
      else if (reason === "paused") store.task(taskType).paused.inc();
    }),
    events.on("pollCompleted", ({ taskType, durationMs }) => {
      const task = store.task(taskType);
      task.polls.inc();
      task.pollTime.success.observe(durationMs / 1000);
    }),
    events.on("pollFailed", ({ taskType, durationMs, error }) => {
      const task = store.task(taskType);
      task.polls.inc();
      task.pollErrors.count(error);
      task.pollTime.failure.observe(durationMs / 1000);
    }),
    events.on("taskStarted", ({ taskType, queueWaitMs }) => {
      const task = store.task(taskType);
      task.started.inc();
      task.queueWait.observe(queueWaitMs / 1000);
    }),
    events.on("taskExecuted", ({ taskType, durationMs }) => {
      store.task(taskType).executeTime.success.observe(durationMs / 1000);
    }),
    events.on("taskFailed", ({ taskType, durationMs, error }) => {
      const task = store.task(taskType);
      if (error === undefined) task.executeErrors.countName("none");
      else task.executeErrors.count(error);
      task.executeTime.failure.observe(durationMs / 1000);
    }),
    events.on("taskUpdated", ({ taskType, attemptMs, resultBytes }) => {
      const task = store.task(taskType);
      task.updateAttempts.inc();
      task.updateTime.success.observe(attemptMs / 1000);
      task.resultSize.observe(resultBytes);
    }),
    events.on("taskUpdateFailed", ({ taskType, attemptMs, error, then, isLost }) => {
      const task = store.task(taskType);
      task.updateAttempts.inc();
      task.updateTime.failure.observe(attemptMs / 1000);
      task.updateErrors.count(error);
      if (isLost) task.ackErrors.count(error);
      if (then !== "retry") task.ackFailed.inc();
    }),
    events.on("taskMoot", ({ taskType }) => {
      store.task(taskType).moot.inc();
    }),
    events.on("taskUndeliverable", ({ taskType }) => {
      store.task(taskType).undeliverable.inc();
    }),
    events.on("taskHandedBack", ({ taskType, reason }) => {
      store.task(taskType).handBack[reason].inc();
    }),
    events.on("taskReclaimed", ({ taskType, reason }) => {
      store.task(taskType).reclaim[reason].inc();
    }),
    events.on("externalPayloadUsed", ({ taskType, operation, payloadType }) => {
      counters.external_payload_used_total.of(taskType, operation, payloadType).inc();
    }),
    events.on("leaseExtended", ({ taskType }) => {
      store.task(taskType).leaseExtensions.inc();
    }),
    events.on("taskAbandoned", ({ taskType }) => {
      store.task(taskType).abandoned.inc();
    }),
    events.on("connectionsRecycled", ({ reason }) => {
      generations[reason].inc();
    }),
    events.on("requestEnded", ({ method, pathTemplate, status, durationMs }) => {
      requests.observe(method, pathTemplate, status, durationMs);
    }),
    events.on("deadlineExceeded", ({ lane }) => {
      deadlines[lane].inc();
    }),
    events.on("stalled", ({ reason }) => {
      stalls[reason].inc();
    }),
    events.on("uncaughtError", ({ error }) => {
      uncaught.count(error);
    }),
  ];
  return () => {
    for (const off of offs) off();
  };
}

function reasonsOf<K extends "http_connection_generation_total" | "worker_stall_total">(name: K) {
  return CATALOG[name].labels.reason as (typeof CATALOG)[K]["labels"]["reason"];
}

/** The series of a counter with one label whose values are known: exposed from now on. */
function perValue<V extends string>(family: CounterFamily, values: readonly V[]): Readonly<Record<V, Counter>> {
  return Object.fromEntries(values.map((value) => [value, family.of(value)])) as Record<V, Counter>;
}
