import type { MetricSpec } from "../../metrics/catalog.js";
import type { MetricJson } from "../messages.js";
import { EXIT_KINDS, type ExitKind } from "./exit-kind.js";
import type { PlaceStatus } from "./process-place.js";

/** The metrics of the supervisor itself; those of its processes are in `metrics/catalog.ts`. */
export const SUPERVISOR_CATALOG = {
  worker_restart_total: {
    type: "counter",
    labels: { reason: EXIT_KINDS },
    origin: "ours",
    help: "Worker processes that were replaced, by the reason of their end",
  },
  worker_process_ready: {
    type: "gauge",
    labels: { process: undefined },
    origin: "ours",
    help: "Whether the process polls (1) or not (0)",
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;

/** What the supervisor itself has to tell, as its children tell theirs. */
export function ownMetrics(
  processes: readonly PlaceStatus[],
  restarts: Readonly<Record<ExitKind, number>>,
): MetricJson[] {
  return [
    metric(
      "worker_restart_total",
      Object.entries(restarts).map(([reason, value]) => ({ labels: { reason }, value })),
    ),
    metric(
      "worker_process_ready",
      processes.map(({ process, state }) => ({ labels: { process }, value: state === "ready" ? 1 : 0 })),
    ),
  ];
}

function metric(name: keyof typeof SUPERVISOR_CATALOG, values: MetricJson["values"]): MetricJson {
  const { help, type } = SUPERVISOR_CATALOG[name];
  return { name, help, type, values };
}
