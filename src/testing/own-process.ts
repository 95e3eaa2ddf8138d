import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ConfigurationError } from "../base/errors.js";
import type { EmbeddedConductorOptions, EmbeddedConductor } from "./types.js";

/** The methods that are passed on to the child. */
export const REMOTE_METHODS = [
  "advance",
  "ledger",
  "audit",
  "registerTaskDefs",
  "registerWorkflowDef",
  "startWorkflow",
  "workflow",
  "workflows",
  "task",
  "terminateWorkflow",
  "waitForWorkflow",
] as const satisfies readonly (keyof EmbeddedConductor)[];

export type RemoteMethod = (typeof REMOTE_METHODS)[number];

/** Parent to child. */
export type ToServerProcess =
  | { readonly kind: "start"; readonly options: Pick<EmbeddedConductorOptions, SentOption> }
  | { readonly kind: "call"; readonly id: number; readonly method: RemoteMethod; readonly args: readonly unknown[] };

/** Child to parent. */
export type FromServerProcess =
  | { readonly kind: "started"; readonly serverUrl: string; readonly port: number }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "result"; readonly id: number; readonly value: unknown }
  | { readonly kind: "error"; readonly id: number; readonly message: string };

type SentOption = "port" | "host" | "queue" | "taskExecutionPostponeSeconds";

/** Starts the embedded Conductor in a child process that ends with this one. */
export async function startInOwnProcess(options: EmbeddedConductorOptions): Promise<EmbeddedConductor> {
  const problems = (["clock", "random"] as const)
    .filter((option) => options[option] !== undefined)
    .map((option) => `${option}: cannot be handed to another process; leave it out, or leave out ownProcess`);
  if (problems.length > 0) throw new ConfigurationError(problems);
  // Without the parent's loaders: the child is plain JavaScript.
  const child = fork(childModule(), [], { execArgv: [], serialization: "advanced" });
  const { port, host, queue = "patient", taskExecutionPostponeSeconds } = options;
  const sent = { port, host, queue, taskExecutionPostponeSeconds };
  const given = Object.fromEntries(Object.entries(sent).filter(([, value]) => value !== undefined));
  const calls = createCalls(child);
  const { serverUrl, port: actualPort } = await calls.start(given).catch(async (error: unknown) => {
    await end(child);
    throw error;
  });
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= end(child));
  const methods = Object.fromEntries(
    REMOTE_METHODS.map((method) => [method, (...args: unknown[]) => calls.call(method, args)]),
  ) as unknown as Pick<EmbeddedConductor, RemoteMethod>;
  return { serverUrl, port: actualPort, queue, pid: child.pid ?? 0, ...methods, close, [Symbol.asyncDispose]: close };
}

/** The compiled child next to this file, or in `dist` when this runs from its TypeScript source. */
function childModule(): string {
  const isSource = import.meta.url.endsWith(".ts");
  const path = fileURLToPath(
    new URL(isSource ? "../../dist/testing/own-process-child.js" : "./own-process-child.js", import.meta.url),
  );
  if (!existsSync(path)) {
    throw new ConfigurationError([`ownProcess: needs the compiled package, and ${path} is not there; build it first`]);
  }
  return path;
}

interface Calls {
  start(options: EmbeddedConductorOptions): Promise<{ serverUrl: string; port: number }>;
  call(method: RemoteMethod, args: readonly unknown[]): Promise<unknown>;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Numbered questions over the IPC channel; every one that is open rejects when the child goes. */
function createCalls(child: ChildProcess): Calls {
  const START = 0;
  const waiting = new Map<number, Waiting>();
  let lastId = START;
  let gone: Error | undefined;
  const settle = (id: number, act: (waiter: Waiting) => void): void => {
    const waiter = waiting.get(id);
    waiting.delete(id);
    if (waiter) act(waiter);
  };
  child.on("message", (message: FromServerProcess) => {
    switch (message.kind) {
      case "started":
        settle(START, ({ resolve }) => {
          resolve(message);
        });
        break;
      case "failed":
        settle(START, ({ reject }) => {
          reject(new Error(message.message));
        });
        break;
      case "result":
        settle(message.id, ({ resolve }) => {
          resolve(message.value);
        });
        break;
      case "error":
        settle(message.id, ({ reject }) => {
          reject(new Error(message.message));
        });
        break;
    }
  });
  const fail = (error: Error): void => {
    gone ??= error;
    for (const id of [...waiting.keys()]) {
      settle(id, ({ reject }) => {
        reject(error);
      });
    }
  };
  child.on("error", fail);
  child.on("exit", (code, signal) => {
    fail(new Error(`The embedded Conductor's process has ended (${signal ?? `exit code ${code}`})`));
  });
  const ask = (id: number, message: ToServerProcess): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (gone) {
        reject(gone);
        return;
      }
      waiting.set(id, { resolve, reject });
      child.send(message, (error) => {
        if (error) {
          settle(id, () => {
            reject(error);
          });
        }
      });
    });
  return {
    start: async (options) => (await ask(START, { kind: "start", options })) as { serverUrl: string; port: number },
    call: (method, args) => {
      const id = ++lastId;
      return ask(id, { kind: "call", id, method, args });
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise<void>((resolve) =>
    child.once("exit", () => {
      resolve();
    }),
  );
  child.kill("SIGKILL");
  await exited;
}
