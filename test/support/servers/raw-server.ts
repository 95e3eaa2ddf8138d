import net from "node:net";
import { onTestFinished } from "vitest";

/** One request as a {@link RawServer} read it. */
export interface RawRequest {
  readonly socket: net.Socket;
  /** Request line, headers and body, as they came. */
  readonly text: string;
  /** `GET /x`: the method and the target. */
  readonly line: string;
  /** Counted from 1 over all connections. */
  readonly number: number;
}

export interface RawServer {
  readonly url: string;
  readonly port: number;
  readonly requests: readonly RawRequest[];
  /** Sockets in the order they were accepted, closed ones included. */
  readonly sockets: readonly net.Socket[];
  /** Every byte that came, on whatever connection. */
  readonly bytesReceived: number;
  readonly openConnections: number;
  close(): Promise<void>;
}

/** A server that reads HTTP/1.1 requests and leaves every byte of the answer to the test. Closed when the test ends. */
export async function startRawServer(onRequest: (request: RawRequest) => void): Promise<RawServer> {
  const requests: RawRequest[] = [];
  const sockets: net.Socket[] = [];
  let bytesReceived = 0;
  const server = net.createServer((socket) => {
    sockets.push(socket);
    let text = "";
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      bytesReceived += bytes.length;
      text += bytes.toString("latin1");
      for (;;) {
        const headEnd = text.indexOf("\r\n\r\n");
        if (headEnd < 0) return;
        const length = Number(/content-length: (\d+)/i.exec(text.slice(0, headEnd))?.[1] ?? 0);
        const end = headEnd + 4 + length;
        if (text.length < end) return;
        const whole = text.slice(0, end);
        text = text.slice(end);
        const line = whole.split(" HTTP/1.1")[0]!;
        const request = { socket, text: whole, line, number: requests.length + 1 };
        requests.push(request);
        onRequest(request);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, resolve));
  const { port } = server.address() as net.AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => {
        resolve();
      });
      for (const socket of sockets) socket.destroy();
    });
  onTestFinished(close);
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    sockets,
    get bytesReceived() {
      return bytesReceived;
    },
    get openConnections() {
      return sockets.filter((socket) => !socket.destroyed).length;
    },
    close,
  };
}

/** A whole answer with a content length. */
export function answer(body: string, headers: readonly string[] = ["content-type: application/json"]): string {
  return `HTTP/1.1 200 OK\r\n${headers.map((h) => `${h}\r\n`).join("")}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
