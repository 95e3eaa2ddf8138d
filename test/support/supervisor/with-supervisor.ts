import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type EmbeddedConductor, startEmbeddedConductor } from "../../../src/testing/index.js";
import { startTcpProxy, type TcpProxy } from "../network/tcp-proxy.js";
import { startProcess, type RunningProcess } from "../process/process-harness.js";
import { waitFor } from "../time/wait-for.js";

const repositoryRoot = fileURLToPath(new URL("../../..", import.meta.url));

/** A worker of the task type `work`; what it does is in the task's input. */
export const WORKER = `
  import { TaskHandler, defineWorker } from "ostinato";
  const worker = defineWorker({
    taskDefName: "work",
    concurrency: Number(process.env.CONCURRENCY ?? 10),
    execute: async ({ act, ms = 0 }) => {
      console.log("began " + act + " in " + process.pid);
      if (act === "crash") process.exit(3);
      if (act === "throw") setTimeout(() => { throw new TypeError("boom"); }, 1);
      if (act === "spin") for (;;) {}
      if (act === "fill") { const kept = []; for (;;) kept.push(new Array(1e5).fill(kept.length)); }
      await new Promise((resolve) => setTimeout(resolve, ms));
      return { pid: process.pid };
    },
  });
  const options = JSON.parse(process.env.HANDLER_OPTIONS ?? "{}");
  await new TaskHandler({ workers: [worker], ...options }).run();
  console.log("ran to the end in " + process.pid);
`;

/** The shortest stall timeout that holds a poll. */
export const QUICK_STALL = { requestTimeoutMs: 500, stallTimeoutSeconds: 4 };

export interface Supervised {
  readonly conductor: EmbeddedConductor;
  readonly primary: RunningProcess;
  /** Between the workers and the Conductor. */
  readonly proxy: TcpProxy;
  /** Writes another file next to the script, or the script anew. */
  readonly write: (name: string, text: string) => void;
  /** Starts a workflow of one task; gives its id. */
  readonly task: (input: Record<string, unknown>) => Promise<string>;
  /** The pids of the processes that became ready, in order. */
  readonly ready: (count: number, boundMs?: number) => Promise<number[]>;
  readonly adminUrl: () => Promise<string>;
}

export interface SupervisedOptions {
  readonly script?: string;
  readonly name?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly handler?: object;
  readonly retryCount?: number;
  /** Runs the primary as process 1 of a namespace; a line to its stdin sends it SIGTERM. */
  readonly asFirstProcess?: boolean;
  /**
   * Runs the primary in the foreground of a terminal of its own; what is written to its stdin is typed there. `piped`:
   * with a pipe for its stdout.
   */
  readonly inTerminal?: boolean | "piped";
  /** Tasks that each process may run at once. Default 10. */
  readonly concurrency?: number;
  /** A command in front of the primary, which must replace itself by it. */
  readonly under?: readonly string[];
}

const UNSHARE = ["--pid", "--fork", "--kill-child", "--mount-proc"];
/** Whether this machine and user may make process namespaces. */
export const canUnshare = spawnSync("unshare", [...UNSHARE, "true"]).status === 0;

const IN_NAMESPACE = `
  import { spawn } from "node:child_process";
  import { readFileSync } from "node:fs";
  const words = [${UNSHARE.map((word) => JSON.stringify(word)).join(", ")}, process.execPath, ...process.argv.slice(2)];
  const child = spawn("unshare", words, { stdio: ["ignore", "inherit", "inherit"] });
  process.stdin.on("data", () => {
    process.kill(Number(readFileSync("/proc/" + child.pid + "/task/" + child.pid + "/children", "utf8")), "SIGTERM");
  });
  child.on("exit", (code) => process.exit(code ?? 99));
`;

/** Whether this machine has util-linux's `script`, which makes terminals. */
export const canMakeTerminals = spawnSync("script", ["-qec", "true", "/dev/null"]).status === 0;

