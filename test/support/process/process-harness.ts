import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const repositoryRoot = fileURLToPath(new URL("../../..", import.meta.url));

/** How long pipes may stay open after the exit, because a grandchild holds them, in ms. */
const PIPE_GRACE_MS = 250;

/** What to run: a file, or a program's text. */
export type StartProcessOptions = {
  /** Arguments of the program. */
  readonly args?: readonly string[];
  /** Flags of Node, before the program. */
  readonly nodeArgs?: readonly string[];
  /**
   * Added to this process's environment; `undefined` removes a variable. What a test runner sets and `CONDUCTOR_*` are
   * not inherited: a program behaves as it does outside of tests.
   */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default: the repository's root. */
  readonly cwd?: string;
  /** A command in front of Node's, which must replace itself by it: `["ip", "netns", "exec", name]`. Default: none. */
  readonly under?: readonly string[];
  /** Put it in a process group of its own, which `kill()` ends as a whole: for a program that forks. Default false. */
  readonly ownGroup?: boolean;
} & (
  | {
      /** The program. A `.ts` file runs with tsx, which reads `ostinato` from `src`; anything else gets the build. */
      readonly script: string;
    }
  | {
      /** The text of an ES module. `ostinato` (the build) and the repository's dependencies can be imported. */
      readonly source: string;
    }
);

/** How a process ended. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A Node process that a test started. */
export interface RunningProcess {
  readonly pid: number;
  /** The lines so far. */
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
  /** Both, in the order they came. */
  readonly output: string;
  /** Resolves when it has ended and its output is read; never rejects. */
  readonly exited: Promise<ProcessExit>;
  readonly running: boolean;
  /**
   * Resolves with the match in the first line of stdout or stderr that matches, old lines included. Fails at the bound
   * (default 10000 ms), or as soon as the process has ended without it; the error shows the output.
   */
  waitForLine(pattern: RegExp, boundMs?: number): Promise<RegExpExecArray>;
  /** As `exited`, with a bound (default 10000 ms); the error shows the output. */
  waitForExit(boundMs?: number): Promise<ProcessExit>;
  /** Sends a signal; false when it has ended already. */
  signal(signal: NodeJS.Signals): boolean;
  /** Writes to its stdin. */
  write(text: string): void;
  /** SIGKILL, and waits for the end. Harmless when it has ended. */
  kill(): Promise<ProcessExit>;
}

/** What this process started and has not seen end; it must not outlive us. */
const alive = new Set<Ours>();
let watchingOurExit = false;

interface Ours {
  killNow(): void;
  remove(): void;
}

function killWithUs(child: Ours) {
  alive.add(child);
  if (watchingOurExit) return;
  watchingOurExit = true;
  process.once("exit", () => {
    for (const each of alive) {
      each.killNow();
      each.remove();
    }
  });
}

