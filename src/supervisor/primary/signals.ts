import type { Clock } from "../../base/clock.js";

/** What the signals of a supervisor's process mean. */
export interface SignalOrders {
  stop(): void;
  /** Cuts the drain short. */
  hurry(): void;
  roll(): void;
}

/** A second signal sooner than this is the same request: a terminal's Ctrl-C may reach a process twice, in ms. */
const SECOND_SIGNAL_MS = 2_000;

/**
 * SIGTERM and SIGINT stop, and two seconds later or more cut the drain short; SIGHUP rolls, except in a terminal, where
 * it says that the terminal was closed. Returns the way to listen no more.
 */
export function obeySignals(orders: SignalOrders, clock: Clock, isTerminal: boolean): () => void {
  let firstAt: number | undefined;
  const onStop = () => {
    const now = clock.now();
    firstAt ??= now;
    if (now - firstAt >= SECOND_SIGNAL_MS) orders.hurry();
    else if (now === firstAt) orders.stop();
  };
  const onHangUp = () => {
    if (isTerminal) onStop();
    else orders.roll();
  };
  process.on("SIGTERM", onStop);
  process.on("SIGINT", onStop);
  process.on("SIGHUP", onHangUp);
  return () => {
    process.off("SIGTERM", onStop);
    process.off("SIGINT", onStop);
    process.off("SIGHUP", onHangUp);
  };
}
