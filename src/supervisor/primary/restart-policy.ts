/** When a process that died is replaced. */
export interface RestartLimits {
  /** The wait before the second restart in a row, in ms; it doubles from there. The first is at once. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  /** A process that was ready for this long was healthy: its end counts as the first again, in ms. */
  readonly healthyMs: number;
  /** Starts that failed in a row, of all processes, after which the supervisor gives up. */
  readonly maxFailedStarts: number;
}

/** How long a process may take to start a handler unless somebody says otherwise, in ms; then it is replaced. */
export const DEFAULT_START_TIMEOUT_MS = 60_000;

export const DEFAULT_RESTART_LIMITS: RestartLimits = {
  backoffMs: 500,
  maxBackoffMs: 30_000,
  healthyMs: 60_000,
  maxFailedStarts: 5,
};

/** The wait is up to this share longer, so that processes that died together do not start together. */
const JITTER = 0.2;

/**
 * How many ends in a row one process's place has seen, this one included.
 *
 * @param readyMs how long the process that ended had been ready; 0: it never was.
 */
export function endsInARow(before: number, readyMs: number, limits: RestartLimits): number {
  return readyMs >= limits.healthyMs ? 1 : before + 1;
}

/** How long to wait before the process is replaced, in ms. The first time: not at all. */
export function restartDelayMs(ends: number, random: () => number, limits: RestartLimits): number {
  if (ends <= 1) return 0;
  const delayMs = Math.min(limits.backoffMs * 2 ** (ends - 2), limits.maxBackoffMs);
  return delayMs * (1 + JITTER * random());
}

/** What there is to say about the starts so far, of all processes together. */
export interface Starts {
  /** A handler has been started at least once. */
  readonly everReady: boolean;
  /** Ends before the start of a handler, in a row: any that starts makes it 0. */
  readonly failedInARow: number;
  /** The last one failed by a fault of the script: it threw, or ended, or started no handler. */
  readonly isScriptsFault: boolean;
  /** Processes that are ready now. */
  readonly ready: number;
}

/**
 * Whether to try no further. A script that fails at its very first start is wrong, and says so at once. Later it takes
 * some failures in a row; and while another process works, a new one that cannot start is no reason to end that.
 */
export function shouldGiveUp(starts: Starts, limits: RestartLimits): boolean {
  if (starts.failedInARow === 0 || starts.ready > 0) return false;
  if (!starts.everReady && starts.isScriptsFault) return true;
  return starts.failedInARow >= limits.maxFailedStarts;
}