/** Starts a Node process and reads its output by lines. */
export function startProcess(options: StartProcessOptions): RunningProcess {
  const program = "script" in options ? { file: options.script, remove: () => {} } : writeProgram(options.source);
  const withTsx = /\.[cm]?ts$/.test(program.file) ? ["--import", "tsx"] : [];
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries({ ...withoutOurs(process.env), ...options.env })) {
    if (value !== undefined) env[name] = value;
  }
  const [command = process.execPath, ...args] = [
    ...(options.under ?? []),
    process.execPath,
    ...withTsx,
    ...(options.nodeArgs ?? []),
    program.file,
    ...(options.args ?? []),
  ];
  const child = spawn(command, args, {
    cwd: options.cwd ?? repositoryRoot,
    env,
    stdio: ["pipe", "pipe", "pipe"],
    detached: options.ownGroup ?? false,
  });
  const { pid } = child;
  if (pid === undefined) {
    child.once("error", () => {});
    program.remove();
    throw new Error(`could not start ${program.file}`);
  }

  const stdout: string[] = [];
  const stderr: string[] = [];
  const both: string[] = [];
  const watchers = new Set<() => void>();
  const notify = () => {
    for (const look of [...watchers]) look();
  };
  const streamsEnded = Promise.all([
    readLines(child.stdout, (line) => stdout.push(line)),
    readLines(child.stderr, (line) => stderr.push(line)),
  ]);
  child.stdin.on("error", () => {});
  child.on("error", () => {});

  function readLines(stream: NodeJS.ReadableStream, keep: (line: string) => void): Promise<void> {
    return new Promise((resolve) => {
      const lines = createInterface({ input: stream });
      lines.on("line", (line) => {
        keep(line);
        both.push(line);
        notify();
      });
      lines.once("close", resolve);
    });
  }

  let ended: ProcessExit | undefined;
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("exit", (code, signal) => {
      alive.delete(handle);
      program.remove();
      let grace: NodeJS.Timeout | undefined;
      const pipesHeld = new Promise<void>((over) => {
        grace = setTimeout(over, PIPE_GRACE_MS);
      });
      void Promise.race([streamsEnded, pipesHeld]).then(() => {
        clearTimeout(grace);
        ended = { code, signal };
        resolve(ended);
        notify();
      });
    });
  });
  const handle = {
    killNow() {
      killTree(child, pid, options.ownGroup ?? false);
    },
    remove: program.remove,
  };
  killWithUs(handle);

  const described = () => {
    const state = ended === undefined ? `process ${pid} runs` : `process ${pid} has ended (${describeExit(ended)})`;
    return `${state}; its output:\n${both.length === 0 ? "  (none)" : both.map((line) => `  ${line}`).join("\n")}`;
  };

  return {
    pid,
    stdout,
    stderr,
    get output() {
      return both.join("\n");
    },
    exited,
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    waitForLine(pattern, boundMs = 10_000) {
      // A `g` or `y` pattern keeps its place between lines.
      const fresh = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
      let seen = 0;
      return bounded(
        boundMs,
        watchers,
        () => `a line like ${String(pattern)}; ${described()}`,
        () => {
          for (; seen < both.length; seen++) {
            const match = fresh.exec(both[seen]!);
            if (match !== null) return match;
          }
          if (ended !== undefined) throw new Error(`no line like ${String(pattern)}; ${described()}`);
          return undefined;
        },
      );
    },
    waitForExit: (boundMs = 10_000) =>
      bounded(
        boundMs,
        watchers,
        () => `the end of it; ${described()}`,
        () => ended,
      ),
    signal: (signal) => child.kill(signal),
    write(text) {
      child.stdin.write(text);
    },
    kill() {
      handle.killNow();
      return exited;
    },
  };
}

function withoutOurs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(VITEST|CONDUCTOR_|(NODE_OPTIONS|NODE_ENV|TEST)$)/.test(name)),
  );
}

function killTree(child: ChildProcess, pid: number, ownGroup: boolean) {
  if (ownGroup) {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // Nobody of the group is left.
    }
  }
  child.kill("SIGKILL");
}

function describeExit({ code, signal }: ProcessExit): string {
  return signal ?? `exit code ${code ?? "unknown"}`;
}

/** Looks now and at each notice, until `look` returns something or the bound is over. */
function bounded<T>(
  boundMs: number,
  watchers: Set<() => void>,
  what: () => string,
  look: () => T | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (done: () => void) => {
      clearTimeout(timer);
      watchers.delete(check);
      done();
    };
    const check = () => {
      try {
        const found = look();
        if (found === undefined) return;
        settle(() => {
          resolve(found);
        });
      } catch (error) {
        settle(() => {
          reject(error);
        });
      }
    };
    const timer = setTimeout(() => {
      settle(() => {
        reject(new Error(`not within ${boundMs} ms: ${what()}`));
      });
    }, boundMs);
    watchers.add(check);
    check();
  });
}

/**
 * Writes a program where `import "ostinato"` finds the build, as an installed package would be found, and where the
 * repository's dependencies are found one folder up.
 */
function writeProgram(source: string): { file: string; remove: () => void } {
  const root = mkdtempSync(path.join(tmpdir(), "ostinato-program-"));
  const app = path.join(root, "app");
  mkdirSync(path.join(app, "node_modules"), { recursive: true });
  symlinkSync(path.join(repositoryRoot, "node_modules"), path.join(root, "node_modules"), "junction");
  symlinkSync(repositoryRoot, path.join(app, "node_modules", "ostinato"), "junction");
  const file = path.join(app, "program.mjs");
  writeFileSync(file, source);
  return {
    file,
    remove: () => {
      rmSync(root, { recursive: true, force: true });
    },
  };
}
