import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface Child {
  readonly place: number;
  readonly pid: number;
}

export interface SupervisedWorkers {
  readonly logFile: string;
  /** Undefined while it runs. */
  readonly exitCode: number | undefined;
  /** The children that poll now. */
  ready(): Promise<readonly Child[]>;
  metrics(): Promise<string>;
  /** SIGTERM, and the exit code. */
  stop(): Promise<number>;
  /** SIGKILL; its children drain and end. */
  abandon(): void;
}

const LOOK_MS = 5_000;

/** `ostinato run` of the soak's worker, its log in a file. */
export function superviseSoak(
  serverUrl: string,
  folder: string,
  processes: number,
  adminPort: number,
): SupervisedWorkers {
  const logFile = path.join(folder, "supervisor.log");
  const log = openSync(logFile, "a");
  const words = ["run", "test/soak/worker.mjs", "--processes", String(processes), "--admin-port", String(adminPort)];
  const inherited = Object.entries(process.env).filter(([name]) => !/^(CONDUCTOR_|NODE_OPTIONS$)/.test(name));
  const child = spawn(process.execPath, [path.join(ROOT, "dist/cli/main.js"), ...words], {
    cwd: ROOT,
    env: { ...Object.fromEntries(inherited), CONDUCTOR_SERVER_URL: serverUrl, SOAK_FOLDER: folder },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  let exitCode: number | undefined;
  const exited = new Promise<number>((resolve) => {
    child.once("exit", (code) => {
      exitCode = code ?? 1;
      resolve(exitCode);
    });
  });
  const ask = async (route: string): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${adminPort}${route}`, { signal: AbortSignal.timeout(LOOK_MS) });
    return answer.text();
  };
  return {
    logFile,
    get exitCode() {
      return exitCode;
    },
    async ready() {
      const status = JSON.parse(await ask("/status")) as {
        processes: { process: number; state: string; pid?: number }[];
      };
      return status.processes.flatMap(({ process: place, state, pid }) =>
        state === "ready" && pid !== undefined ? [{ place, pid }] : [],
      );
    },
    metrics: () => ask("/metrics"),
    stop() {
      child.kill("SIGTERM");
      return exited;
    },
    abandon() {
      child.kill("SIGKILL");
    },
  };
}
