import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { makeTask } from "../../support/servers/conductor-stub.js";

/** A Conductor that always has another task, and keeps nothing: made to be polled for half an hour. */
export interface BottomlessServer {
  /** Ends in `/api`. */
  readonly serverUrl: string;
  /** Results that were acknowledged so far. */
  readonly completed: number;
  /** Every request is answered 401 from now on, or not any more. */
  refuse(isRefusing: boolean): void;
  /** Nobody listens from now on, or again, on the same port. */
  away(isAway: boolean): Promise<void>;
  close(): Promise<void>;
}

const LOOPBACK = "127.0.0.1";

export async function startBottomlessServer(): Promise<BottomlessServer> {
  let completed = 0;
  let isRefusing = false;

  const nextTask = (taskType: string) => makeTask({ taskType, taskDefName: taskType, status: "IN_PROGRESS" });

  const answer = (request: http.IncomingMessage, body: string): { status: number; type: string; text: string } => {
    if (isRefusing) return { status: 401, type: "application/json", text: `{"status":401,"message":"unauthorized"}` };
    const url = new URL(request.url ?? "/", "http://x");
    const json = (value: unknown) => ({ status: 200, type: "application/json", text: JSON.stringify(value) });
    const poll = /^\/api\/tasks\/poll\/batch\/(.+)$/.exec(url.pathname);
    if (poll !== null) {
      const count = Number(url.searchParams.get("count") ?? "1");
      return json(Array.from({ length: count }, () => nextTask(decodeURIComponent(poll[1] ?? ""))));
    }
    if (url.pathname === "/api/tasks/queue/sizes")
      return json(Object.fromEntries(url.searchParams.getAll("taskType").map((type) => [type, 1_000])));
    if (request.method === "POST") {
      const result = JSON.parse(body) as { taskId: string; status: string; workerId: string };
      if (result.status === "COMPLETED") completed += 1;
      if (url.pathname.endsWith("/update-v2")) return json(nextTask("work"));
      return { status: 200, type: "text/plain", text: result.taskId };
    }
    const get = /^\/api\/tasks\/([^/]+)$/.exec(url.pathname);
    if (get !== null) return json({ ...nextTask("work"), taskId: get[1] });
    return { status: 404, type: "application/json", text: `{"status":404,"message":"not here"}` };
  };

  const sockets = new Set<Socket>();
  const listen = (port: number): Promise<http.Server> => {
    const server = http.createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8");
      request.on("data", (chunk: string) => (body += chunk));
      request.on("end", () => {
        const { status, type, text } = answer(request, body);
        response.writeHead(status, { "content-type": type }).end(text);
      });
    });
    server.on("connection", (socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      socket.on("error", () => undefined);
    });
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, LOOPBACK, () => {
        resolve(server);
      });
    });
  };
  const end = (server: http.Server): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
      for (const socket of sockets) socket.resetAndDestroy();
    });

  let server: http.Server | undefined = await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    serverUrl: `http://${LOOPBACK}:${port}/api`,
    get completed() {
      return completed;
    },
    refuse(refusing) {
      isRefusing = refusing;
    },
    async away(isAway) {
      if (isAway && server !== undefined) {
        const old = server;
        server = undefined;
        await end(old);
      } else if (!isAway) server ??= await listen(port);
    },
    async close() {
      if (server !== undefined) await end(server);
      server = undefined;
    },
  };
}
