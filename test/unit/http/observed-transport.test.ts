import { describe, expect, test } from "vitest";
import type { Exchange, HttpRequest, Transport } from "../../../src/http/exchange.js";
import { observed } from "../../../src/http/observed-transport.js";
import { FakeClock } from "../../support/time/fake-clock.js";

const request = (path: string): HttpRequest => ({
  lane: "main",
  method: "GET",
  path,
  pathTemplate: path,
  deadlineMs: 1_000,
});
const answered: Exchange = { kind: "answered", status: 200, body: "", contentType: "" };

function pendingTransport() {
  const ends = new Map<string, { resolve: (exchange: Exchange) => void; reject: (error: Error) => void }>();
  const transport: Transport = {
    request: ({ path }) =>
      new Promise((resolve, reject) => {
        ends.set(path, { resolve, reject });
      }),
    close: () => Promise.resolve(),
  };
  return { transport, end: (path: string) => ends.get(path)! };
}

describe("the observed transport", () => {
  test("tells how each request ended and how long it took", async () => {
    const clock = new FakeClock();
    const { transport, end } = pendingTransport();
    const seen: unknown[] = [];
    const watched = observed(transport, clock, ({ path }, exchange, durationMs) =>
      seen.push([path, exchange, durationMs]),
    );
    const reply = watched.request(request("/a"));
    await clock.advanceAsync(40);
    end("/a").resolve(answered);
    expect(await reply).toBe(answered);
    expect(seen).toEqual([["/a", answered, 40]]);
  });

  test("knows the oldest request that has not ended, as the same object each time", async () => {
    const { transport, end } = pendingTransport();
    const watched = observed(transport, new FakeClock());
    expect(watched.oldest()).toBeUndefined();
    const first = watched.request(request("/first"));
    const second = watched.request(request("/second"));
    const oldest = watched.oldest();
    expect(oldest?.request.path).toBe("/first");
    expect(watched.oldest()).toBe(oldest);
    end("/first").resolve(answered);
    await first;
    expect(watched.oldest()?.request.path).toBe("/second");
    end("/second").reject(new Error("a bug"));
    await expect(second).rejects.toThrow("a bug");
    expect(watched.oldest()).toBeUndefined();
  });
});
