import { request } from "node:http";
import net from "node:net";
import { http, HttpResponse } from "msw";
import { describe, expect, test, type TestContext } from "vitest";
import { ConfigurationError, defineWorker, TaskHandler, type TaskHandlerOptions } from "../../src/index.js";
import { startEmbeddedConductor } from "../../src/testing/index.js";
import { silentLogger } from "../support/log/loggers.js";
import { startTcpProxy } from "../support/network/tcp-proxy.js";
import { startProcess } from "../support/process/process-harness.js";
import { makeTask, startConductorStub } from "../support/servers/conductor-stub.js";
import { waitFor } from "../support/time/wait-for.js";

/** What a probe may take, whatever goes on, in ms: Kubernetes gives up after a second by default. */
const PROBE_BOUND_MS = 1_000;
/** How long it takes until a server that is away shows: a poll that fails, 10 s, and what the machine is slow. */
const RED_WITHIN_MS = 20_000;
const PATHS = ["/", "/livez", "/readyz", "/metrics", "/status"];

interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** One request on a connection of its own; rejects when no whole answer comes in time. */
function ask(url: string, { method = "GET", boundMs = PROBE_BOUND_MS } = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { method, agent: false, signal: AbortSignal.timeout(boundMs) }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    asking.on("error", reject);
    asking.end();
  });
}

async function startHandler(context: TestContext, options: Partial<TaskHandlerOptions> = {}) {
  const handler = new TaskHandler({
    serverUrl: "http://127.0.0.1:9",
    adminPort: 0,
    logger: silentLogger,
    workers: [defineWorker({ taskDefName: "greet", execute: () => ({}) })],
    ...options,
  });
  await handler.start();
  context.onTestFinished(() => handler.stop({ drainTimeoutMs: 0 }));
  const url = handler.adminUrl!;
  const port = Number(new URL(url).port);
  return { handler, url, port, get: (path: string) => ask(url + path) };
}

/** Resolves when `/readyz` has turned to `status`, with its reasons. */
async function readyz(url: string, status: number, boundMs = 10_000): Promise<string> {
  let last: Got | undefined;
  return waitFor(
    async () => {
      last = await ask(`${url}/readyz`);
      return last.status === status ? (JSON.parse(last.body) as { reasons: string[] }).reasons.join("\n") || "-" : "";
    },
    { boundMs, everyMs: 50, what: () => `/readyz ${status}; last ${JSON.stringify(last)}` },
  );
}

