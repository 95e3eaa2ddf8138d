import { spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CLI = path.join(ROOT, "dist/cli/main.js");
export const COMMAND = ["run", "samples/wedge-demo/worker.mjs", "--processes", "2"];
const TAIL_LINES = 20;

/** Short, so that the demo is; the defaults are 300 s and 10 s. */
export const STALL_TIMEOUT_SECONDS = 4;
const REQUEST_TIMEOUT_MS = 500;

/** What the log of the supervised processes tells, as far as the demo goes. `atMs`: since 1970. */
export type Told =
  | { readonly kind: "ready"; readonly atMs: number; readonly place: number; readonly pid: number }
  | { readonly kind: "stuck"; readonly atMs: number; readonly message: string; readonly stack: readonly string[] }
  | {
      readonly kind: "ended";
      readonly atMs: number;
      readonly place: number;
      readonly pid: number;
      readonly reason: string;
      readonly message: string;
    };

export interface Supervised {
  /** In the order they came. */
  readonly told: readonly Told[];
  /** The last lines of all output, for when something goes wrong. */
  readonly tail: readonly string[];
  readonly exitCode: number | undefined;
  /** SIGTERM; resolves with the exit code when all is finished. Called again it only waits. */
  stop(): Promise<number>;
  /** SIGKILL; the children notice, finish and end. Harmless when it has ended. */
  abandon(): void;
}

/** Runs `ostinato run worker.mjs --processes 2`, and reads its log as a log collector does. */
export function startSupervised(serverUrl: string, onTold: (told: Told) => void): Supervised {
  const child = spawn(process.execPath, [CLI, ...COMMAND], {
    cwd: ROOT,
    env: {
      ...process.env,
      CONDUCTOR_SERVER_URL: serverUrl,
      CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS: String(STALL_TIMEOUT_SECONDS),
      CONDUCTOR_REQUEST_TIMEOUT_MS: String(REQUEST_TIMEOUT_MS),
      CONDUCTOR_LOG_LEVEL: "info",
      CONDUCTOR_LOG_FORMAT: "json",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const told: Told[] = [];
  const tail: string[] = [];
  let exitCode: number | undefined;
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => {
      tail.push(line);
      if (tail.length > TAIL_LINES) tail.shift();
      const news = readLogLine(line);
      if (news === undefined) return;
      told.push(news);
      onTold(news);
    });
  }
  const exited = new Promise<number>((resolve) => {
    const end = (code: number | null): void => {
      exitCode ??= code ?? 1;
      resolve(exitCode);
    };
    child.once("error", () => {
      end(1);
    });
    child.once("close", end);
  });
  return {
    told,
    tail,
    get exitCode() {
      return exitCode;
    },
    stop() {
      child.kill("SIGTERM");
      return exited;
    },
    abandon() {
      child.kill("SIGKILL");
    },
  };
}

interface LogLine {
  readonly time: number;
  readonly msg: string;
  readonly process?: number;
  readonly childPid?: number;
  readonly reason?: string;
  readonly stall?: { readonly stack?: string };
}

/** What a line of the log tells; undefined: nothing of interest here. */
export function readLogLine(line: string): Told | undefined {
  const parsed = parse(line);
  if (parsed === undefined) return undefined;
  const { time: atMs, msg: message, process: place = 0, childPid: pid = 0, reason = "", stall } = parsed;
  if (stall !== undefined) {
    return { kind: "stuck", atMs, message: shorten(message), stack: (stall.stack ?? "").split("\n").map(shorten) };
  }
  if (message === "a worker process is ready") return { kind: "ready", atMs, place, pid };
  if (message.startsWith("a worker process has ended"))
    return { kind: "ended", atMs, place, pid, reason, message: shorten(message) };
  return undefined;
}

function parse(line: string): LogLine | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const value = JSON.parse(line) as Partial<LogLine>;
    return typeof value.time === "number" && typeof value.msg === "string" ? (value as LogLine) : undefined;
  } catch {
    return undefined;
  }
}

/** Files without their folders: `hastyCheck (worker.mjs:6:38)`. */
const shorten = (text: string): string => text.replace(/(?:file:\/\/)?\/[^\s()]*\/([^/\s()]+:\d+)/g, "$1").trim();
