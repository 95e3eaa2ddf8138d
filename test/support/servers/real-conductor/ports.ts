import { randomInt } from "node:crypto";
import net from "node:net";

export const LOOPBACK = "127.0.0.1";

/**
 * Below the ports that systems give to outgoing connections: while a server on such a port is away, a client that keeps
 * connecting may be given that very port, is then connected to itself, and the server cannot come back.
 */
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 32_000;
const ATTEMPTS = 50;

/** A port on the loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(LOWEST_PORT, HIGHEST_PORT);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port from ${LOWEST_PORT} to ${HIGHEST_PORT} in ${ATTEMPTS} attempts`);
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.createServer();
    probe.once("error", () => {
      resolve(false);
    });
    probe.listen({ port, host: LOOPBACK, exclusive: true }, () => {
      probe.close(() => {
        resolve(true);
      });
    });
  });
}
