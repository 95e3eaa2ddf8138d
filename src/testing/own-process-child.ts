import { startEmbeddedConductor } from "./embedded-conductor.js";
import type { ToServerProcess, RemoteMethod, FromServerProcess } from "./own-process.js";
import type { EmbeddedConductor } from "./types.js";

/** The child's half of `ownProcess`: runs the server, answers the parent's calls, and goes when the parent goes. */
process.on("disconnect", () => {
  process.exit(0);
});
// A terminal's Ctrl-C reaches the whole group; the server outlives it until its owner is done with it.
process.on("SIGINT", () => {});

let conductor: EmbeddedConductor | undefined;

process.on("message", (message: ToServerProcess) => {
  void obey(message);
});

async function obey(message: ToServerProcess): Promise<void> {
  if (message.kind === "start") {
    try {
      conductor = await startEmbeddedConductor(message.options);
      tell({ kind: "started", serverUrl: conductor.serverUrl, port: conductor.port });
    } catch (error) {
      tell({ kind: "failed", message: messageOf(error) });
    }
    return;
  }
  try {
    tell({ kind: "result", id: message.id, value: await callOn(conductor, message.method, message.args) });
  } catch (error) {
    tell({ kind: "error", id: message.id, message: messageOf(error) });
  }
}

async function callOn(
  target: EmbeddedConductor | undefined,
  method: RemoteMethod,
  args: readonly unknown[],
): Promise<unknown> {
  if (target === undefined) throw new Error("The embedded Conductor has not been started");
  const methods = target as unknown as Record<RemoteMethod, (...args: readonly unknown[]) => Promise<unknown>>;
  return methods[method](...args);
}

function tell(message: FromServerProcess): void {
  if (process.connected) process.send?.(message);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
