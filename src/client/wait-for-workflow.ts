import type { Clock, Timer } from "../base/clock.js";
import { ENDED_WORKFLOW_STATUSES } from "../conductor/ended-statuses.js";
import { ConductorError } from "../conductor/errors.js";
import type { Workflow, WorkflowState, WorkflowStatus } from "../conductor/types.js";
import { invalidRequest } from "./requests.js";

/** How long the end of a workflow is waited for, and how often it is looked for. */
export interface WaitForWorkflowOptions {
  /** How long to wait at most, in ms. */
  timeoutMs: number;
  /** The pause between two looks, in ms. Default: 50 at first, then longer and longer, up to 1000. */
  pollIntervalMs?: number;
  /** Ends the waiting; the promise rejects with its reason. */
  signal?: AbortSignal;
}

/** What the waiting is done with; each look gets the time that is left, in ms. */
export interface WorkflowLooks {
  readonly clock: Clock;
  readonly getStatus: (leftMs: number) => Promise<WorkflowState>;
  readonly get: (leftMs: number) => Promise<Workflow>;
}

const METHOD = "GET";
const PATH_TEMPLATE = "/workflow/{workflowId}/status";
const FIRST_PAUSE_MS = 50;
const PAUSE_GROWTH = 1.5;
const MAX_PAUSE_MS = 1_000;

/** Throws `INVALID_REQUEST` for options that make no sense. */
export function checkWaitOptions({ timeoutMs, pollIntervalMs }: WaitForWorkflowOptions): void {
  for (const [name, value] of Object.entries({ timeoutMs, pollIntervalMs })) {
    if (value === undefined && name === "pollIntervalMs") continue;
    if (typeof value === "number" && Number.isFinite(value) && value > 0) continue;
    throw invalidRequest(
      METHOD,
      PATH_TEMPLATE,
      `${name} must be a number of milliseconds above 0, got ${String(value)}`,
    );
  }
}

/** Looks until the workflow has ended, the time is over, or the signal aborts. See `WorkflowClient.waitFor`. */
export async function waitForWorkflow(
  workflowId: string,
  { timeoutMs, pollIntervalMs, signal }: WaitForWorkflowOptions,
  { clock, getStatus, get }: WorkflowLooks,
): Promise<Workflow> {
  const until = clock.now() + timeoutMs;
  const leftMs = () => until - clock.now();
  const { wait, stop } = interruptible(signal);
  let pauseMs = pollIntervalMs ?? FIRST_PAUSE_MS;
  let timer: Timer;
  let status: WorkflowStatus | undefined;
  let failure: ConductorError | undefined;
  const pause = () =>
    new Promise<void>((resolve) => {
      timer = clock.setTimer(resolve, Math.min(pauseMs, Math.max(leftMs(), 0)));
    });
  try {
    while (leftMs() > 0) {
      try {
        ({ status } = await wait(() => getStatus(leftMs())));
        failure = undefined;
        if (ENDED_WORKFLOW_STATUSES.has(status) && leftMs() > 0) return await wait(() => get(leftMs()));
      } catch (error) {
        if (!isPassing(error)) throw error;
        failure = error;
      }
      await wait(pause);
      if (pollIntervalMs === undefined) pauseMs = Math.min(pauseMs * PAUSE_GROWTH, MAX_PAUSE_MS);
    }
  } finally {
    clock.clearTimer(timer);
    stop();
  }
  const seen = status === undefined ? "its status could not be seen" : `it was ${status} when last seen`;
  throw new ConductorError({
    code: "DEADLINE_EXCEEDED",
    method: METHOD,
    pathTemplate: PATH_TEMPLATE,
    message:
      `workflow ${workflowId} has not ended within ${timeoutMs} ms: ${seen}` +
      (failure === undefined ? "" : `; the last look failed: ${failure.message}`),
    retryable: true,
    cause: failure,
  });
}

/** Nothing of the workflow, but of the moment: the network, the server, or somebody in between. */
function isPassing(error: unknown): error is ConductorError {
  if (!(error instanceof ConductorError)) return false;
  return error.retryable || (error.status ?? 0) >= 500 || (error.status === 404 && error.serverMessage === undefined);
}

/** Waits for one thing at a time, and not after the signal has aborted: then with its reason. */
function interruptible(signal: AbortSignal | undefined) {
  let interrupt: (() => void) | undefined;
  const onAbort = () => interrupt?.();
  signal?.addEventListener("abort", onAbort);
  return {
    wait: <T>(begin: () => Promise<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        interrupt = () => {
          reject(signal?.reason);
        };
        if (signal?.aborted === true) interrupt();
        else begin().then(resolve, reject);
      }),
    /** Forgets the signal, which may live as long as the process. */
    stop: () => {
      signal?.removeEventListener("abort", onAbort);
    },
  };
}
