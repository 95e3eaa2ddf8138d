import type { TaskHandler, WorkerEventName } from "../../../src/index.js";

/** The events that the audit reads, and some that faults ask for. */
export const WATCHED_EVENTS = [
  "taskStarted",
  "taskExecuted",
  "taskFailed",
  "taskUpdated",
  "taskUpdateFailed",
  "taskMoot",
  "taskUndeliverable",
  "taskHandedBack",
  "taskReclaimed",
  "taskAbandoned",
  "leaseExtended",
  "pollCompleted",
  "pollFailed",
  "connectionsRecycled",
  "deadlineExceeded",
  "requestEnded",
] as const satisfies readonly WorkerEventName[];

/** One event of a worker, or the end of its process by our hand. */
export interface SeenEvent {
  readonly name: (typeof WATCHED_EVENTS)[number] | "processDied";
  /** On the worker's own monotonic clock, in ms: comparable within one process only. */
  readonly atMs: number;
  /** Which worker process: several may be at work in one fault. */
  readonly worker: string;
  /** The event's fields, as far as they are values. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The line prefix by which a worker process prints its events. */
export const EVENT_MARK = "@event ";

/** Listens to everything, for as long as the handler lives. */
export function watchEvents(
  handler: Pick<TaskHandler, "on">,
  worker: string,
  onEvent: (event: SeenEvent) => void,
): void {
  for (const name of WATCHED_EVENTS) {
    handler.on(name, (event) => {
      onEvent({ name, atMs: performance.now(), worker, fields: plain(event) });
    });
  }
}

/** What survives a line of JSON; errors become their messages, of results is told whether there is one. */
function plain(event: object): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(event)) {
    try {
      if (key === "result") fields.hasResult = value !== undefined;
      else if (value instanceof Error) fields[key] = value.message;
      else if (value === null || ["string", "number", "boolean", "undefined"].includes(typeof value))
        fields[key] = value;
    } catch {
      // A function threw something that cannot be looked at.
    }
  }
  return fields;
}

/** The events that a worker process has printed so far. */
export function eventsIn(lines: readonly string[]): SeenEvent[] {
  return lines
    .filter((line) => line.startsWith(EVENT_MARK))
    .map((line) => JSON.parse(line.slice(EVENT_MARK.length)) as SeenEvent);
}
