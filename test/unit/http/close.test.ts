import { describe, expect, test } from "vitest";

import { FakeClock, settle } from "../../support/time/fake-clock.js";
import { waitFor } from "../../support/time/wait-for.js";
import { answer, startRawServer, type RawRequest } from "../../support/servers/raw-server.js";
import { get, post, startTransport, summary } from "../../support/unit/http.js";

const onlyHeld = ({ socket, line }: RawRequest) => {
  if (!line.endsWith("/held")) socket.write(answer("ok"));
};

describe("closing the HTTP transport", () => {
  test("what is under way finishes, what waits and what comes is refused, and no socket is left", async () => {
    const clock = new FakeClock();
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url, { clock, maxConnectionsPerLane: 1 });
    const held = transport.request(get("/held"));
    const queued = [transport.request(post("/a")), transport.request(post("/b"))];
    await waitFor(() => server.requests.length === 1, { what: "the held request" });

    let closed = false;
    const closing = transport.close().then(() => (closed = true));
    expect((await Promise.all(queued)).map(summary)).toEqual(["notSent CLOSED", "notSent CLOSED"]);
    expect(summary(await transport.request(get()))).toBe("notSent CLOSED");
    await settle();
    expect(closed).toBe(false);

    server.sockets[0]!.write(answer("late"));
    expect(await held).toMatchObject({ kind: "answered", body: "late" });
    await closing;
    await waitFor(() => server.openConnections === 0, { what: "every socket to be closed" });
    expect(server.requests).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
  });

  test("a request that never ends ends at its deadline, and so does close()", async () => {
    const clock = new FakeClock();
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url, { clock });
    const held = transport.request(get("/held", { deadlineMs: 1_000 }));
    await waitFor(() => server.requests.length === 1, { what: "the held request" });
    const closing = transport.close();
    clock.advance(1_000);
    expect(summary(await held)).toBe("maybeApplied DEADLINE_EXCEEDED");
    await closing;
  });

  test("a request that is being connected is sent after all", async () => {
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url);
    const exchange = transport.request(get());
    await transport.close();
    expect(summary(await exchange)).toBe("answered 200");
  });

  test("older connections are waited for as well", async () => {
    const clock = new FakeClock();
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url, { clock, maxConnectionAgeMs: 1_000 });
    const held = transport.request(get("/held", { deadlineMs: 60_000 }));
    await waitFor(() => server.requests.length === 1, { what: "the held request" });
    clock.advance(1_000);
    await transport.request(get());
    let closed = false;
    const closing = transport.close().then(() => (closed = true));
    await waitFor(() => server.sockets[1]!.destroyed, { what: "the idle connection to be closed" });
    expect(closed).toBe(false);
    server.sockets[0]!.write(answer("late"));
    expect(summary(await held)).toBe("answered 200");
    await closing;
  });

  test("closing twice is closing once; closing before any request works", async () => {
    const transport = startTransport("http://127.0.0.1:1");
    const first = transport.close();
    expect(transport.close()).toBe(first);
    await first;
    await transport.close();
    expect(summary(await transport.request(get()))).toBe("notSent CLOSED");
  });

  test("a deadline after close() swaps nothing", async () => {
    const clock = new FakeClock();
    const recycled: unknown[] = [];
    const server = await startRawServer(onlyHeld);
    const transport = startTransport(server.url, { clock, onRecycled: (event) => recycled.push(event) });
    const held = transport.request(get("/held", { deadlineMs: 10 }));
    await waitFor(() => server.requests.length === 1, { what: "the held request" });
    const closing = transport.close();
    clock.advance(10);
    await held;
    await closing;
    expect(recycled).toEqual([]);
  });
});
