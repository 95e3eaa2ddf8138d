import http from "node:http";
import type net from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { settle } from "../../support/time/fake-clock.js";
import { startTcpProxy, type TcpProxy } from "../../support/network/tcp-proxy.js";
import { waitFor } from "../../support/time/wait-for.js";
import { get, post, startTransport, summary } from "../../support/unit/http.js";

let server: http.Server;
let proxy: TcpProxy;

describe("the HTTP transport", () => {
  beforeEach(async () => {
    server = http.createServer((request, response) => {
      request.resume();
      request.on("end", () => setTimeout(() => response.end("ok"), request.url === "/slow" ? 600 : 0));
    });
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    proxy = await startTcpProxy((server.address() as net.AddressInfo).port);
  });

  afterEach(async () => {
    await proxy.close();
    server.closeAllConnections();
    server.close();
  });

  test("a path that goes silent costs one deadline, and neither lane meets it again", async () => {
    const recycled: unknown[] = [];
    const transport = startTransport(proxy.url, { onRecycled: (event) => recycled.push(event) });
    // Several pooled connections in each lane, all of them about to be dead.
    await Promise.all(
      Array.from({ length: 16 }, (_, i) => transport.request(get("/slow", { lane: i % 2 ? "poll" : "main" }))),
    );
    expect(proxy.openConnections).toBe(16);
    // undici takes a connection for idle only one turn of the event loop after its answer; until then it opens another.
    await settle();
    await settle();
    proxy.silenceEstablished();

    const startMs = performance.now();
    const lost = await transport.request(get("/x", { lane: "poll", deadlineMs: 500 }));
    const lostAfterMs = performance.now() - startMs;
    expect(summary(lost)).toBe("maybeApplied DEADLINE_EXCEEDED");
    expect(lostAfterMs).toBeGreaterThan(480);
    expect(lostAfterMs).toBeLessThan(1_000);
    expect(recycled).toEqual([{ reason: "suspicion" }]);

    const nextMs = performance.now();
    const next = await Promise.all([
      transport.request(get("/x", { lane: "poll", deadlineMs: 500 })),
      transport.request(post("/x", "{}", { deadlineMs: 500 })),
      transport.request(post("/x", "{}", { deadlineMs: 500 })),
    ]);
    expect(next.map(summary)).toEqual(["answered 200", "answered 200", "answered 200"]);
    expect(performance.now() - nextMs).toBeLessThan(250);
  });

  test("many requests on a path that goes silent: each ends at its deadline, with one swap for all of them", async () => {
    const recycled: unknown[] = [];
    const transport = startTransport(proxy.url, { onRecycled: (event) => recycled.push(event) });
    const warmUp = await Promise.all(Array.from({ length: 20 }, () => transport.request(get())));
    expect(new Set(warmUp.map(summary))).toEqual(new Set(["answered 200"]));
    const under = Array.from({ length: 20 }, () => transport.request(get("/slow", { deadlineMs: 1_000 })));
    await waitFor(() => proxy.openConnections === 20, { what: "20 connections" });
    await new Promise((resolve) => setTimeout(resolve, 100));
    proxy.silenceEstablished();
    const outcomes = (await Promise.all(under)).map(summary);
    expect(new Set(outcomes)).toEqual(new Set(["maybeApplied DEADLINE_EXCEEDED"]));
    expect(recycled).toHaveLength(1);
    expect(summary(await transport.request(get()))).toBe("answered 200");
  });

  test("connections that are reset under load: every request ends, and the next ones work", async () => {
    const transport = startTransport(proxy.url, { maxConnectionsPerLane: 16 });
    const outcomes: string[] = [];
    const endMs = performance.now() + 2_000;
    const lanes = Array.from({ length: 32 }, async () => {
      while (performance.now() < endMs) outcomes.push(summary(await transport.request(post("/x", "{}"))));
    });
    for (let i = 0; i < 6; i++) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      proxy.resetAll();
    }
    await Promise.all(lanes);
    const kinds = new Set(outcomes);
    expect(kinds).toContain("answered 200");
    for (const kind of kinds) expect(["answered 200", "maybeApplied CONNECTION_LOST"]).toContain(kind);
    expect(outcomes.filter((kind) => kind !== "answered 200").length).toBeLessThanOrEqual(6 * 16);
    expect(summary(await transport.request(get()))).toBe("answered 200");
  });

  test("connections are replaced by age under load without a single fault", async () => {
    const recycled: unknown[] = [];
    const transport = startTransport(proxy.url, {
      maxConnectionAgeMs: 150,
      onRecycled: (event) => recycled.push(event),
    });
    const outcomes = new Map<string, number>();
    const endMs = performance.now() + 3_000;
    const run = async (path: string) => {
      while (performance.now() < endMs) {
        const exchange = await transport.request(get(path, { lane: path === "/slow" ? "poll" : "main" }));
        outcomes.set(summary(exchange), (outcomes.get(summary(exchange)) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, i) => run(i < 4 ? "/slow" : "/x")));
    expect([...outcomes.keys()]).toEqual(["answered 200"]);
    expect(outcomes.get("answered 200")).toBeGreaterThan(500);
    expect(recycled.length).toBeGreaterThan(10);
    await transport.close();
    await waitFor(() => proxy.openConnections === 0, { what: "every connection to be closed" });
  });

  test("the server goes away and comes back: everything ends, nothing that was refused was sent", async () => {
    const transport = startTransport(proxy.url);
    expect(summary(await transport.request(get()))).toBe("answered 200");
    proxy.refuse();
    proxy.resetAll();
    const refused = await Promise.all(Array.from({ length: 50 }, () => transport.request(post())));
    for (const exchange of refused) expect(["notSent", "maybeApplied"]).toContain(exchange.kind);
    expect(summary(await transport.request(post()))).toBe("notSent CONNECT_FAILED");
    await proxy.accept();
    expect(summary(await transport.request(post()))).toBe("answered 200");
  });
});
