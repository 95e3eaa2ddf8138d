/**
 * Why a process counts as stuck:
 * - `loop`: a poll loop has not iterated.
 * - `request`: a request has outlived its deadline without ending.
 */
export type StallReason = "loop" | "request";

/** What the watchdog found out about a stall: the line on stderr, the report file, and `onStall` get this. */
export interface StallReport {
  readonly reason: StallReason;
  /** The task types whose loops did not iterate, or the path of the request that did not end. */
  readonly stuck: readonly string[];
  readonly stalledMs: number;
  /** What the loop did last: `polling`, `full`, `paused`, `waiting`, `draining`. */
  readonly phase: string;
  /** The task type whose function was entered last. */
  readonly lastEntered?: string;
  /** Whether the main thread answered, and how. */
  readonly mainThread: "turning" | "busy" | "native" | "unknown";
  /** The main thread's JavaScript stack, where it could be interrupted. */
  readonly stack?: string;
  /** Where the kernel sees the main thread, when it is in a native call: `pipe_read`, `do_epoll_wait`. */
  readonly nativeCall?: string;
  /** Tasks in flight, as `taskType/taskId (state)`; at most 100. */
  readonly inFlight: readonly string[];
  /** How late the event loop's own timer is, in ms. */
  readonly eventLoopDelayMs: number;
}
