import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { poll } from "./engine/hand-out.js";
import type { EngineState } from "./engine/state.js";
import { isHeld, type RouteReply } from "./routes/http.js";
import { answer, errorReply } from "./routes/router.js";

export interface HttpListener {
  readonly port: number;
  /** Ends every connection, those of held polls included. */
  close(): Promise<void>;
}

/** As Tomcat does: an idle connection lives for a minute, and any for a hundred requests. */
const KEEP_ALIVE_TIMEOUT_MS = 60_000;
const REQUESTS_PER_CONNECTION = 100;

/** Puts the routes behind one HTTP port. */
export async function listen(state: EngineState, host: string, port: number): Promise<HttpListener> {
  const requestsOn = new WeakMap<Socket, number>();
  const server = createServer((request, response) => {
    const count = (requestsOn.get(request.socket) ?? 0) + 1;
    requestsOn.set(request.socket, count);
    // Set by hand, because Node would add a Keep-Alive header, which Tomcat does not send.
    response.setHeader("connection", count >= REQUESTS_PER_CONNECTION ? "close" : "keep-alive");
    receive(state, request, response);
  });
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  return { port: (server.address() as AddressInfo).port, close: () => closeServer(server) };
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  server.closeAllConnections();
  await closed;
}

function receive(state: EngineState, request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("error", () => {
    // The client is gone before it has said all; there is nobody to answer.
  });
  request.on("end", () => {
    try {
      respond(state, request, response, Buffer.concat(chunks).toString("utf8"));
    } catch (error) {
      write(response, errorReply(error));
    }
  });
}

function respond(state: EngineState, request: IncomingMessage, response: ServerResponse, body: string): void {
  const now = state.timeline.now();
  const reply = answer(state, {
    method: request.method ?? "GET",
    url: request.url ?? "/",
    contentType: request.headers["content-type"] ?? "",
    body,
    now,
  });
  if (!isHeld(reply)) {
    write(response, reply);
    return;
  }
  poll(state, reply.poll, now, (handedOut) => {
    write(response, reply.reply(handedOut));
  });
}

function write(response: ServerResponse, { status, contentType, body, handOuts = [] }: RouteReply): void {
  const isLive = !response.destroyed && response.socket?.writable === true;
  for (const handOut of handOuts) handOut.answerWritten = isLive;
  if (!isLive) return;
  if (contentType !== undefined) response.setHeader("content-type", contentType);
  response.statusCode = status;
  if (status !== 204) response.setHeader("content-length", Buffer.byteLength(body));
  response.end(status === 204 ? undefined : body);
}
