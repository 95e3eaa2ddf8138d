import { spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/**
 * Starts the program given as its arguments and tells its process id. Whatever happens to whoever started it, SIGKILL
 * included, the other end of stdin closes then: the program is killed and its folder removed. The program's output goes
 * to stderr, since it must not hold the pipe that tells the process id.
 */
const GUARD = `
folder=$1
shift
exec 3<&0
"$@" </dev/null 3<&- >&2 &
program=$!
echo "$program"
exec >/dev/null
( while read -r line; do :; done; : >"$folder/.orphaned"; kill -KILL "$program" ) <&3 2>/dev/null &
watcher=$!
exec 3<&-
wait "$program"
code=$?
kill "$watcher" 2>/dev/null
if [ -e "$folder/.orphaned" ]; then rm -rf "$folder"; fi
exit "$code"
`;

/** How much of the end of a log is looked at for its last lines, in bytes. */
const LOG_TAIL_BYTES = 64 * 1024;

export interface GuardedProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Where it runs. Exists; is removed by the guard when this process dies, and only then. */
  readonly folder: string;
  /** What it says is appended to this file. */
  readonly logFile: string;
}

/** A program that does not outlive this process, however this process ends. */
export interface GuardedProcess {
  readonly pid: number;
  readonly running: boolean;
  /** Its exit code; 128 and the signal's number when a signal ended it. Never rejects. */
  readonly exited: Promise<number>;
  /** False when it has ended already. */
  signal(signal: NodeJS.Signals): boolean;
  /** SIGTERM, and SIGKILL when that has not ended it within `graceMs`. */
  end(graceMs: number): Promise<void>;
  /** What it said last. */
  lastLines(count: number): string[];
}

/** Starts a program in a session of its own: a terminal's Ctrl-C reaches only us, and we end it in order. */
export async function startGuarded(options: GuardedProcessOptions): Promise<GuardedProcess> {
  const { command, args, folder, logFile } = options;
  const log = openSync(logFile, "a");
  const guard = spawn("/bin/sh", ["-c", GUARD, "guard", folder, command, ...args], {
    cwd: folder,
    detached: true,
    stdio: ["pipe", "pipe", log],
  });
  closeSync(log);
  const { stdin, stdout } = guard;
  if (stdin === null || stdout === null) throw new Error("a child process without its pipes");
  // Held open, never written to: its end is what the guard waits for.
  stdin.on("error", () => undefined);
  let running = true;
  const exited = new Promise<number>((resolve) => {
    guard.once("error", () => {
      running = false;
      resolve(127);
    });
    guard.once("exit", (code) => {
      running = false;
      stdin.destroy();
      resolve(code ?? 1);
    });
  });
  const pid = await firstNumber(stdout);
  if (pid === undefined) throw new Error(`could not start ${command}: ${lastLinesOf(logFile, 5).join("\n")}`);

  const signal = (name: NodeJS.Signals): boolean => {
    if (!running) return false;
    try {
      return process.kill(pid, name);
    } catch {
      // It ended just now, and the guard has not told us yet.
      return false;
    }
  };
  return {
    pid,
    get running() {
      return running;
    },
    exited,
    signal,
    async end(graceMs) {
      signal("SIGTERM");
      const timer = setTimeout(() => signal("SIGKILL"), graceMs);
      await exited;
      clearTimeout(timer);
    },
    lastLines: (count) => lastLinesOf(logFile, count),
  };
}

async function firstNumber(stream: NodeJS.ReadableStream): Promise<number | undefined> {
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  return /^\d+$/m.test(text) ? Number.parseInt(text, 10) : undefined;
}

function lastLinesOf(file: string, count: number): string[] {
  let descriptor;
  try {
    descriptor = openSync(file, "r");
    const { size } = fstatSync(descriptor);
    const tail = Buffer.alloc(Math.min(size, LOG_TAIL_BYTES));
    readSync(descriptor, tail, 0, tail.length, size - tail.length);
    return tail.toString("utf8").trimEnd().split("\n").slice(-count);
  } catch {
    return [];
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
