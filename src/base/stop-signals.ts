import type { Clock } from "./clock.js";

/** How long a stop lets tasks finish unless somebody says otherwise, in ms: below the 30 s after which Kubernetes kills. */
export const DEFAULT_DRAIN_TIMEOUT_MS = 25_000;

/** A second signal sooner than this is the same request, in ms: a terminal's Ctrl-C reaches a group of processes twice. */
const SECOND_SIGNAL_MS = 2_000;

/** What the signals that ask a process to stop mean. */
export interface StopOrders {
  /** The first signal: let what runs finish, and end. */
  stop(signal: NodeJS.Signals): void;
  /** Another one, two seconds after the first or later: cut the drain short. Called again for each that follows. */
  hurry(signal: NodeJS.Signals): void;
}

/** The signals that ask a process to stop, wherever it runs. */
export const STOP_SIGNALS: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT"];

/**
 * Tells what the signals of this process mean, instead of what Node does with them by default, until the returned
 * function is called. A signal that comes less than two seconds after the first one means nothing new.
 */
export function obeyStopSignals(
  orders: StopOrders,
  clock: Pick<Clock, "now">,
  signals: readonly NodeJS.Signals[] = STOP_SIGNALS,
): () => void {
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    const now = clock.now();
    if (firstAt === undefined) {
      firstAt = now;
      orders.stop(signal);
    } else if (now - firstAt >= SECOND_SIGNAL_MS) orders.hurry(signal);
  };
  for (const signal of signals) process.on(signal, onSignal);
  return () => {
    for (const signal of signals) process.off(signal, onSignal);
  };
}
