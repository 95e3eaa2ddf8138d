import type net from "node:net";
import { describe, expect, test } from "vitest";

import { FakeClock } from "../../support/time/fake-clock.js";
import { waitFor } from "../../support/time/wait-for.js";
import { answer, startRawServer, type RawRequest } from "../../support/servers/raw-server.js";
import { get, post, startTransport, summary } from "../../support/unit/http.js";

const onlyHeld = ({ socket, line }: RawRequest) => {
  if (!line.endsWith("/held")) socket.write(answer("ok"));
};

describe("replacing the connections of the HTTP transport", () => {
  test("by age: the lane in question gets new connections at its next request", async () => {
    const clock = new FakeClock();
    const recycled: unknown[] = [];
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url, {
      clock,
      maxConnectionAgeMs: 1_000,
      onRecycled: (event) => recycled.push(event),
    });
    await transport.request(get());
    clock.advance(999);
    await transport.request(get());
    expect(recycled).toEqual([]);
    clock.advance(1);
    await transport.request(get());
    expect(recycled).toEqual([{ reason: "age", lane: "main" }]);
    await transport.request(get("/x", { lane: "poll" }));
    expect(recycled).toEqual([
      { reason: "age", lane: "main" },
      { reason: "age", lane: "poll" },
    ]);
  });

  test("what runs on the old connections finishes there", async () => {
    const clock = new FakeClock();
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url, { clock, maxConnectionAgeMs: 1_000 });
    const held = transport.request(get("/held", { deadlineMs: 60_000 }));
    await waitFor(() => server.requests.length === 1, { what: "the held request" });
    clock.advance(1_000);
    expect(summary(await transport.request(get()))).toBe("answered 200");
    expect(server.sockets[0]!.destroyed).toBe(false);
    server.sockets[0]!.write(answer("late"));
    expect(await held).toMatchObject({ kind: "answered", body: "late" });
    await waitFor(() => server.sockets[0]!.destroyed, { what: "the old connection to be closed" });
  });

  test("idle connections are closed at the swap, not when the last request beside them ends", async () => {
    const clock = new FakeClock();
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url, { clock, maxConnectionAgeMs: 1_000 });
    const held = transport.request(get("/held", { deadlineMs: 60_000 }));
    await transport.request(get());
    expect(server.sockets).toHaveLength(2);
    clock.advance(1_000);
    const startMs = performance.now();
    await transport.request(get());
    await waitFor(() => server.sockets[1]!.destroyed, { what: "the idle connection to be closed" });
    // By itself it would have been closed after 4 s of idleness.
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(server.sockets[0]!.destroyed).toBe(false);
    await server.close();
    await held;
  });

  test("by suspicion: one deadline, and both lanes have new connections", async () => {
    const clock = new FakeClock();
    const recycled: unknown[] = [];
    const dead = new Set<net.Socket>();
    const server = await startRawServer(({ socket }) => {
      if (!dead.has(socket)) socket.write(answer("ok"));
    });
    const transport = startTransport(server.url, { clock, onRecycled: (event) => recycled.push(event) });
    await Promise.all((["poll", "main"] as const).map((lane) => transport.request(get("/x", { lane }))));
    for (const socket of server.sockets) dead.add(socket);
    const lost = transport.request(get("/x", { lane: "poll", deadlineMs: 100 }));
    await waitFor(() => server.requests.length === 3, { what: "the request on the dead connection" });
    clock.advance(100);
    expect(summary(await lost)).toBe("maybeApplied DEADLINE_EXCEEDED");
    expect(recycled).toEqual([{ reason: "suspicion" }]);
    for (const lane of ["poll", "main"] as const)
      expect(summary(await transport.request(get("/x", { lane })))).toBe("answered 200");
  });

  test("a fault on old connections says nothing about the new ones, and cuts short nothing that shares them", async () => {
    const clock = new FakeClock();
    const recycled: unknown[] = [];
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url, { clock, onRecycled: (event) => recycled.push(event) });
    const held = [100, 3_000, 6_000, 60_000].map((deadlineMs) => transport.request(get("/held", { deadlineMs })));
    await waitFor(() => server.requests.length === 4, { what: "the held requests" });
    clock.advance(6_000);
    expect(recycled).toEqual([{ reason: "suspicion" }]);
    const patient = server.requests[3]!.socket;
    patient.write(answer("late"));
    expect((await Promise.all(held)).map(summary)).toEqual([
      "maybeApplied DEADLINE_EXCEEDED",
      "maybeApplied DEADLINE_EXCEEDED",
      "maybeApplied DEADLINE_EXCEEDED",
      "answered 200",
    ]);
    await waitFor(() => server.openConnections === 0, { what: "the old connections to be closed" });
  });

  test("a server that stays slow is not met with a storm of handshakes; a success brings the spacing back", async () => {
    const clock = new FakeClock();
    const swapsAtMs: number[] = [];
    let slow = true;
    const server = await startRawServer(({ socket }) => {
      if (!slow) socket.write(answer("ok"));
    });
    const transport = startTransport(server.url, { clock, onRecycled: () => swapsAtMs.push(clock.now()) });
    const fail = async () => {
      const before = server.requests.length;
      const exchange = transport.request(get("/x", { deadlineMs: 250 }));
      await waitFor(() => server.requests.length > before, { what: "the request" });
      clock.advance(250);
      expect(summary(await exchange)).toBe("maybeApplied DEADLINE_EXCEEDED");
    };
    while (clock.now() < 10_000) await fail();
    expect(swapsAtMs).toEqual([250, 1_250, 3_250, 7_250]);
    slow = false;
    expect(summary(await transport.request(post()))).toBe("answered 200");
    slow = true;
    await fail();
    expect(swapsAtMs.at(-1)).toBe(clock.now());
    await fail();
    expect(swapsAtMs).toHaveLength(5);
  });

  test("a held lane does not hold up the other", async () => {
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url, { maxConnectionsPerLane: 2 });
    const held = Array.from({ length: 5 }, () => transport.request(get("/held", { lane: "poll", deadlineMs: 60_000 })));
    await waitFor(() => server.requests.length === 2, { what: "two held polls" });
    expect(summary(await transport.request(post()))).toBe("answered 200");
    expect(server.requests.filter(({ line }) => line === "GET /held")).toHaveLength(2);
    await server.close();
    await Promise.all(held);
  });

  test("the connections beside a held one are used again and again", async () => {
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url, { maxConnectionsPerLane: 2 });
    const held = transport.request(get("/held", { deadlineMs: 60_000 }));
    const exchanges = await Promise.all(Array.from({ length: 50 }, () => transport.request(get())));
    expect(new Set(exchanges.map(summary))).toEqual(new Set(["answered 200"]));
    await server.close();
    await held;
  });

  test("under load a lane keeps to its connections", async () => {
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url, { maxConnectionsPerLane: 8 });
    const exchanges = await Promise.all(Array.from({ length: 2_000 }, () => transport.request(post())));
    expect(new Set(exchanges.map(summary))).toEqual(new Set(["answered 200"]));
    expect(server.sockets.length).toBeLessThanOrEqual(8);
  });
});
