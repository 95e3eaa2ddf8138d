import { describe, expect, test } from "vitest";

import type { HttpRequest } from "../../../src/http/exchange.js";
import { FakeClock } from "../../support/time/fake-clock.js";
import { answer, startRawServer } from "../../support/servers/raw-server.js";
import { get, post, startTransport, summary } from "../../support/unit/http.js";

describe("an HTTP request that is refused before it is sent", () => {
  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, "5" as unknown as number, undefined as unknown as number])(
    "deadlineMs %j",
    async (deadlineMs) => {
      const transport = startTransport("http://127.0.0.1:1");
      expect(summary(await transport.request(get("/x", { deadlineMs })))).toBe("notSent INVALID_REQUEST");
    },
  );

  test.each<[string, Partial<HttpRequest>]>([
    ["a path without a slash", { path: "x" }],
    ["a path with a space", { path: "/a b" }],
    ["a path with a line break", { path: "/a\r\nx: y" }],
    ["a path that is not encoded", { path: "/ä" }],
    ["no path", { path: undefined as unknown as string }],
    ["a method that is none", { method: "GE T" as "GET" }],
    ["a body that is no text", { method: "POST", body: 5 as unknown as string }],
    ["a lane that is none", { lane: "fast" as "main" }],
    ["a content type with a line break", { body: "x", contentType: "a\nb" }],
  ])("%s", async (_what, wrong) => {
    const server = await startRawServer(() => {});
    const clock = new FakeClock();
    const transport = startTransport(server.url, { clock });
    const exchange = await transport.request(get("/x", wrong));
    expect(summary(exchange)).toBe("notSent INVALID_REQUEST");
    expect(server.sockets).toHaveLength(0);
    expect(clock.pendingTimers).toBe(0);
  });

  test.each<[string, () => Record<string, string>]>([
    ["a value with a line break", () => ({ "x-authorization": "secret\r\nx: y" })],
    ["a value beyond Latin-1", () => ({ "x-authorization": "secret€" })],
    ["a value that is no text", () => ({ "x-authorization": 5 as unknown as string })],
    ["a name with a space", () => ({ "x y": "secret" })],
    ["a name the transport sets", () => ({ "Content-Length": "3" })],
    [
      "a throw",
      () => {
        throw new Error("no token");
      },
    ],
    [
      "a throw of nothing",
      () => {
        throw undefined;
      },
    ],
  ])("headers: %s", async (_what, headers) => {
    const server = await startRawServer(() => {});
    const transport = startTransport(server.url, { headers });
    const exchange = await transport.request(post());
    expect(summary(exchange)).toBe("notSent INVALID_REQUEST");
    expect(JSON.stringify(exchange)).not.toContain("secret");
    expect(server.sockets).toHaveLength(0);
  });

  test("however many requests are refused, the connections stay usable", async () => {
    const server = await startRawServer(({ socket }) => socket.write(answer("ok")));
    let value = "bad\n";
    const transport = startTransport(server.url, { maxConnectionsPerLane: 2, headers: () => ({ "x-a": value }) });
    const refused = await Promise.all(Array.from({ length: 20 }, () => transport.request(get())));
    expect(new Set(refused.map(summary))).toEqual(new Set(["notSent INVALID_REQUEST"]));
    value = "good";
    expect(summary(await transport.request(get()))).toBe("answered 200");
  });

  test("a request that undici alone refuses does not silt up the pool", async () => {
    const server = await startRawServer(({ socket }) => socket.write(answer("ok")));
    const transport = startTransport(server.url, { maxConnectionsPerLane: 2 });
    // An upgrade without a handler for it is what undici refuses and our own checks, being typed, do not see.
    const odd = get("/x", { method: "CONNECT" as "GET" });
    const refused = await Promise.all(Array.from({ length: 6 }, () => transport.request(odd)));
    expect(new Set(refused.map(summary))).toEqual(new Set(["notSent INVALID_REQUEST"]));
    expect(summary(await transport.request(get()))).toBe("answered 200");
  });

  test("a great many refused requests in the queue do not overflow the stack", async () => {
    const server = await startRawServer(({ socket, number }) => {
      if (number > 1) socket.write(answer("ok"));
    });
    let value = "good";
    const transport = startTransport(server.url, { maxConnectionsPerLane: 1, headers: () => ({ "x-a": value }) });
    const held = transport.request(get());
    const queued = Array.from({ length: 20_000 }, () => transport.request(get()));
    value = "bad\n";
    await expect.poll(() => server.requests.length).toBe(1);
    server.sockets[0]!.write(answer("ok"));
    expect(summary(await held)).toBe("answered 200");
    expect(new Set((await Promise.all(queued)).map(summary))).toEqual(new Set(["notSent INVALID_REQUEST"]));
  });
});
