/**
 * Why a process counts as stuck:
 * - `loop`: a poll loop has not iterated.
 * - `request`: a request has outlived its deadline without ending.
 */
export type StallReason = "loop" | "request";

/** What the watchdog found out about a stall: the line on stderr, the report file, and `onStall` get this. */
export interface StallReport {
  /** Whether a loop or a request is stuck. */
  readonly reason: StallReason;
  /** The task types whose loops did not iterate, or the method and path of the request that did not end. */
  readonly stuck: readonly string[];
  /** How long it has stood still, in ms. */
  readonly stalledMs: number;
  /**
   * What the stuck loops did last: `starting`, `polling`, `waiting`, `full`, `outboxFull`, `paused` or `draining`; several
   * of them, with commas between, where loops differ. Of a stuck request: what all loops did last.
   */
  readonly phase: string;
  /** The task type whose function was entered last. */
  readonly lastEntered?: string;
  /**
   * - `turning`: the event loop turns; a loop or a request is lost all the same.
   * - `busy`: it executes JavaScript; `stack` says where.
   * - `native`: it could not be interrupted; `nativeCall` says what it waits for.
   * - `unknown`: it could not be looked at; `probeError` says why.
   */
  readonly mainThread: "turning" | "busy" | "native" | "unknown";
  /** The main thread's JavaScript stack, where it could be interrupted. */
  readonly stack?: string;
  /** What the kernel sees the main thread do (Linux): `reading from a pipe or FIFO (state S, wchan …)`. */
  readonly nativeCall?: string;
  /**
   * Of the last `ofMs` of the stall: how long the main thread ran, and how long it was ready to run and waited for a CPU
   * (Linux). Where it waited most of the time, other processes or the container's CPU limit stopped it.
   */
  readonly cpu?: { readonly ofMs: number; readonly ranMs: number; readonly waitedMs: number };
  /** Tasks in flight, as `taskType/taskId (state)`; at most 100. Empty where the main thread could not be asked. */
  readonly inFlight: readonly string[];
  /** How late the event loop's own timer is, in ms; where the main thread could not be asked, as {@link stalledMs}. */
  readonly eventLoopDelayMs: number;
  /** What holds the event loop, counted by kind, where the main thread could be asked: `{ "FSReqCallback": 4 }`. */
  readonly activeResources?: Readonly<Record<string, number>>;
  /** Why the main thread could not be looked at. */
  readonly probeError?: string;
}

/** Exit code of a process that was stuck, as of other SDKs: EX_SOFTWARE. */
export const STALL_EXIT_CODE = 70;