describe("the admin server", () => {
  describe.concurrent("health, with a handler and a server", () => {
    test("a server that goes away: live all the time, not ready and why, and ready again", async (context) => {
      const conductor = await startEmbeddedConductor();
      context.onTestFinished(() => conductor.close());
      const proxy = await startTcpProxy(conductor.port);
      context.onTestFinished(() => proxy.close());
      const { url, get } = await startHandler(context, { serverUrl: proxy.url });
      await readyz(url, 200);

      proxy.refuse();
      proxy.resetAll();
      const awayAt = performance.now();
      const reasons = await readyz(url, 503, RED_WITHIN_MS);
      expect(reasons).toMatch(/^polls have failed for \d+ s \(greet\): .*(ECONNREFUSED|connect)/i);
      expect(performance.now() - awayAt).toBeGreaterThan(9_000);
      expect((await get("/livez")).status).toBe(200);
      const page = await get("/");
      expect(page.body).toContain("not ready");
      expect(page.body).toContain("polls have failed");

      await proxy.accept();
      await readyz(url, 200);
    });

    test("a server that never was there: not ready, and the error is told at once", async (context) => {
      const { url, get } = await startHandler(context);
      const reasons = await readyz(url, 503);
      expect(reasons).toContain("starting: no poll has succeeded yet");
      await waitFor(async () => (await get("/readyz")).body.includes("polls have failed for"), { what: "the error" });
      expect((await get("/livez")).status).toBe(200);
    });

    test("full and paused are ready; draining is not, and is still live", async (context) => {
      const conductor = await startEmbeddedConductor();
      context.onTestFinished(() => conductor.close());
      let finish = (): void => undefined;
      const finished = new Promise<void>((resolve) => {
        finish = resolve;
      });
      const { handler, url, get } = await startHandler(context, {
        serverUrl: conductor.serverUrl,
        workers: [defineWorker({ taskDefName: "long", execute: () => finished })],
      });
      await conductor.registerTaskDefs([{ name: "long" }]);
      await conductor.registerWorkflowDef({ name: "w", tasks: [{ name: "long", taskReferenceName: "long" }] });
      await conductor.startWorkflow({ name: "w" });
      await waitFor(() => handler.status.runners[0]?.phase === "full", { what: "the runner to be full" });
      expect((await get("/readyz")).status).toBe(200);
      expect(JSON.parse((await get("/status")).body)).toMatchObject({
        inFlight: 1,
        runners: [{ running: 1, phase: "full" }],
      });

      handler.pause();
      expect((await get("/readyz")).status).toBe(200);

      const stopped = handler.stop();
      expect(await readyz(url, 503)).toBe("the worker is draining: it polls no more");
      expect((await get("/livez")).status).toBe(200);
      finish();
      await stopped;
      await expect(get("/livez")).rejects.toThrow(/ECONNREFUSED|ECONNRESET/);
    });

    test("results that pile up to the limit: not ready until they are delivered", async (context) => {
      const { stub, server, serverUrl, ...served } = await startConductorStub();
      context.onTestFinished(() => served.close());
      server.use(http.post("*/api/tasks*", () => new HttpResponse("no upstream", { status: 503 })));
      const output = { text: "x".repeat(9 * 1024 * 1024) };
      const { url, get } = await startHandler(context, {
        serverUrl,
        workers: [defineWorker({ taskDefName: "big", concurrency: 8, execute: () => output })],
      });
      await readyz(url, 200);
      stub.push(...Array.from({ length: 8 }, () => makeTask({ taskType: "big" })));
      expect(await readyz(url, 503, 30_000)).toMatch(/outbox full: \d+ finished results wait/);
      expect((await get("/livez")).status).toBe(200);
      server.reset();
      await readyz(url, 200, 30_000);
    });

    test("a blocked event loop does not answer", async (context) => {
      const child = startProcess({
        source: `
        import { defineWorker, TaskHandler } from "ostinato";
        const handler = new TaskHandler({
          serverUrl: "http://127.0.0.1:9",
          adminPort: 0,
          watchdog: false,
          workers: [defineWorker({ taskDefName: "greet", execute: () => ({}) })],
        });
        await handler.start();
        process.stdin.once("data", () => {
          console.log("blocked");
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        });
        console.log("admin at " + handler.adminUrl);
      `,
      });
      context.onTestFinished(() => void child.kill());
      const [, url] = await child.waitForLine(/^admin at (\S+)$/);
      expect((await ask(`${url!}/livez`)).status).toBe(200);
      child.write("go\n");
      await child.waitForLine(/^blocked$/);
      await expect(ask(`${url!}/livez`)).rejects.toThrow(/timeout|abort/i);
    });
  });

  describe("no secrets", () => {
    test("key, secret and token are in no answer, whether all is well or the server refuses", async (context) => {
      const { server, serverUrl, ...served } = await startConductorStub();
      context.onTestFinished(() => served.close());
      const token = `t0k3n.${Buffer.from(JSON.stringify({ iat: 0, exp: 3_600 })).toString("base64url")}.x`;
      server.use(http.post("*/api/token", () => HttpResponse.json({ token })));
      const { url, get } = await startHandler(context, {
        serverUrl,
        auth: { keyId: "the-key-id", keySecret: "hush-hush" },
      });
      const everything = async () => (await Promise.all(PATHS.map(get))).map((got) => JSON.stringify(got)).join("\n");
      await readyz(url, 200);
      expect(server.requests.some(({ headers }) => headers.get("x-authorization") === token)).toBe(true);
      const well = await everything();
      server.use(http.all("*/api/tasks/*", () => HttpResponse.json({ status: 401, message: "no" }, { status: 401 })));
      await waitFor(async () => (await get("/status")).body.includes("pollsFailing"), { what: "polls to fail" });
      const refused = await everything();
      for (const secret of ["the-key-id", "hush-hush", "t0k3n", "uthorization"]) {
        expect(well).not.toContain(secret);
        expect(refused).not.toContain(secret);
      }
    });
  });

  describe("where it listens", () => {
    test("a taken port is a configuration error that names port, host and what to do", async (context) => {
      const { port } = await startHandler(context);
      const second = new TaskHandler({
        serverUrl: "http://127.0.0.1:9",
        adminPort: port,
        logger: silentLogger,
        workers: [defineWorker({ taskDefName: "greet", execute: () => ({}) })],
      });
      const error: unknown = await second.start().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ConfigurationError);
      expect((error as Error).message).toMatch(
        new RegExp(
          `port ${port} of host 127\\.0\\.0\\.1: the port is taken \\(EADDRINUSE\\).*CONDUCTOR_WORKER_ADMIN_PORT`,
        ),
      );
      expect(second.adminUrl).toBeUndefined();
      await second.stop();
    });

    test("an address of another machine is a configuration error", async () => {
      const handler = new TaskHandler({
        serverUrl: "http://127.0.0.1:9",
        adminPort: 0,
        adminHost: "192.0.2.1",
        logger: silentLogger,
        workers: [defineWorker({ taskDefName: "greet", execute: () => ({}) })],
      });
      await expect(handler.start()).rejects.toThrow(/host 192\.0\.2\.1: it is no address of this machine.*ADMIN_HOST/);
      await handler.stop();
    });

    test.each(["127.0.0.1", "localhost", "::1", "[::1]", "0.0.0.0", "::"])("answers on %s", async (adminHost) => {
      const handler = new TaskHandler({
        serverUrl: "http://127.0.0.1:9",
        adminPort: 0,
        adminHost,
        logger: silentLogger,
        workers: [defineWorker({ taskDefName: "greet", execute: () => ({}) })],
      });
      await handler.start();
      try {
        expect(handler.adminUrl).toMatch(/^http:\/\/(127\.0\.0\.1|localhost|\[::1\]):[1-9]\d*$/);
        expect((await ask(`${handler.adminUrl!}/livez`)).status).toBe(200);
      } finally {
        await handler.stop();
      }
    });

    test("the children of a cluster do not share the port", async (context) => {
      const child = startProcess({
        ownGroup: true,
        source: `
        import cluster from "node:cluster";
        import net from "node:net";
        import { defineWorker, TaskHandler } from "ostinato";
        if (cluster.isPrimary) {
          const free = net.createServer().listen(0, "127.0.0.1", () => {
            const { port } = free.address();
            free.close(() => {
              const fork = () => cluster.fork({ CONDUCTOR_WORKER_ADMIN_PORT: String(port) });
              fork().once("message", fork);
            });
          });
        } else {
          const handler = new TaskHandler({
            serverUrl: "http://127.0.0.1:9",
            adminPort: 0,
            watchdog: false,
            workers: [defineWorker({ taskDefName: "greet", execute: () => ({}) })],
          });
          await handler.start().then(
            () => process.send("listens"),
            (error) => console.log("refused: " + error.message),
          );
        }
      `,
      });
      context.onTestFinished(() => void child.kill());
      await child.waitForLine(/^refused: .*EADDRINUSE/);
    });

    test("does not keep a process alive", async (context) => {
      const child = startProcess({
        source: `
        import net from "node:net";
        import { startAdminServer } from ${JSON.stringify(new URL("../../dist/admin/admin-server.js", import.meta.url).href)};
        const status = () => ({ state: "running", runners: [] });
        const { url } = await startAdminServer({ port: 0, host: "127.0.0.1", stallMs: Infinity, registry: undefined, status });
        const answer = await fetch(url + "/livez");
        console.log("answered " + answer.status);
        await answer.text();
        const idle = net.connect(Number(new URL(url).port), "127.0.0.1").unref();
      `,
      });
      context.onTestFinished(() => void child.kill());
      await child.waitForLine(/^answered 200$/);
      expect(await child.waitForExit(1_500)).toEqual({ code: 0, signal: null });
    });
  });

  describe("clients that misbehave", () => {
    /** A connection that says `text`, and keeps what comes. */
    function connect(context: TestContext, port: number, text = "") {
      const socket = net.connect(port, "127.0.0.1");
      let received = "";
      const openedAt = performance.now();
      // Not `once`: that rejects when the end is a reset.
      const closed = new Promise<number>((resolve) => socket.on("close", () => resolve(performance.now() - openedAt)));
      const settled = new Promise<void>((resolve) => socket.on("connect", resolve).on("close", () => resolve()));
      socket.setEncoding("latin1").on("data", (chunk: string) => (received += chunk));
      socket.on("error", () => {});
      if (text !== "") socket.write(text);
      context.onTestFinished(() => void socket.destroy());
      return {
        socket,
        /** When the connection had ended, in ms since it was made. */
        closed,
        /** It is connected, or has ended already. */
        settled,
        get received() {
          return received;
        },
      };
    }

    /** The slowest of some probes in a row, in ms; each must be answered with 200. */
    async function probe(url: string): Promise<number> {
      let slowestMs = 0;
      for (let i = 0; i < 5; i++) {
        const startedAt = performance.now();
        expect((await ask(`${url}/livez`)).status).toBe(200);
        slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      }
      return slowestMs;
    }

    test("1000 silent connections: a probe gets through at once, and they are ended within seconds", async (context) => {
      const { url, port } = await startHandler(context);
      const sockets = Array.from({ length: 1_000 }, () => connect(context, port));
      await Promise.all(sockets.map(({ settled }) => settled));
      const open = () => sockets.filter(({ socket }) => !socket.closed).length;
      // Sooner than a timeout of theirs would.
      await waitFor(() => open() <= 100, { boundMs: 1_500, what: () => `100 connections at most, ${open()} are open` });
      console.info(`1000 silent connections: a probe took ${Math.round(await probe(url))} ms at most`);
      await waitFor(() => open() === 0, { boundMs: 5_000, what: () => `all to be ended, ${open()} are open` });
    });

    test("clients that drip their headers are ended within seconds, and a probe gets through meanwhile", async (context) => {
      const { url, port } = await startHandler(context);
      const drips = Array.from({ length: 300 }, () => connect(context, port, "GET /livez HTTP/1.1\r\nHost: x\r\n"));
      const timer = setInterval(() => {
        for (const { socket } of drips) if (!socket.destroyed) socket.write("x: y\r\n");
      }, 100);
      context.onTestFinished(() => {
        clearInterval(timer);
      });
      console.info(`300 dripping clients: a probe took ${Math.round(await probe(url))} ms at most`);
      const lived = await Promise.all(drips.map(({ closed }) => closed));
      console.info(`the longest lived ${Math.round(Math.max(...lived))} ms`);
      expect(Math.max(...lived)).toBeLessThan(5_000);
    });

    test("clients that do not read are ended", async (context) => {
      const big = "x".repeat(32 * 1024 * 1024);
      const registry = {
        contentType: "text/plain",
        registerMetric: () => {},
        getSingleMetric: () => undefined,
        removeSingleMetric: () => {},
        metrics: () => Promise.resolve(big),
      };
      const { url, port } = await startHandler(context, { registry });
      const { socket } = connect(context, port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
      await waitFor(() => socket.bytesRead > 0, { what: "the answer to begin" });
      socket.pause();
      await probe(url);
      const pausedAt = performance.now();
      await waitFor(() => performance.now() - pausedAt > 11_000, { boundMs: 12_000, what: "11 s to pass" });
      socket.resume();
      await waitFor(() => socket.closed, { what: "the end" });
      expect(socket.bytesRead).toBeLessThan(big.length);
    });

    test.for<[string, string, RegExp]>([
      [
        "oversized headers",
        `GET /livez HTTP/1.1\r\nHost: x\r\nX-Big: ${"y".repeat(40_000)}\r\n\r\n`,
        /^HTTP\/1\.1 431 /,
      ],
      ["garbage", "\u0000\u0001\u00ff garbage \u0007\r\n\r\n", /^HTTP\/1\.1 400 /],
      ["TLS", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc", /^HTTP\/1\.1 400 /],
      ["no Host header", "GET /livez HTTP/1.1\r\n\r\n", /^HTTP\/1\.1 400 /],
      [
        "a body that is promised and does not come",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        /^HTTP\/1\.1 405 /,
      ],
      [
        "an upgrade",
        "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        /^HTTP\/1\.1 200 /,
      ],
      ["CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", /^$/],
    ])("%s: answered, and the connection ended", async ([, text, expected], context) => {
      const { url, port } = await startHandler(context);
      const client = connect(context, port);
      client.socket.write(text, "latin1");
      await client.closed;
      expect(client.received).toMatch(expected);
      await probe(url);
    });

    test("pipelined requests: the first is answered, nobody pays for the rest", async (context) => {
      let scrapes = 0;
      const registry = {
        contentType: "text/plain",
        registerMetric: () => {},
        getSingleMetric: () => undefined,
        removeSingleMetric: () => {},
        metrics: () => Promise.resolve(`scrape ${++scrapes}\n`),
      };
      const { url, port } = await startHandler(context, { registry });
      const client = connect(context, port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2_000));
      await client.closed;
      expect(client.received).toMatch(/^HTTP\/1\.1 200 .*scrape 1\n/s);
      expect(scrapes).toBe(1);
      await probe(url);
    });

    test("every answer: what it is, nothing to keep, no other origin, and HEAD without a body", async (context) => {
      const { url } = await startHandler(context);
      for (const path of [...PATHS, "/nothing"]) {
        const got = await ask(url + path);
        expect(got.headers).toMatchObject({
          "x-content-type-options": "nosniff",
          "cache-control": "no-store",
          connection: "close",
          "content-length": String(Buffer.byteLength(got.body)),
        });
        expect(Object.keys(got.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
        const head = await ask(url + path, { method: "HEAD" });
        expect({ status: head.status, body: head.body }).toEqual({ status: got.status, body: "" });
      }
      const posted = await ask(`${url}/livez`, { method: "POST" });
      expect(posted).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
    });

    test("a registry whose content type is no header costs its client the connection, and nothing else", async (context) => {
      const registry = {
        contentType: "text/plain\r\nx: y",
        registerMetric: () => {},
        getSingleMetric: () => undefined,
        removeSingleMetric: () => {},
        metrics: () => Promise.resolve(""),
      };
      const { url } = await startHandler(context, { registry });
      await expect(ask(`${url}/metrics`)).rejects.toThrow(/hang up|ECONNRESET/);
      await probe(url);
    });

    test("metrics that hang are given up with words, and hold nobody up", async (context) => {
      const registry = {
        contentType: "text/plain",
        registerMetric: () => {},
        getSingleMetric: () => undefined,
        removeSingleMetric: () => {},
        metrics: () => new Promise<string>(() => {}),
      };
      const { url } = await startHandler(context, { registry });
      const scrapes = Array.from({ length: 20 }, () => ask(`${url}/metrics`, { boundMs: 6_000 }));
      await probe(url);
      for (const got of await Promise.all(scrapes)) {
        expect(got).toMatchObject({ status: 500, body: expect.stringContaining("did not answer within 4000 ms") });
      }
    });

    test("stop() ends connections at once, whatever they are at", async (context) => {
      const { startAdminServer } = await import("../../src/admin/admin-server.js");
      const registry = {
        contentType: "text/plain",
        registerMetric: () => {},
        getSingleMetric: () => undefined,
        removeSingleMetric: () => {},
        metrics: () => new Promise<string>(() => {}),
      };
      const server = await startAdminServer({
        port: 0,
        host: "127.0.0.1",
        stallMs: Infinity,
        registry,
        status: () => new TaskHandler({ workers: [] }).status,
      });
      const port = Number(new URL(server.url).port);
      const clients = [
        connect(context, port),
        connect(context, port, "GET /livez HTTP/1.1\r\nHo"),
        connect(context, port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
      ];
      await Promise.all(clients.map(({ settled }) => settled));
      await probe(server.url);
      const startedAt = performance.now();
      await server.close();
      expect(performance.now() - startedAt).toBeLessThan(100);
      await Promise.all(clients.map(({ closed }) => closed));
      await server.close();
    });
  });
});
