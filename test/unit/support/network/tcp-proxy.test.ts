import net from "node:net";
import { http, HttpResponse } from "msw";
import { Pool } from "undici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startTcpProxy, type TcpProxy } from "../../../support/network/tcp-proxy.js";
import { startScriptedServer, type ScriptedServer } from "../../../support/servers/scripted-server.js";
import { waitFor } from "../../../support/time/wait-for.js";

let server: ScriptedServer;
let proxy: TcpProxy;
let pool: Pool;

describe("the TCP proxy", () => {
  beforeEach(async () => {
    let count = 0;
    server = await startScriptedServer([
      http.get("/hello", () => HttpResponse.text("hello")),
      http.post("/update-v2", () => HttpResponse.text(`applied ${++count}`)),
    ]);
    proxy = await startTcpProxy(server.url);
    pool = new Pool(proxy.url, { connections: 4, pipelining: 1 });
  });

  afterEach(async () => {
    await pool.destroy();
    await proxy.close();
    await server.close();
  });

  async function get() {
    return (await pool.request({ method: "GET", path: "/hello" })).body.text();
  }

  async function update(body = "{}") {
    return (await pool.request({ method: "POST", path: "/update-v2", body })).body.text();
  }

  /** Both ends of one connection through the proxy to a plain TCP server. */
  async function rawPair() {
    const accepted: net.Socket[] = [];
    const plain = net.createServer({ allowHalfOpen: true }, (socket) => accepted.push(socket.on("error", () => {})));
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    const through = await startTcpProxy((plain.address() as net.AddressInfo).port);
    const client = net.connect({ port: through.port, host: "127.0.0.1", allowHalfOpen: true }).on("error", () => {});
    const serverSide = await waitFor(() => accepted[0], { what: "the connection to reach the server" });
    return {
      client,
      serverSide,
      through,
      async close() {
        client.destroy();
        for (const socket of accepted) socket.destroy();
        await through.close();
        plain.close();
      },
    };
  }

  function read(socket: net.Socket): { text: () => string; ended: () => boolean } {
    let text = "";
    let ended = false;
    socket.on("data", (bytes) => (text += bytes.toString()));
    socket.on("end", () => (ended = true));
    return { text: () => text, ended: () => ended };
  }

  test("forwards, and counts", async () => {
    expect(await get()).toBe("hello");
    expect(await update()).toBe("applied 1");
    expect(proxy.connections).toBeGreaterThanOrEqual(1);
    expect(proxy.openConnections).toBe(proxy.connections);
    expect(proxy.bytesUp).toBeGreaterThan(50);
    expect(proxy.bytesDown).toBeGreaterThan(50);
    await pool.close();
    await waitFor(() => proxy.openConnections === 0, { what: "the proxy to let go" });
  });

  test("forwards more than any buffer holds, both ways", async () => {
    const large = "x".repeat(8_000_000);
    server.use(http.post("/echo", async ({ request }) => HttpResponse.text(await request.text())));
    const { body } = await pool.request({ method: "POST", path: "/echo", body: large });
    expect((await body.text()).length).toBe(large.length);
  });

  test("passes a half-close on", async () => {
    const pair = await rawPair();
    const atServer = read(pair.serverSide);
    const atClient = read(pair.client);
    pair.client.end("question");
    await waitFor(() => atServer.ended(), { what: "the FIN to reach the server" });
    expect(atServer.text()).toBe("question");
    pair.serverSide.end("answer");
    await waitFor(() => atClient.ended(), { what: "the FIN to reach the client" });
    expect(atClient.text()).toBe("answer");
    await pair.close();
  });

  test("silenceEstablished: old connections are dead without a sign, new ones work", async () => {
    const single = new Pool(proxy.url, { connections: 1 });
    const hello = async (signal?: AbortSignal) => {
      const { body } = await single.request({ method: "GET", path: "/hello", ...(signal && { signal }) });
      return body.text();
    };
    await hello();
    proxy.silenceEstablished();
    expect(proxy.silencedConnections).toBe(1);
    // The pool does not know, and uses the connection it has.
    await expect(hello(AbortSignal.timeout(200))).rejects.toThrow(/timeout|aborted/i);
    expect(server.requests).toHaveLength(1);
    expect(await hello()).toBe("hello");
    expect(proxy.connections).toBe(2);
    await single.destroy();
  });

  test("silenceEstablished: neither data nor FIN nor RST passes, either way", async () => {
    const pair = await rawPair();
    const atServer = read(pair.serverSide);
    const atClient = read(pair.client);
    pair.client.write("before");
    await waitFor(() => atServer.text() === "before", { what: "the first bytes" });
    pair.through.silenceEstablished();
    let clientClosed = false;
    pair.client.on("close", () => (clientClosed = true));
    pair.client.write("lost");
    pair.serverSide.resetAndDestroy();
    // Something that does pass, later: whatever would have leaked has had its time.
    await get();
    await get();
    pair.client.end("lost too");
    await get();
    expect(atServer.text()).toBe("before");
    expect(atClient.text()).toBe("");
    expect(atClient.ended()).toBe(false);
    expect(clientClosed).toBe(false);
    expect(pair.through.openConnections).toBe(1);
    await pair.close();
    expect(pair.through.openConnections).toBe(0);
  });

  test("delay: bytes arrive later, either way, in order", async () => {
    await get();
    proxy.delay(40);
    const startMs = performance.now();
    expect(await get()).toBe("hello");
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(79);
    proxy.delay(0);
    expect(await get()).toBe("hello");
  });

  test("drip: answers trickle", async () => {
    const pair = await rawPair();
    const chunks: string[] = [];
    pair.client.on("data", (bytes) => chunks.push(bytes.toString()));
    pair.through.drip({ bytes: 2, everyMs: 5 });
    pair.serverSide.write("123456789");
    await waitFor(() => chunks.join("") === "123456789", { what: "all bytes" });
    expect(chunks.length).toBeGreaterThan(2);
    pair.through.drip(null);
    pair.serverSide.write("at once");
    await waitFor(() => chunks.join("") === "123456789at once", { what: "the rest" });
    await pair.close();
  });

  test("cutNextAnswer: the server has applied it, the client gets no answer, once", async () => {
    const cuts = proxy.cutNextAnswer({ when: (head) => head.includes("update-v2") });
    expect(await get()).toBe("hello");
    await expect(update()).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(server.requests.at(-1)).toMatchObject({ path: "/update-v2" });
    expect(cuts.heads).toHaveLength(1);
    expect(cuts.heads[0]).toMatch(/^POST \/update-v2 HTTP\/1\.1\r\n/);
    expect(await update()).toBe("applied 2");
  });

  test("cutNextAnswer: sees requests on a connection that has carried others, with bodies", async () => {
    const single = new Pool(proxy.url, { connections: 1 });
    const send = async () =>
      (await single.request({ method: "POST", path: "/update-v2", body: "y".repeat(200_000) })).body.text();
    expect(await send()).toBe("applied 1");
    expect(await send()).toBe("applied 2");
    const cuts = proxy.cutNextAnswer({ when: (head) => head.startsWith("POST"), times: 2 });
    await expect(send()).rejects.toThrow();
    await expect(send()).rejects.toThrow();
    expect(await send()).toBe("applied 5");
    expect(cuts.heads).toHaveLength(2);
    await single.destroy();
  });

  test("cutNextAnswer: within the answer, by FIN", async () => {
    server.use(
      http.get("/long", () => HttpResponse.text("z".repeat(1_000))),
      http.get("/longer", () => HttpResponse.text("z".repeat(500_000))),
    );
    proxy.cutNextAnswer({ afterBytes: 400, how: "close" });
    const { statusCode, body } = await pool.request({ method: "GET", path: "/long" });
    expect(statusCode).toBe(200);
    await expect(body.text()).rejects.toThrow();
    proxy.cutNextAnswer({ afterBytes: 300_000, how: "close" });
    const longer = await pool.request({ method: "GET", path: "/longer" });
    await expect(longer.body.text()).rejects.toThrow();
  });

  test("cutNextAnswer: an answer that is shorter goes through, and the cut waits for the next", async () => {
    server.use(http.get("/long", () => HttpResponse.text("z".repeat(1_000))));
    const cuts = proxy.cutNextAnswer({ afterBytes: 600, how: "close" });
    expect(await get()).toBe("hello");
    expect(await get()).toBe("hello");
    expect(cuts.heads).toEqual([]);
    const { body } = await pool.request({ method: "GET", path: "/long" });
    await expect(body.text()).rejects.toThrow();
    expect(cuts.heads).toHaveLength(1);
  });

  test("closeAtReuse: the first request of a connection passes, the second finds it closed, and the server never sees it", async () => {
    for (const how of ["close", "reset"] as const) {
      const single = new Pool(proxy.url, { connections: 1 });
      const send = async () => (await single.request({ method: "POST", path: "/update-v2", body: "{}" })).body.text();
      await send();
      const before = server.requests.length;
      const closed = proxy.closeAtReuse({ how, when: (head) => head.includes("update-v2") });
      await expect(send()).rejects.toMatchObject({ code: how === "close" ? "UND_ERR_SOCKET" : "ECONNRESET" });
      expect(server.requests).toHaveLength(before);
      expect(closed.heads).toHaveLength(1);
      expect(await send()).toMatch(/^applied/);
      await single.destroy();
    }
  });

  test("closeAtReuse: a new connection is not a reused one", async () => {
    const closed = proxy.closeAtReuse();
    expect(await get()).toBe("hello");
    expect(closed.heads).toEqual([]);
  });

  test("duplicateNextAnswer: the same bytes come twice", async () => {
    const pair = await rawPair();
    const atClient = read(pair.client);
    const atServer = read(pair.serverSide);
    const copies = pair.through.duplicateNextAnswer();
    pair.client.write("GET / HTTP/1.1\r\n\r\n");
    await waitFor(() => atServer.text().endsWith("\r\n\r\n"), { what: "the request" });
    pair.serverSide.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbo");
    await waitFor(() => atClient.text().endsWith("bo"), { what: "the first half" });
    expect(copies.heads).toEqual([]);
    pair.serverSide.write("dy");
    const answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody";
    await waitFor(() => atClient.text() === answer + answer, { what: "the copy" });
    expect(copies.heads).toEqual(["GET / HTTP/1.1"]);
    await pair.close();
  });

  test("swallowNew: new connections are accepted and nothing comes of them, until it is over", async () => {
    await get();
    proxy.swallowNew(true);
    const swallowed = new Pool(proxy.url, { connections: 1 });
    const before = server.requests.length;
    await expect(
      swallowed.request({ method: "GET", path: "/hello", signal: AbortSignal.timeout(200) }),
    ).rejects.toThrow();
    expect(server.requests).toHaveLength(before);
    expect(await get(), "on the connection from before").toBe("hello");
    await swallowed.destroy();
    proxy.swallowNew(false);
    const connections = proxy.connections;
    const fresh = new Pool(proxy.url, { connections: 1 });
    expect(await (await fresh.request({ method: "GET", path: "/hello" })).body.text()).toBe("hello");
    expect(proxy.connections).toBe(connections + 1);
    await fresh.destroy();
  });

  test("listens where it is told to", async () => {
    const other = await startTcpProxy(server.url, { host: "127.0.0.2", port: proxy.port });
    expect(other.url).toBe(`http://127.0.0.2:${proxy.port}`);
    const there = new Pool(other.url);
    expect(await (await there.request({ method: "GET", path: "/hello" })).body.text()).toBe("hello");
    await there.destroy();
    await other.close();
  });

  test("cutNextAnswer: can be called off", async () => {
    const cuts = proxy.cutNextAnswer();
    cuts.cancel();
    expect(await get()).toBe("hello");
    expect(cuts.heads).toEqual([]);
  });

  test("resetAll: both sides get a RST", async () => {
    const pair = await rawPair();
    const codes: (string | undefined)[] = [];
    for (const side of [pair.client, pair.serverSide]) {
      side.on("error", (error: NodeJS.ErrnoException) => codes.push(error.code));
    }
    pair.through.resetAll();
    await waitFor(() => codes.length === 2, { what: "two errors" });
    expect(codes).toEqual(["ECONNRESET", "ECONNRESET"]);
    await waitFor(() => pair.through.openConnections === 0, { what: "the pair to go" });
    await pair.close();
  });

  test("refuse and accept: the port is the same, established connections live on", async () => {
    const pair = await rawPair();
    const atServer = read(pair.serverSide);
    pair.through.refuse();
    pair.client.write("still here");
    await waitFor(() => atServer.text() === "still here", { what: "the old connection to work" });
    const refused = await new Promise<NodeJS.ErrnoException>((resolve) => {
      net.connect(pair.through.port, "127.0.0.1").once("error", resolve);
    });
    expect(refused.code).toBe("ECONNREFUSED");
    await pair.through.accept();
    const again = net.connect(pair.through.port, "127.0.0.1");
    await waitFor(() => pair.through.connections === 2, { what: "a new connection" });
    again.destroy();
    await pair.close();
  });

  test("a server that refuses looks like a connection that breaks", async () => {
    await server.fault("refuse");
    await expect(get()).rejects.toThrow();
    await server.fault("none");
    expect(await get()).toBe("hello");
  });
});
