import type { WorkerOptions } from "../worker/define-worker.js";
import { asItIs, setting, type Option } from "./option.js";
import { decimal, flag, integer, oneOf, text } from "./parse.js";
import { readRegisterTaskDef, type WorkerGiven } from "./resolve-task-def.js";

/** Of one task type in one process. Far more would not even fit into the server's `count`, and every poll would fail. */
export const MAX_CONCURRENCY = 10_000;

/** Node's timers cannot be longer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The one table of what can be set of a worker, in code and from outside. A variable is named by what follows the task
 * type: `CONDUCTOR_WORKER_<TASK>_CONCURRENCY`; ours first, then those of other SDKs. All of it is told at start, in
 * this order. The compiler holds it to the interface, whose docstrings are for the user.
 */
export const WORKER_OPTIONS = {
  concurrency: setting(integer(1, MAX_CONCURRENCY), {
    variables: ["CONCURRENCY", "THREAD_COUNT"],
    fallback: 1,
    show: asItIs,
  }),
  domain: setting(text, { variables: ["DOMAIN"], fallback: undefined, show: (domain) => domain ?? "none" }),
  /** The default is made of what the process is: see `ProcessIdentity`. */
  workerId: setting(text, { variables: ["WORKER_ID"], fallback: undefined, show: (workerId) => workerId ?? "default" }),
  executionTimeoutMs: setting(
    decimal((value) => value > 0 && value <= MAX_TIMER_MS, `a number above 0 and up to ${MAX_TIMER_MS} (ms, 24 days)`),
    { variables: ["EXECUTION_TIMEOUT_MS"], fallback: undefined, show: (timeoutMs) => timeoutMs ?? "by-definition" },
  ),
  longPollMs: setting(integer(0, 5000, " (ms; the server refuses to hold a poll for longer)"), {
    variables: ["POLL_TIMEOUT"],
    fallback: 2000,
    show: asItIs,
  }),
  paused: setting(flag, { variables: ["PAUSED"], fallback: false, show: asItIs }),
  onDrainDeadline: setting(oneOf<"handBack" | "fail">(["handBack", "fail"], { hand_back: "handBack" }), {
    variables: ["ON_DRAIN_DEADLINE"],
    fallback: "handBack",
    show: asItIs,
  }),
  registerTaskDef: {
    variables: ["REGISTER_TASK_DEF"],
    read: readRegisterTaskDef,
    /** `true`, `false`, or which fields; where somebody has set it. */
    show: (fields, source) => {
      if (source === "default") return undefined;
      return typeof fields === "object" ? Object.keys(fields).join(",") || true : fields;
    },
  } satisfies Option<ReturnType<typeof readRegisterTaskDef>["value"], WorkerGiven>,
} satisfies Record<keyof WorkerOptions, Option<unknown, WorkerGiven>>;
