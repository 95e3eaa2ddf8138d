import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startEmbeddedConductor, type EmbeddedConductor } from "../../../src/testing/index.js";

interface Question {
  readonly id: number;
  readonly method: keyof EmbeddedConductor;
  readonly args: readonly unknown[];
}
interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/**
 * An embedded Conductor behind a command: in a network namespace that this process cannot reach by its network. Its
 * methods go over a pipe.
 */
export async function startConductorUnder(under: readonly string[], host: string): Promise<EmbeddedConductor> {
  const [command, ...args] = [...under, process.execPath, "--import", "tsx", fileURLToPath(import.meta.url), host];
  const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const exited = once(child, "exit");
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  void exited.then(() => {
    for (const { reject } of waiting.values()) reject(new Error("the server's process has ended"));
  });
  const started = new Promise<{ serverUrl: string; port: number }>((resolve, reject) => {
    waiting.set(0, { resolve: resolve as (value: unknown) => void, reject });
  });
  child.on("message", ({ id, value, error }: Answer) => {
    const one = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) one?.resolve(value);
    else one?.reject(new Error(error));
  });
  let lastId = 0;
  const call =
    (method: keyof EmbeddedConductor) =>
    (...callArgs: unknown[]): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const id = ++lastId;
        waiting.set(id, { resolve, reject });
        child.send({ id, method, args: callArgs } satisfies Question);
      });
  const close = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await exited;
  };
  const known = { ...(await started), queue: "patient", pid: child.pid, close, [Symbol.asyncDispose]: close };
  return new Proxy(known as unknown as EmbeddedConductor, {
    get: (target, name) => {
      // A promise of it must not take it for one.
      if (name === "then" || name in target) return Reflect.get(target, name) as unknown;
      return call(name as keyof EmbeddedConductor);
    },
  });
}

async function main(host: string): Promise<void> {
  const tell = (answer: Answer) => process.send?.(answer);
  process.on("disconnect", () => process.exit());
  const conductor = await startEmbeddedConductor({ host });
  process.on("message", ({ id, method, args }: Question) => {
    void (conductor[method] as (...given: readonly unknown[]) => Promise<unknown>)(...args).then(
      (value) => tell({ id, value }),
      (error: unknown) => tell({ id, error: String(error) }),
    );
  });
  tell({ id: 0, value: { serverUrl: conductor.serverUrl, port: conductor.port } });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv[2] ?? "127.0.0.1");
