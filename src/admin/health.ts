import { queueNameOf } from "../conductor/queue-name.js";
import { abandonedLimit, isOverburdened, type RunnerStatus, type TaskHandlerStatus } from "../status.js";

/**
 * For how long the polls of a task type may fail before the process is not ready, in ms, counted from the first that
 * failed. The backoff tries again within 2 s as a rule, so that one failed poll, or a server that restarts its proxy,
 * does not show.
 */
export const POLLS_MAY_FAIL_MS = 10_000;
/** Task types that one reason names; and reasons of one kind that are given. */
const MAX_NAMES = 10;
const MAX_REASONS = 10;

/** Whether every loop iterates. */
export interface Liveness {
  readonly isLive: boolean;
  /** In words, one for each loop that is stuck. */
  readonly reasons: readonly string[];
}

/** Whether tasks are polled for, or would be if there were room. */
export interface Readiness {
  readonly isReady: boolean;
  /** In words, why not. */
  readonly reasons: readonly string[];
}

/**
 * Not live when a loop has not iterated for `stallMs` (Infinity: never). What a loop waits for does not matter: each
 * wait is cut into slices. A loop that drains or has stopped is not looked at, for the stop has its own deadline.
 */
export function judgeLiveness(status: Pick<TaskHandlerStatus, "runners">, stallMs: number): Liveness {
  const stuck = status.runners.filter(
    ({ state, lastBeatAgoMs }) => (state === "polling" || state === "paused") && lastBeatAgoMs >= stallMs,
  );
  const reasons = stuck.map(
    ({ taskType, domain, lastBeatAgoMs, phase }) =>
      `the loop of ${queueNameOf(taskType, domain)} has not iterated for ${seconds(lastBeatAgoMs)}; what it did last: ${phase}`,
  );
  return { isLive: stuck.length === 0, reasons };
}

/**
 * Not ready while
 * - it drains or has stopped,
 * - no poll has succeeded yet (of none of the task types: where held polls are rationed, some wait long for their first),
 * - the polls of a task type have failed for {@link POLLS_MAY_FAIL_MS}, or none was sent for so long because other
 *   requests fail,
 * - finished results have piled up to the limit, and nothing is polled until they are delivered,
 * - more functions go on after the end of their tasks than may run at once: the process carries twice what it should.
 *
 * A task type that is full or paused says nothing, and one that polls rarely is not in doubt for that.
 */
export function judgeReadiness(status: TaskHandlerStatus): Readiness {
  if (status.state === "stopped") return { isReady: false, reasons: ["the worker has stopped"] };
  if (status.state === "draining") return { isReady: false, reasons: ["the worker is draining: it polls no more"] };
  const polling = status.runners.filter(({ state, phase }) => state === "polling" && phase !== "full");
  const hasPolled = polling.length === 0 || status.runners.some(({ lastPollAgoMs }) => lastPollAgoMs !== undefined);
  const reasons: string[] = [];
  if (!hasPolled) reasons.push("starting: no poll has succeeded yet");
  // Before the first success there is nothing to keep from flapping, and the error is what one wants to see.
  reasons.push(...failures(polling, hasPolled ? POLLS_MAY_FAIL_MS : 0));
  const silentMs = silence(status, polling);
  if (hasPolled && silentMs !== undefined) {
    reasons.push(`requests fail, and the server has answered no poll for ${seconds(silentMs)}`);
  }
  if (status.outboxFull) {
    const { resultsWaiting } = status;
    reasons.push(`outbox full: ${resultsWaiting} finished results wait; nothing is polled until some are delivered`);
  }
  if (isOverburdened(status)) {
    const limit = abandonedLimit(status);
    reasons.push(`${status.abandoned} functions go on although their tasks were ended; the limit is ${limit}`);
  }
  return { isReady: reasons.length === 0, reasons };
}

/**
 * For how long no poll was answered, where that is all there is to see: while the server is away, deliveries may be what
 * finds out whether it is back, and then no poll is sent that could fail.
 */
function silence(status: TaskHandlerStatus, polling: readonly RunnerStatus[]): number | undefined {
  const isSeenOtherwise = status.serverReachable || status.runners.some((runner) => runner.pollsFailing !== undefined);
  if (polling.length === 0 || isSeenOtherwise) return undefined;
  const silentMs = Math.min(...status.runners.map(({ lastPollAgoMs }) => lastPollAgoMs ?? Infinity));
  return silentMs >= POLLS_MAY_FAIL_MS ? silentMs : undefined;
}

/** One reason for all task types whose last polls failed with the same words. */
function failures(runners: readonly RunnerStatus[], forAtLeastMs: number): string[] {
  const byError = new Map<string, { names: string[]; forMs: number }>();
  for (const { taskType, domain, pollsFailing } of runners) {
    if (pollsFailing === undefined || pollsFailing.forMs < forAtLeastMs) continue;
    const known = byError.get(pollsFailing.error) ?? { names: [], forMs: 0 };
    known.names.push(queueNameOf(taskType, domain));
    known.forMs = Math.max(known.forMs, pollsFailing.forMs);
    byError.set(pollsFailing.error, known);
  }
  const reasons = [...byError].map(
    ([error, { names, forMs }]) => `polls have failed for ${seconds(forMs)} (${listed(names)}): ${error}`,
  );
  const more = reasons.length - MAX_REASONS;
  return more > 0 ? [...reasons.slice(0, MAX_REASONS), `polls fail with ${more} more errors`] : reasons;
}

function listed(names: readonly string[]): string {
  const more = names.length - MAX_NAMES;
  return more > 0 ? `${names.slice(0, MAX_NAMES).join(", ")} and ${more} more` : names.join(", ");
}

/** `12 s`; below a second `0.3 s`. */
export function seconds(ms: number): string {
  return `${ms < 1_000 ? Math.round(ms / 100) / 10 : Math.round(ms / 1_000)} s`;
}