/** What is typed comes back as output, and lines end otherwise, unless one says so. */
const inTerminalOf = (after: string) => `
  import { spawn } from "node:child_process";
  const words = [process.execPath, ...process.argv.slice(2)].map((word) => "'" + word + "'");
  const child = spawn("script", ["-qec", "stty -echo -onlcr; exec " + words.join(" ") + "${after}", "/dev/null"], {
    stdio: ["pipe", "inherit", "inherit"],
    env: { ...process.env, SHELL: "/bin/sh" },
  });
  process.stdin.pipe(child.stdin);
  child.on("exit", (code) => process.exit(code ?? 99));
`;

/** Runs `ostinato run` against a Conductor in a process of its own; whatever is left is killed at the end. */
export async function withSupervisor(
  options: SupervisedOptions,
  work: (supervised: Supervised) => Promise<void>,
): Promise<void> {
  const {
    script = WORKER,
    name = "worker.mjs",
    args = [],
    env = {},
    handler = {},
    retryCount = 3,
    asFirstProcess = false,
    inTerminal = false,
    concurrency = 10,
    under = [],
  } = options;
  const root = mkdtempSync(path.join(tmpdir(), "ostinato-supervised-"));
  mkdirSync(path.join(root, "node_modules"));
  symlinkSync(repositoryRoot, path.join(root, "node_modules", "ostinato"), "junction");
  const write = (file: string, text: string) => {
    writeFileSync(path.join(root, file), text);
  };
  write(name, script);
  const conductor = await startEmbeddedConductor({ ownProcess: true });
  const proxy = await startTcpProxy(conductor.serverUrl);
  await conductor.registerTaskDefs([
    { name: "work", responseTimeoutSeconds: 3600, retryCount, retryDelaySeconds: 0, timeoutSeconds: 0 },
  ]);
  const inputParameters = { act: "${workflow.input.act}", ms: "${workflow.input.ms}" };
  await conductor.registerWorkflowDef({
    name: "w",
    tasks: [{ name: "work", taskReferenceName: "a", inputParameters }],
  });
  const program = path.join(repositoryRoot, "dist/cli/main.js");
  const words = ["run", path.join(root, name), ...args];
  const terminal = inTerminalOf(inTerminal === "piped" ? " | cat" : "");
  const wrapper = asFirstProcess ? IN_NAMESPACE : inTerminal === false ? undefined : terminal;
  const primary = startProcess({
    ...(wrapper === undefined ? { script: program, args: words } : { source: wrapper, args: [program, ...words] }),
    env: {
      CONDUCTOR_SERVER_URL: `${proxy.url}/api`,
      CONDUCTOR_LOG_FORMAT: "json",
      CONCURRENCY: `${concurrency}`,
      HANDLER_OPTIONS: JSON.stringify({ watchdog: true, ...handler }),
      MARKER: path.join(root, "marker"),
      ...env,
    },
    ownGroup: true,
    under,
  });
  try {
    await work({
      conductor,
      primary,
      proxy,
      write,
      task: (input) => conductor.startWorkflow({ name: "w", input: { act: "wait", ms: 0, ...input } }),
      async ready(count, boundMs = 15_000) {
        const pids = () => lines(primary, "a worker process is ready").map(({ childPid }) => childPid as number);
        await waitFor(() => pids().length >= count, {
          boundMs,
          what: () => `${count} processes to become ready; output:\n${primary.output}`,
        });
        return pids();
      },
      async adminUrl() {
        await primary.waitForLine(/health and metrics of all processes/);
        return lines(primary, "health and metrics of all processes are answered")[0]!.adminUrl as string;
      },
    });
  } finally {
    // A terminal is a session of its own, which does not end with the group of what made it.
    if (inTerminal !== false && primary.running) endNow(lines(primary, "running /")[0]?.pid as number | undefined);
    await primary.kill();
    await proxy.close();
    await conductor.close();
    rmSync(root, { recursive: true, force: true });
  }
}

/** The log lines that have this text in their message. */
export function lines(primary: RunningProcess, text: string): Record<string, unknown>[] {
  return primary.stdout
    .filter((line) => line.startsWith("{") && line.includes(text))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function endNow(pid: number | undefined): void {
  if (pid !== undefined && isAlive(pid)) process.kill(pid, "SIGKILL");
}
