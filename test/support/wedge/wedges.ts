/** How a process was seen to end: the exit code, or 128 and the signal's number, as a shell tells it. */
export type EndCode = 70 | 133 | 134 | 137 | 139;

/** One way to get stuck, by its name in `program.mjs`, and what has to become of it. */
export interface Wedge {
  readonly name: string;
  /** In the short run as well: one of each kind. */
  readonly sampled?: true;
  /** Documented exceptions beside 70. */
  readonly alsoCodes?: readonly EndCode[];
  readonly mainThread: "turning" | "busy" | "native";
  readonly reason?: "request";
  /** Is in the stack, or in the description of the native call. */
  readonly names?: RegExp;
  /** Where the main thread says what is in flight. */
  readonly knowsInFlight: boolean;
  /** A wedge before any task. */
  readonly withoutTasks?: true;
}

const busy = { mainThread: "busy", knowsInFlight: true } as const;
const native = { mainThread: "native", knowsInFlight: false } as const;
const turning = { mainThread: "turning", knowsInFlight: true } as const;
/** A pool thread that never returns holds up C's `exit()`; then it is the last step of the ladder. */
const poolIsStuck = [133, 134, 137, 139] as const;

export const WEDGES: readonly Wedge[] = [
  { name: "whileTrue", ...busy, names: /whileTrue .*program\.mjs/, sampled: true },
  { name: "regex", ...busy, names: /RegExp\.test[\s\S]*regex .*program\.mjs/ },
  { name: "atomicsWait", ...busy, names: /atomicsWait .*program\.mjs/ },
  { name: "execSync", ...native, names: /waiting for a child process.*epoll/, sampled: true },
  { name: "fifo", ...native, names: /FIFO/ },
  // C's exit() takes apart what the main thread is using, and that cannot be held.
  { name: "jsonParse", ...native, names: /computing \(/, alsoCodes: [134, 139] },
  { name: "pbkdf2", ...native, names: /computing \(/, alsoCodes: [134, 139] },
  { name: "microtasks", ...busy, names: /again .*program\.mjs/, sampled: true },
  { name: "awaits", ...busy, names: /awaits .*program\.mjs/ },
  { name: "nextTicks", ...busy, names: /again .*program\.mjs/ },
  { name: "ownStacks", ...busy, names: /whileTrue .*program\.mjs/ },
  { name: "garbage", ...busy, names: /garbage .*program\.mjs/ },
  // The heap may be full before the loop counts as stuck.
  { name: "growing", ...busy, alsoCodes: [134, 139] },
  { name: "pollNeverEnds", ...turning, reason: "request", sampled: true },
  { name: "updateNeverEnds", ...turning, reason: "request" },
  { name: "oneOfFive", ...turning, reason: "request" },
  { name: "noTimers", ...turning },
  { name: "exitHangs", ...turning, reason: "request" },
  { name: "atStart", ...busy, names: /whileTrue .*program\.mjs/, withoutTasks: true },
  { name: "draining", ...busy, names: /whileTrue .*program\.mjs/, sampled: true },
  { name: "stuckPool", ...busy, names: /whileTrue .*program\.mjs/, alsoCodes: poolIsStuck },
  { name: "stuckPoolTurning", ...turning, alsoCodes: poolIsStuck },
];
