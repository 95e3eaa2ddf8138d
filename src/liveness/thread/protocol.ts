import type { BOARD_LAYOUT, LOOP_PHASES } from "../board.js";
import type { StallReason, StallReport } from "../stall-report.js";

/** A board to watch, as the thread gets it. */
export interface Attachment {
  readonly id: number;
  readonly buffer: SharedArrayBuffer;
  readonly names: readonly string[];
  readonly stallMs: number;
  readonly graceMs: number;
  readonly reportFile: string | undefined;
}

/** A stall that the main thread has found itself. */
export interface DeclaredStall {
  readonly reason: StallReason;
  readonly stuck: string;
  readonly stalledMs: number;
}

/** What the thread is started with. */
export interface ThreadData {
  readonly attachments: readonly Attachment[];
  readonly layout: typeof BOARD_LAYOUT;
  readonly phases: typeof LOOP_PHASES;
  readonly cellOff: number;
  /** The name of the function on the main thread that is called amid whatever it does. */
  readonly hook: string;
  /** Given to that function instead of an id, it does not return. */
  readonly hold: number;
  /** Not 0 once the main thread stands still. */
  readonly held: Int32Array;
  /** Whether the permission model lets the thread look into the main thread. */
  readonly mayInspect: boolean;
  readonly exitThreadSource: string;
  readonly stallExitCode: number;
  /** A descriptor that gets the report of a stall as well. */
  readonly reportFd: number | undefined;
}

/** Main thread to watchdog. */
export type ToThread =
  | { readonly kind: "attach"; readonly attachment: Attachment }
  | { readonly kind: "detach"; readonly id: number }
  | { readonly kind: "declare"; readonly id: number; readonly stall: DeclaredStall }
  /** Answers `areYouThere`. */
  | { readonly kind: "here" }
  /** The process is to end with this code, unless the end with another one is under way: soon, and at the latest after a bound. */
  | { readonly kind: "end"; readonly exitCode: number; readonly withinMs: number }
  /** The process is to end now: nothing is left to do for the main thread. */
  | { readonly kind: "go" };

/** Watchdog to main thread. */
export type FromThread =
  | { readonly kind: "areYouThere" }
  /** The main thread turns: it may save what it can. */
  | { readonly kind: "stalled"; readonly id: number; readonly report: StallReport };
