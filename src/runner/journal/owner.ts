import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** What tells one process from every other one, as far as the platform says it. */
export interface OwnerFacts {
  readonly pid: number;
  readonly host: string;
  readonly bootId: string | undefined;
  readonly pidNamespace: string | undefined;
  readonly startTime: string | undefined;
}

/** A process as found by its number. */
export type FoundProcess = { readonly startTime: string | undefined } | "none";

/**
 * - `unknown`: in another container or on another machine, or the platform does not say. Then only the file tells, by
 *   whether its owner still touches it.
 */
export type OwnerState = "alive" | "dead" | "unknown";

/** Whether the process that wrote `owner` lives. */
export function judgeOwner(
  owner: OwnerFacts,
  self: OwnerFacts,
  findProcess: (pid: number) => FoundProcess,
): OwnerState {
  const hasSameNumbers = owner.bootId === self.bootId && owner.pidNamespace === self.pidNamespace;
  // Where the start of the machine is not known, its name has to do.
  if (!hasSameNumbers || (owner.bootId === undefined && owner.host !== self.host)) return "unknown";
  const found = findProcess(owner.pid);
  if (found === "none") return "dead";
  if (found.startTime === undefined || owner.startTime === undefined) return "unknown";
  return found.startTime === owner.startTime ? "alive" : "dead";
}

export function factsOfThisProcess(): OwnerFacts {
  const found = findProcess(process.pid);
  return {
    pid: process.pid,
    host: hostname(),
    bootId: attempt(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()),
    pidNamespace: attempt(() => readlinkSync("/proc/self/ns/pid")),
    startTime: found === "none" ? undefined : found.startTime,
  };
}

/** Looks a process up: on Linux in `/proc`, elsewhere only whether the number is taken. */
export function findProcess(pid: number): FoundProcess {
  if (process.platform !== "linux") return isTaken(pid) ? { startTime: undefined } : "none";
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, "latin1"));
  if (stat === undefined) return isTaken(pid) ? { startTime: undefined } : "none";
  // The name, in parentheses, may have anything in it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const state = fields[0];
  // It is dead, and nobody has looked at how it ended.
  return state === "Z" || state === "X" ? "none" : { startTime: fields[19] };
}

function isTaken(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
