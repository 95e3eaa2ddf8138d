import type { Server } from "node:http";
import type { Socket } from "node:net";

/**
 * Keeps at most `max` connections: a further one ends the oldest that has not asked anything yet, or else the oldest
 * that is being answered. To turn the newest away (`maxConnections`) would let a hundred silent clients lock out the
 * probe; this way it always gets in. And a connection lives for `maxLifeMs`, whatever it is at: not every client reads what
 * it is sent. Returns how to end them all.
 */
export function limitConnections(server: Server, max: number, maxLifeMs: number): { endAll(): void } {
  const silent = new Set<Socket>();
  const asking = new Set<Socket>();

  server.on("connection", (socket: Socket) => {
    // Who watches must not keep the process alive.
    socket.unref();
    if (silent.size + asking.size >= max) oldest(silent, asking)?.destroy();
    silent.add(socket);
    const life = setTimeout(() => socket.destroy(), maxLifeMs);
    life.unref();
    socket.on("close", () => {
      clearTimeout(life);
      silent.delete(socket);
      asking.delete(socket);
    });
  });
  server.on("request", ({ socket }) => {
    if (silent.delete(socket)) asking.add(socket);
  });

  return {
    endAll() {
      for (const socket of [...silent, ...asking]) socket.destroy();
    },
  };
}

/** The first of these connections whose end is not under way: their `close` comes later. */
function oldest(...groups: readonly Set<Socket>[]): Socket | undefined {
  for (const group of groups) for (const socket of group) if (!socket.destroyed) return socket;
  return undefined;
}
