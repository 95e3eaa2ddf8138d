import net from "node:net";
import { describe, expect, test } from "vitest";

import { waitFor } from "../../support/time/wait-for.js";
import { answer, startRawServer } from "../../support/servers/raw-server.js";
import { get, post, startTransport, summary } from "../../support/unit/http.js";

/** A port of 127.0.0.1 on which nobody listens. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("what goes wrong for the HTTP transport", () => {
  test("refused: notSent, which address, and no suspicion", async () => {
    const recycled: unknown[] = [];
    const port = await freePort();
    const transport = startTransport(`http://127.0.0.1:${port}`, { onRecycled: (event) => recycled.push(event) });
    const exchanges = await Promise.all(Array.from({ length: 20 }, () => transport.request(post())));
    for (const exchange of exchanges)
      expect(exchange).toMatchObject({
        kind: "notSent",
        fault: { code: "CONNECT_FAILED", message: `connect ECONNREFUSED 127.0.0.1:${port}` },
      });
    expect(recycled).toEqual([]);
  });

  test("a lane on which everything was refused works as soon as somebody listens", async () => {
    const port = await freePort();
    const transport = startTransport(`http://127.0.0.1:${port}`, { maxConnectionsPerLane: 2 });
    for (let i = 0; i < 10; i++) expect(summary(await transport.request(get()))).toBe("notSent CONNECT_FAILED");
    const server = net.createServer((socket) => socket.on("data", () => socket.write(answer("ok"))));
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    expect(summary(await transport.request(get()))).toBe("answered 200");
    server.close();
  });

  test("a name that does not exist", async () => {
    const transport = startTransport("http://does-not-exist.invalid");
    expect(summary(await transport.request(get()))).toBe("notSent CONNECT_FAILED");
  });

  test("a server that speaks no TLS", async () => {
    const server = await startRawServer(() => {});
    const tls = net.createServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await new Promise<void>((resolve) => tls.listen(0, "127.0.0.1", resolve));
    const transport = startTransport(`https://127.0.0.1:${(tls.address() as net.AddressInfo).port}`);
    expect(summary(await transport.request(get()))).toBe("notSent CONNECT_FAILED");
    tls.close();
    expect(server.requests).toHaveLength(0);
  });

  test("a connection that takes too long to make", async () => {
    const silent = net.createServer((socket) => socket.on("error", () => {}).resume());
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as net.AddressInfo;
    const transport = startTransport(`https://127.0.0.1:${port}`, { connectTimeoutMs: 100 });
    expect(await transport.request(get())).toMatchObject({
      kind: "notSent",
      fault: { code: "CONNECT_FAILED", message: expect.stringContaining("Timeout") },
    });
    silent.close();
  });

  test.each<[string, (socket: net.Socket) => void]>([
    ["reset after the request", (socket) => socket.resetAndDestroy()],
    ["closed after the request", (socket) => socket.end()],
    ["a body that is cut", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n12345")],
    [
      "a body that is cut on Connection: close",
      (socket) => socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\n12345"),
    ],
    [
      "chunks that are cut",
      (socket) => socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n"),
    ],
    [
      "a chunk that is cut on Connection: close",
      (socket) => socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\n123"),
    ],
    ["headers that are cut", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-le")],
  ])("%s: maybeApplied, sent once, and a suspicion", async (_what, end) => {
    const recycled: unknown[] = [];
    const server = await startRawServer(({ socket }) => {
      end(socket);
    });
    const transport = startTransport(server.url, { onRecycled: (event) => recycled.push(event) });
    expect(summary(await transport.request(get()))).toBe("maybeApplied CONNECTION_LOST");
    expect(summary(await transport.request(post()))).toBe("maybeApplied CONNECTION_LOST");
    expect(server.requests).toHaveLength(2);
    expect(recycled).toEqual([{ reason: "suspicion" }]);
  });

  test.each<[string, (socket: net.Socket) => void]>([
    ["reset", (socket) => socket.resetAndDestroy()],
    ["closed", (socket) => socket.end()],
  ])(
    "an idle connection that is %s exactly at reuse: the request goes out once, on another one, or is told as it was",
    async (_how, end) => {
      let processed = 0;
      const server = await startRawServer(({ socket }) => {
        processed++;
        socket.write(answer("ok"));
      });
      const transport = startTransport(server.url);
      const outcomes = new Map<string, number>();
      let claimed = 0;
      const count = async () => {
        const exchange = await transport.request(post());
        outcomes.set(summary(exchange), (outcomes.get(summary(exchange)) ?? 0) + 1);
        if (exchange.kind !== "notSent") claimed++;
      };
      for (let round = 0; round < 200; round++) {
        await count();
        // The end of the connection and the next request meet, a little earlier or later each round.
        const socket = server.sockets.findLast((candidate) => !candidate.destroyed);
        for (let i = 0; i < round % 3; i++) await new Promise((resolve) => setImmediate(resolve));
        if (socket) end(socket);
        await count();
      }
      // What was processed was sent by us, and nothing was sent twice.
      expect(processed).toBeLessThanOrEqual(claimed);
      expect([...outcomes.keys()].filter((key) => key.startsWith("notSent"))).toEqual([]);
      expect(outcomes.get("answered 200")).toBeGreaterThan(300);
    },
  );

  test("a connection that dies before the request is written costs nothing but another connection", async () => {
    const recycled: unknown[] = [];
    const server = await startRawServer(({ socket }) => socket.write(answer("ok")));
    const transport = startTransport(server.url, { onRecycled: (event) => recycled.push(event) });
    let written = 0;
    for (let i = 0; i < 50; i++) {
      expect(summary(await transport.request(get()))).toBe("answered 200");
      written++;
      const [socket] = server.sockets.slice(-1);
      socket!.resetAndDestroy();
      // The reset has arrived and waits to be read: undici sees it between our dispatch and its write.
      await new Promise((resolve) => socket!.once("close", resolve));
      expect(summary(await transport.request(get()))).toBe("answered 200");
      written++;
    }
    expect(server.requests).toHaveLength(written);
    expect(recycled).toEqual([]);
  });

  test("Connection: close on every hundredth answer: few connections, no error", async () => {
    const perSocket = new Map<net.Socket, number>();
    const server = await startRawServer(({ socket }) => {
      const count = (perSocket.get(socket) ?? 0) + 1;
      perSocket.set(socket, count);
      if (count < 100) socket.write(answer("ok"));
      else socket.end(answer("ok", ["connection: close"]));
    });
    const transport = startTransport(server.url);
    for (let i = 0; i < 2_000; i++) expect(summary(await transport.request(get()))).toBe("answered 200");
    expect(server.sockets.length).toBeLessThan(30);
  });

  test("listeners that throw disturb nothing", async () => {
    const server = await startRawServer(({ socket, number }) => {
      if (number === 1) socket.destroy();
      else socket.write(answer("ok"));
    });
    const fail = () => {
      throw new Error("listener");
    };
    const transport = startTransport(server.url, { onRecycled: fail, onDeadlineExceeded: fail });
    expect(summary(await transport.request(get()))).toBe("maybeApplied CONNECTION_LOST");
    expect(summary(await transport.request(get()))).toBe("answered 200");
    await waitFor(() => server.requests.length === 2, { what: "the second request" });
  });
});
