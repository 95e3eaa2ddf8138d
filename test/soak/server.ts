import { setTimeout as sleep } from "node:timers/promises";
import { startEmbeddedConductor } from "../../src/testing/index.js";
import { startRealConductor } from "../support/servers/real-conductor/real-conductor.js";
import type { SoakOptions } from "./options.js";

/** A Conductor that can be taken away from its workers. */
export interface SoakServer extends AsyncDisposable {
  readonly serverUrl: string;
  /** Resolves when it is back. */
  disturb(): Promise<void>;
  readonly disturbance: string;
}

/** How long the embedded Conductor, whose memory is all it has, is stopped, in ms. */
const STOPPED_MS = 6_000;

export async function startServer(queue: SoakOptions["queue"], onDeath: (error: Error) => void): Promise<SoakServer> {
  if (queue !== "embedded") {
    const server = await startRealConductor({ queue, repairsItself: true, onDeath });
    return {
      serverUrl: server.serverUrl,
      disturbance: "SIGKILL and restart of the server",
      disturb: () => server.restart("SIGKILL"),
      [Symbol.asyncDispose]: () => server.close(),
    };
  }
  const server = await startEmbeddedConductor({ ownProcess: true });
  return {
    serverUrl: server.serverUrl,
    disturbance: "SIGSTOP of the server",
    async disturb() {
      process.kill(server.pid, "SIGSTOP");
      try {
        await sleep(STOPPED_MS);
      } finally {
        process.kill(server.pid, "SIGCONT");
      }
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
}
