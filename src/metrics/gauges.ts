import type { GroupStatus } from "../status.js";
import { namesOf, type GaugeName } from "./catalog.js";
import type { Sample } from "./families.js";

/** One handler at the moment of a scrape. */
export interface GaugeReading {
  readonly status: GroupStatus;
  /** For how long it has run, in ms. */
  readonly forMs: number;
}

interface TaskTypeGauges {
  used: number;
  free: number;
  beatAgeMs: number;
  pollAgeMs: number;
  failingMs: number;
}

/**
 * What the gauges say of several handlers together: amounts are added up, of ages the largest counts, and a process is
 * as well as the worst of them. Of none there is nothing to say.
 */
export function readGauges(readings: readonly GaugeReading[]): Record<GaugeName, readonly Sample[]> {
  if (readings.length === 0) {
    return Object.fromEntries(namesOf("gauge").map((name) => [name, []])) as unknown as Record<GaugeName, Sample[]>;
  }
  const byTaskType = [...gatherByTaskType(readings)];
  const perTaskType = (value: (gauges: TaskTypeGauges) => number): Sample[] =>
    byTaskType.map(([taskType, gauges]) => ({ labels: { taskType }, value: value(gauges) }));
  const total = (value: (status: GroupStatus) => number): Sample[] => [
    { labels: {}, value: readings.reduce((sum, { status }) => sum + value(status), 0) },
  ];
  const flag = (isSet: boolean): Sample[] => [{ labels: {}, value: isSet ? 1 : 0 }];
  return {
    active_workers: perTaskType(({ used }) => used),
    worker_loop_beat_age_seconds: perTaskType(({ beatAgeMs }) => beatAgeMs / 1000),
    worker_slots: byTaskType.flatMap(([taskType, { used, free }]) => [
      { labels: { taskType, state: "used" }, value: used },
      { labels: { taskType, state: "free" }, value: free },
    ]),
    worker_last_poll_age_seconds: perTaskType(({ pollAgeMs }) => pollAgeMs / 1000),
    worker_polls_failing_seconds: perTaskType(({ failingMs }) => failingMs / 1000),
    worker_abandoned_tasks: total(({ abandoned }) => abandoned),
    worker_results_waiting: total(({ resultsWaiting }) => resultsWaiting),
    worker_outbox_full: flag(readings.some(({ status }) => status.outboxFull)),
    worker_server_reachable: flag(readings.every(({ status }) => status.serverReachable)),
    worker_tasks_in_flight: total(({ inFlight }) => inFlight),
  };
}

/** A task type may have several runners: one in each domain, and some in each handler. */
function gatherByTaskType(readings: readonly GaugeReading[]): ReadonlyMap<string, TaskTypeGauges> {
  const byTaskType = new Map<string, TaskTypeGauges>();
  for (const { status, forMs } of readings) {
    for (const { taskType, running, concurrency, lastBeatAgoMs, lastPollAgoMs, pollsFailing } of status.runners) {
      const known = byTaskType.get(taskType);
      byTaskType.set(taskType, {
        used: (known?.used ?? 0) + running,
        free: (known?.free ?? 0) + Math.max(0, concurrency - running),
        beatAgeMs: Math.max(known?.beatAgeMs ?? 0, lastBeatAgoMs),
        pollAgeMs: Math.max(known?.pollAgeMs ?? 0, lastPollAgoMs ?? forMs),
        failingMs: Math.max(known?.failingMs ?? 0, pollsFailing?.forMs ?? 0),
      });
    }
  }
  return byTaskType;
}
