import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Settings of the official SDK; what is left out has its default. */
export interface OfficialSettings {
  readonly pollInterval?: number;
  readonly pollTimeout?: number;
  readonly connections?: number;
  readonly requestTimeoutMs?: number;
  /** A logger that drops INFO. */
  readonly quiet?: boolean;
}

/** What a client process is to run. */
export interface ClientOptions {
  readonly serverUrl: string;
  /** The task types of each of its handlers. */
  readonly handlers: readonly (readonly string[])[];
  readonly concurrency: number;
  readonly settings?: OfficialSettings;
}

/** One process that runs workers. */
export interface ClientProcess extends AsyncDisposable {
  start(options: ClientOptions): Promise<void>;
  /** Resolves when it has executed so many tasks since its start. */
  executed(tasks: number, boundMs: number): Promise<void>;
  /** User and system time since it was spawned. */
  cpuMs(): Promise<number>;
  stop(): Promise<void>;
}

/** A client that does not answer for this long has gone wrong, in ms. */
const ANSWER_BOUND_MS = 30_000;

interface Answer {
  readonly kind: string;
  readonly cpuMs?: number;
}

/** Spawns a client and waits until its modules are loaded. `file` is relative to this one. */
export async function spawnClient(name: string, file: string): Promise<ClientProcess> {
  // The environment wins over a client's options: a developer's own must not get into the measurement.
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith("CONDUCTOR_")));
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    env,
    execArgv: [],
    // What a client logs is part of its price, but nobody reads it.
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let stderr = "";
  child.stderr?.on("data", (bytes) => (stderr = (stderr + String(bytes)).slice(-5_000)));
  child.on("error", () => undefined);
  let isOver = false;
  const exited = new Promise<void>((resolve) => {
    child.once("close", () => {
      isOver = true;
      resolve();
    });
  });
  const failed = exited.then(() => {
    const how = child.signalCode ?? `exit code ${child.exitCode ?? "unknown"}`;
    throw new Error(`${name}: the process ended (${how})${stderr === "" ? "" : `:\n${stderr.trimEnd()}`}`);
  });
  failed.catch(() => undefined);

  const answer = async (kind: string, boundMs: number): Promise<Answer> => {
    let timer: NodeJS.Timeout | undefined;
    let onMessage: ((message: unknown) => void) | undefined;
    const answered = new Promise<Answer>((resolve, reject) => {
      onMessage = (message) => {
        if (isAnswer(message) && message.kind === kind) resolve(message);
      };
      child.on("message", onMessage);
      timer = setTimeout(() => {
        reject(new Error(`${name}: waited ${Math.round(boundMs / 1_000)} s in vain for "${kind}"\n${stderr}`));
      }, boundMs);
    });
    try {
      return await Promise.race([answered, failed]);
    } finally {
      clearTimeout(timer);
      if (onMessage !== undefined) child.off("message", onMessage);
    }
  };
  const ask = (command: { readonly kind: string }, kind: string, boundMs = ANSWER_BOUND_MS): Promise<Answer> => {
    const answered = answer(kind, boundMs);
    if (!isOver) child.send(command, () => undefined);
    return answered;
  };
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
  };

  try {
    await answer("ready", ANSWER_BOUND_MS);
  } catch (error) {
    await kill();
    throw error;
  }
  return {
    async start(options) {
      await ask({ kind: "start", options } as { kind: string }, "started");
    },
    async executed(tasks, boundMs) {
      await ask({ kind: "expect", tasks } as { kind: string }, "executed", boundMs);
    },
    async cpuMs() {
      return (await ask({ kind: "usage" }, "usage")).cpuMs ?? 0;
    },
    async stop() {
      await ask({ kind: "stop" }, "stopped");
    },
    [Symbol.asyncDispose]: kill,
  };
}

function isAnswer(message: unknown): message is Answer {
  return typeof message === "object" && message !== null && "kind" in message && typeof message.kind === "string";
}
