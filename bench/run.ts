import { fork, type ChildProcess } from "node:child_process";
import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { TASK_TYPE_NAME, type Measurement } from "./report.js";
import type { DrainReport, StubCommand, StubReport } from "./stub-server.js";

/** A child that says nothing for this long has gone wrong, in ms. */
const CHILD_BOUND_MS = 30_000;
/** A drain that is slower than this many tasks a second has gone wrong. */
const SLOWEST_TASKS_PER_SECOND = 100;

/** The stub server, in its own process. */
export interface Stub {
  readonly serverUrl: string;
  /** Preloads tasks of a type; `drained` resolves when the last of them was updated. One load at a time. */
  load(taskType: string, tasks: number): Promise<{ drained: Promise<DrainReport> }>;
  close(): Promise<void>;
}

/** Starts the stub server. */
export async function startStub(): Promise<Stub> {
  const child = spawnChild("stub-server.ts", ["--import", "tsx"]);
  const listening = await nextMessage(child, "the stub server", isReport("listening"), CHILD_BOUND_MS);
  const tell = (command: StubCommand) => child.process.send(command);
  return {
    serverUrl: `http://127.0.0.1:${listening.port}/api`,
    async load(taskType, tasks) {
      const loaded = nextMessage(child, "the stub server", isReport("loaded"), CHILD_BOUND_MS);
      const boundMs = CHILD_BOUND_MS + (tasks / SLOWEST_TASKS_PER_SECOND) * 1_000;
      const drained = nextMessage(child, `the last of ${tasks} updates`, isReport("drained"), boundMs);
      // Whoever fails first is reported; this must not become an unhandled rejection meanwhile.
      drained.catch(() => {});
      tell({ kind: "load", taskType, tasks });
      await loaded;
      return { drained };
    },
    async close() {
      tell({ kind: "close" });
      await child.exited;
    },
  };
}

/** A client in a process of its own. */
export interface Client {
  /** What it took since it was started: CPU time, and the most memory. */
  cost(): Promise<Cost>;
  /** Lets it drain tasks of a type, its own by default. Throws when it fails. */
  drain(tasks: number, ofType?: string): Promise<DrainReport>;
  /** Stops it as its user would, and resolves with what it took until then. */
  stop(): Promise<Cost>;
  /** Ends its process. */
  end(): Promise<void>;
}

/** What a client's process took. */
export interface Cost {
  readonly cpuUs: number;
  readonly peakRssMb: number;
}

/**
 * Starts a client in a fresh process, polling for tasks of one type.
 *
 * @param name a program in `clients`, or the path of one in another checkout.
 */
export async function startClient(name: string, stub: Stub, taskType: string, concurrency: number): Promise<Client> {
  const child = spawnChild(isAbsolute(name) ? name : `clients/${name}.mjs`, []);
  const named = async <T>(promise: Promise<T>): Promise<T> => {
    try {
      return await promise;
    } catch (error) {
      throw new Error(`${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  };
  const ask = async (kind: "cost" | "stop"): Promise<Cost> => {
    const answered = nextMessage(child, `${name} to answer ${kind}`, isMessage("measured"), CHILD_BOUND_MS);
    child.process.send({ kind });
    return named(answered);
  };
  await named(nextMessage(child, `${name} to be ready`, isMessage("ready"), CHILD_BOUND_MS));
  child.process.send({ kind: "start", options: { serverUrl: stub.serverUrl, taskType, concurrency } });
  return {
    cost: () => ask("cost"),
    stop: () => ask("stop"),
    async drain(tasks, ofType = taskType) {
      const { drained } = await stub.load(ofType, tasks);
      return named(Promise.race([drained, child.failed]));
    },
    async end() {
      child.process.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** Lets one client, in a fresh process, drain `tasks` tasks. Throws when it fails. */
export async function measure(name: string, stub: Stub, tasks: number, concurrency: number): Promise<Measurement> {
  const client = await startClient(name, stub, TASK_TYPE_NAME, concurrency);
  try {
    const report = await client.drain(tasks);
    return { ...report, tasks, ...(await client.stop()) };
  } finally {
    await client.end();
  }
}

interface Child {
  readonly process: ChildProcess;
  readonly exited: Promise<void>;
  /** Rejects, with its stderr, when it ends before it was asked to. */
  readonly failed: Promise<never>;
}

function spawnChild(file: string, execArgv: string[]): Child {
  // The environment wins over a client's options: a developer's own must not get into the measurement.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CONDUCTOR_")));
  const child = fork(isAbsolute(file) ? file : fileURLToPath(new URL(file, import.meta.url)), [], {
    execArgv,
    env,
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  let stderr = "";
  child.stderr?.on("data", (bytes) => (stderr += String(bytes)));
  child.on("error", () => {});
  const exited = new Promise<void>((resolve) => {
    child.once("close", () => {
      resolve();
    });
  });
  const failed = exited.then(() => {
    const how = child.signalCode ?? `exit code ${child.exitCode ?? "unknown"}`;
    throw new Error(`the process ended (${how})${stderr === "" ? "" : `:\n${stderr.trimEnd()}`}`);
  });
  failed.catch(() => {});
  return { process: child, exited, failed };
}

/** The next message of a kind, with a bound; fails as soon as the child does. */
async function nextMessage<T>(
  child: Child,
  what: string,
  matches: (message: unknown) => message is T,
  boundMs: number,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let onMessage: ((message: unknown) => void) | undefined;
  const message = new Promise<T>((resolve, reject) => {
    onMessage = (candidate) => {
      if (matches(candidate)) resolve(candidate);
    };
    child.process.on("message", onMessage);
    timer = setTimeout(() => {
      reject(new Error(`waited ${Math.round(boundMs / 1_000)} s in vain for ${what}`));
    }, boundMs);
  });
  try {
    return await Promise.race([message, child.failed]);
  } finally {
    clearTimeout(timer);
    if (onMessage !== undefined) child.process.off("message", onMessage);
  }
}

function hasKind(message: unknown, kind: string): boolean {
  return typeof message === "object" && message !== null && "kind" in message && message.kind === kind;
}

function isReport<K extends StubReport["kind"]>(kind: K) {
  return (message: unknown): message is Extract<StubReport, { kind: K }> => hasKind(message, kind);
}

interface ClientMessages {
  ready: { readonly kind: "ready" };
  measured: { readonly kind: "measured"; readonly cpuUs: number; readonly peakRssMb: number };
}

function isMessage<K extends keyof ClientMessages>(kind: K) {
  return (message: unknown): message is ClientMessages[K] => hasKind(message, kind);
}
