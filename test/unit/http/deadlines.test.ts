import net from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";

import type { Exchange } from "../../../src/http/exchange.js";
import { FakeClock, settle } from "../../support/time/fake-clock.js";
import { waitFor } from "../../support/time/wait-for.js";
import { answer, startRawServer } from "../../support/servers/raw-server.js";
import { get, post, startTransport, summary } from "../../support/unit/http.js";

/** Settled or not, without waiting. */
async function peek(promise: Promise<Exchange>): Promise<string> {
  const pending = Symbol();
  const first = await Promise.race([promise, settle().then(() => pending)]);
  return typeof first === "symbol" ? "pending" : summary(first);
}

describe("the deadline of an HTTP request", () => {
  test("no headers: maybeApplied at the deadline and not before, and the connection is given up", async () => {
    const clock = new FakeClock();
    const lanes: string[] = [];
    const server = await startRawServer(() => {});
    const transport = startTransport(server.url, { clock, onDeadlineExceeded: (lane) => lanes.push(lane) });
    const exchange = transport.request(get("/x", { lane: "poll", deadlineMs: 700 }));
    await waitFor(() => server.requests.length === 1, { what: "the request" });
    clock.advance(699);
    expect(await peek(exchange)).toBe("pending");
    clock.advance(1);
    expect(await peek(exchange)).toBe("maybeApplied DEADLINE_EXCEEDED");
    expect(await exchange).toMatchObject({ fault: { message: expect.stringContaining("within 700 ms") } });
    expect(lanes).toEqual(["poll"]);
    await waitFor(() => server.openConnections === 0, { what: "the connection to be closed" });
  });

  /** What a function does that computes. */
  function block(ms: number): void {
    const endAt = performance.now() + ms;
    while (performance.now() < endAt);
  }

  test("an answer that came while the event loop was blocked is read, although its deadline has passed", async () => {
    const recycled: unknown[] = [];
    const server = await startRawServer(({ socket }) => {
      socket.write(answer("x".repeat(10_000)));
      block(400);
    });
    const transport = startTransport(server.url, { onRecycled: (event) => recycled.push(event) });
    const exchange = await transport.request(get("/x", { deadlineMs: 200 }));
    expect(summary(exchange)).toBe("answered 200");
    expect(recycled).toEqual([]);
  });

  test("after a block that brought no answer the deadline is put off once, by little", async () => {
    const server = await startRawServer(({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n1");
      const dripping = setInterval(() => socket.write("1"), 10);
      onTestFinished(() => {
        clearInterval(dripping);
      });
      block(400);
    });
    const transport = startTransport(server.url);
    const startedAt = performance.now();
    expect(summary(await transport.request(get("/x", { deadlineMs: 200 })))).toBe("maybeApplied DEADLINE_EXCEEDED");
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  test("a body that drips does not put the deadline off", async () => {
    const clock = new FakeClock();
    const server = await startRawServer(({ socket }) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1"));
    const transport = startTransport(server.url, { clock });
    const exchange = transport.request(get("/x", { deadlineMs: 500 }));
    await waitFor(() => server.requests.length === 1, { what: "the request" });
    for (let i = 0; i < 5; i++) {
      await clock.advanceAsync(99);
      server.sockets[0]!.write("2");
      expect(await peek(exchange)).toBe("pending");
    }
    clock.advance(5);
    expect(await peek(exchange)).toBe("maybeApplied DEADLINE_EXCEEDED");
    await waitFor(() => server.openConnections === 0, { what: "the connection to be closed" });
  });

  describe("a body that keeps coming", () => {
    const PIECE = "x".repeat(100_000);

    /** An answer of 300,000 bytes that the test sends piece by piece, and its request with a deadline of 500 ms. */
    async function startFlow(maxFlowingMs: number) {
      const clock = new FakeClock();
      const server = await startRawServer(({ socket }) =>
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n"),
      );
      const transport = startTransport(server.url, { clock, maxFlowingMs });
      const exchange = transport.request(get("/x", { deadlineMs: 500 }));
      await waitFor(() => server.requests.length === 1, { what: "the request" });
      const send = async (text: string) => {
        await new Promise<void>((resolve) => server.sockets[0]!.write(text, () => resolve()));
        // On the loopback it has arrived; it is read in pieces of 64 KiB.
        for (let i = 0; i < 5; i++) await settle();
      };
      return { clock, exchange, send };
    }

    test("puts the deadline off, as long as it does", async () => {
      const { clock, exchange, send } = await startFlow(90_000);
      for (const ms of [500, 2_000]) {
        await send(PIECE);
        clock.advance(ms);
        expect(await peek(exchange)).toBe("pending");
      }
      await send(PIECE);
      expect(await exchange).toMatchObject({ kind: "answered", status: 200, body: PIECE.repeat(3) });
      expect(clock.pendingTimers).toBe(0);
    });

    test("and then comes in drops only is given up at the next look", async () => {
      const { clock, exchange, send } = await startFlow(90_000);
      await send(PIECE);
      clock.advance(500);
      await send("x".repeat(1_000));
      clock.advance(1_999);
      expect(await peek(exchange)).toBe("pending");
      clock.advance(1);
      expect(await peek(exchange)).toBe("maybeApplied DEADLINE_EXCEEDED");
    });

    test.each([
      ["as a worker sets it", 1_500, 1_500],
      ["by default", 0, 500],
    ])("is given up after the most that is allowed, %s", async (_name, maxFlowingMs, endsAfterMs) => {
      const { clock, exchange, send } = await startFlow(maxFlowingMs);
      await send(PIECE);
      clock.advance(499);
      await send(PIECE);
      clock.advance(endsAfterMs - 500);
      expect(await peek(exchange)).toBe("pending");
      clock.advance(1);
      expect(await peek(exchange)).toBe("maybeApplied DEADLINE_EXCEEDED");
    });
  });

  test("queued: notSent, nothing is written for it later, nobody is suspected, and the queue goes on", async () => {
    const clock = new FakeClock();
    const recycled: unknown[] = [];
    const server = await startRawServer(({ socket, line }) => {
      if (line !== "GET /held") socket.write(answer("ok"));
    });
    const transport = startTransport(server.url, {
      clock,
      maxConnectionsPerLane: 1,
      onRecycled: (event) => recycled.push(event),
    });
    const held = transport.request(get("/held", { deadlineMs: 10_000 }));
    const first = transport.request(post("/first", "{}", { deadlineMs: 300 }));
    const middle = transport.request(post("/middle", "{}", { deadlineMs: 200 }));
    const last = transport.request(post("/last", "{}", { deadlineMs: 300 }));
    const patient = transport.request(post("/patient", "{}", { deadlineMs: 10_000 }));
    const otherLane = transport.request(get("/other", { lane: "poll" }));
    await waitFor(() => server.requests.length === 2, { what: "the held request and that of the other lane" });
    expect(summary(await otherLane)).toBe("answered 200");
    clock.advance(200);
    expect(await peek(middle)).toBe("notSent DEADLINE_EXCEEDED");
    expect(await peek(first)).toBe("pending");
    clock.advance(100);
    expect([await peek(first), await peek(last)]).toEqual(["notSent DEADLINE_EXCEEDED", "notSent DEADLINE_EXCEEDED"]);
    server.sockets[0]!.write(answer("ok"));
    expect([summary(await held), summary(await patient)]).toEqual(["answered 200", "answered 200"]);
    expect(server.requests.map(({ line }) => line)).toEqual(["GET /held", "GET /other", "POST /patient"]);
    expect(recycled).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  test("the queue is first in, first out", async () => {
    const server = await startRawServer(({ socket }) => socket.write(answer("ok")));
    const transport = startTransport(server.url, { maxConnectionsPerLane: 1 });
    await Promise.all(Array.from({ length: 30 }, (_, i) => transport.request(get(`/${i}`))));
    expect(server.requests.map(({ line }) => line)).toEqual(Array.from({ length: 30 }, (_, i) => `GET /${i}`));
    expect(server.sockets).toHaveLength(1);
  });

  test("connecting: notSent, and nothing is written when the connection is made after all", async () => {
    const clock = new FakeClock();
    const server = await startRawServer(({ socket, line }) => {
      if (line !== "GET /held") socket.write(answer("ok"));
    });
    // The held request keeps the generation alive when the suspicion retires it.
    const transport = startTransport(server.url, { clock });
    const held = transport.request(get("/held", { deadlineMs: 10_000 }));
    await waitFor(() => server.requests.length === 1, { what: "the held request" });
    const bytesBefore = server.bytesReceived;
    const late = transport.request(post("/late", "{}", { deadlineMs: 50 }));
    // Not a turn of the event loop passes: the connection cannot have been made.
    clock.advance(50);
    expect(await peek(late)).toBe("notSent DEADLINE_EXCEEDED");
    await waitFor(() => server.sockets[1]?.destroyed, { what: "the late connection to be made and given up" });
    expect(server.bytesReceived).toBe(bytesBefore);
    server.sockets[0]!.write(answer("ok"));
    expect(summary(await held)).toBe("answered 200");
    expect(clock.pendingTimers).toBe(0);
  });

  test("a TLS handshake that is never answered: notSent at the deadline, a suspicion, and no socket stays", async () => {
    const clock = new FakeClock();
    const recycled: unknown[] = [];
    const sockets: net.Socket[] = [];
    const server = net.createServer((socket) => sockets.push(socket.on("error", () => {}).resume()));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as net.AddressInfo;
    const transport = startTransport(`https://127.0.0.1:${port}`, {
      clock,
      onRecycled: (event) => recycled.push(event),
    });
    const exchange = transport.request(post("/x", "{}", { deadlineMs: 300 }));
    await waitFor(() => sockets.length === 1, { what: "the connection" });
    clock.advance(300);
    expect(await peek(exchange)).toBe("notSent DEADLINE_EXCEEDED");
    expect(recycled).toEqual([{ reason: "suspicion" }]);
    await waitFor(() => sockets.every((socket) => socket.destroyed), { what: "the socket to be gone" });
    await transport.close();
  });

  test("an aborted request is not followed by a connection that nobody wants", async () => {
    const clock = new FakeClock();
    const server = await startRawServer(({ socket, line }) => {
      if (line === "GET /ok") socket.write(answer("ok"));
    });
    const transport = startTransport(server.url, { clock });
    // The first deadline swaps the pools; the second, right after it, does not, and hits the present ones.
    for (const expected of [1, 2]) {
      const exchange = transport.request(get("/x", { deadlineMs: 10 }));
      await waitFor(() => server.requests.length === expected, { what: "the request" });
      clock.advance(10);
      expect(summary(await exchange)).toBe("maybeApplied DEADLINE_EXCEEDED");
      await waitFor(() => server.openConnections === 0, { what: "the connection to be closed" });
    }
    expect(summary(await transport.request(get("/ok")))).toBe("answered 200");
    expect(server.sockets).toHaveLength(3);
  });

  test("ten thousand requests leave no timer behind", async () => {
    const clock = new FakeClock();
    const server = await startRawServer(({ socket }) => socket.write(answer("ok")));
    const transport = startTransport(server.url, { clock, maxConnectionsPerLane: 32 });
    let answered = 0;
    for (let round = 0; round < 10; round++) {
      const exchanges = Array.from({ length: 1_000 }, (_, i) => transport.request(i % 2 ? get() : post()));
      expect(clock.pendingTimers).toBe(1_000);
      for (const exchange of await Promise.all(exchanges)) if (exchange.kind === "answered") answered++;
      expect(clock.pendingTimers).toBe(0);
    }
    expect(answered).toBe(10_000);
    expect(server.sockets.length).toBeLessThanOrEqual(32);
  });
});
