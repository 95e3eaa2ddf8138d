import type { Clock } from "../../base/clock.js";
import { obeyStopSignals, STOP_SIGNALS } from "../../base/stop-signals.js";

/** What the signals of a supervisor's process mean. */
export interface SignalOrders {
  stop(): void;
  /** Cuts the drain short. */
  hurry(): void;
  roll(): void;
}

/**
 * SIGTERM and SIGINT stop, and two seconds later or more cut the drain short; SIGHUP rolls, except in a terminal, where
 * it says that the terminal was closed, and stops as well. Returns the way to listen no more.
 */
export function obeySignals(orders: SignalOrders, clock: Clock, isTerminal: boolean): () => void {
  const deafenToStop = obeyStopSignals(orders, clock, isTerminal ? [...STOP_SIGNALS, "SIGHUP"] : STOP_SIGNALS);
  const onHangUp = () => {
    orders.roll();
  };
  if (!isTerminal) process.on("SIGHUP", onHangUp);
  return () => {
    deafenToStop();
    process.off("SIGHUP", onHangUp);
  };
}
