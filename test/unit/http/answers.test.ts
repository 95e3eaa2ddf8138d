import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";

import { ConfigurationError } from "../../../src/base/errors.js";
import { createTransport } from "../../../src/http/transport.js";
import { FakeClock } from "../../support/time/fake-clock.js";
import { waitFor } from "../../support/time/wait-for.js";
import { answer, startRawServer } from "../../support/servers/raw-server.js";
import { get, post, startTransport, summary } from "../../support/unit/http.js";

describe("answers to the HTTP transport", () => {
  test("a GET and a POST go out as they should, below the path of the base URL", async () => {
    const server = await startRawServer(({ socket }) => socket.write(answer('{"a":1}')));
    const transport = startTransport(`${server.url}/api/`, { headers: () => ({ "X-Authorization": "t" }) });

    expect(await transport.request(get("/tasks?count=1", { lane: "poll" }))).toEqual({
      kind: "answered",
      status: 200,
      body: '{"a":1}',
      contentType: "application/json",
    });
    await transport.request(post("/tasks", '{"ä":1}'));
    await transport.request(post("/log", "plain", { contentType: "text/plain" }));
    await transport.request(get("/empty", { method: "PUT" }));

    const [first, second, third, fourth] = server.requests.map((request) => request.text);
    expect(first).toMatch(
      /^GET \/api\/tasks\?count=1 HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\nconnection: keep-alive\r\n/,
    );
    expect(first).toContain("X-Authorization: t\r\n");
    expect(first).not.toContain("content-type");
    expect(second).toMatch(/^POST \/api\/tasks HTTP/);
    expect(second).toContain("content-type: application/json\r\n");
    expect(second).toContain("content-length: 8\r\n");
    expect(Buffer.from(second!, "latin1").toString("utf8")).toMatch(/\r\n\r\n\{"ä":1\}$/);
    expect(third).toContain("content-type: text/plain\r\n");
    expect(fourth).toContain("content-length: 0\r\n");
  });

  test.each([
    ["application/json;charset=UTF-8", "application/json"],
    ["Text/HTML ; q=1", "text/html"],
    ["", ""],
  ])("content type %j is %j", async (header, expected) => {
    const server = await startRawServer(({ socket }) => socket.write(answer("x", [`Content-Type: ${header}`])));
    const transport = startTransport(server.url);
    expect(await transport.request(get())).toMatchObject({ contentType: expected });
  });

  test("an answer without a content type, and one without a body", async () => {
    const server = await startRawServer(({ socket }) => socket.write("HTTP/1.1 204 No Content\r\n\r\n"));
    const transport = startTransport(server.url);
    expect(await transport.request(post())).toEqual({ kind: "answered", status: 204, body: "", contentType: "" });
  });

  test("statuses are answers, and a redirect is not followed", async () => {
    const server = await startRawServer(({ socket, number }) =>
      socket.write(`HTTP/1.1 ${[302, 404, 503][number - 1]} X\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n`),
    );
    const transport = startTransport(server.url);
    const statuses = [];
    expect(await transport.request(get())).toMatchObject({ status: 302, location: "/y" });
    for (let i = 0; i < 2; i++) statuses.push(summary(await transport.request(get())));
    expect(statuses).toEqual(["answered 404", "answered 503"]);
    expect(server.requests).toHaveLength(3);
  });

  test("Retry-After in seconds and as a date, read against the time of day", async () => {
    const clock = new FakeClock({ wallStartMs: Date.UTC(2026, 0, 1, 12, 0, 0) });
    const values = ["3", "Thu, 01 Jan 2026 12:00:20 GMT", "later"];
    const server = await startRawServer(({ socket, number }) =>
      socket.write(answer("", [`Retry-After: ${values[number - 1]!}`])),
    );
    const transport = startTransport(server.url, { clock });
    expect(await transport.request(get())).toMatchObject({ retryAfterMs: 3_000 });
    expect(await transport.request(get())).toMatchObject({ retryAfterMs: 20_000 });
    expect(await transport.request(get())).not.toHaveProperty("retryAfterMs");
  });

  test("informational headers are skipped", async () => {
    const server = await startRawServer(({ socket }) => {
      socket.write("HTTP/1.1 103 Early Hints\r\ncontent-type: text/x\r\nretry-after: 9\r\n\r\n");
      socket.write(answer("ok", ["content-type: text/plain"]));
    });
    const transport = startTransport(server.url);
    expect(await transport.request(get())).toEqual({
      kind: "answered",
      status: 200,
      body: "ok",
      contentType: "text/plain",
    });
  });

  test("UTF-8 is decoded across the borders of chunks, wherever they fall", async () => {
    const text = "aä€😀𝄞z".repeat(3);
    const bytes = Buffer.from(text);
    const server = await startRawServer(({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      for (const byte of bytes) socket.write(Buffer.from([0x31, 0x0d, 0x0a, byte, 0x0d, 0x0a]));
      socket.write("0\r\n\r\n");
    });
    const transport = startTransport(server.url);
    expect(await transport.request(get())).toMatchObject({ kind: "answered", body: text });
  });

  test("a byte order mark is not part of the body", async () => {
    const server = await startRawServer(({ socket }) => socket.write(answer("\ufeff[1]")));
    const transport = startTransport(server.url);
    expect(await transport.request(get())).toMatchObject({ body: "[1]" });
  });

  test.each([
    ["gzip", gzipSync],
    ["X-GZIP", gzipSync],
    ["deflate", deflateSync],
    ["br", brotliCompressSync],
    ["identity", (bytes: string) => Buffer.from(bytes)],
  ] as const)("a body that a gateway has compressed unasked (%s) is read", async (coding, compress) => {
    const bytes = compress('["ä"]');
    const server = await startRawServer(({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: ${coding}\r\ncontent-length: ${bytes.length}\r\n\r\n`);
      socket.write(bytes);
    });
    const transport = startTransport(server.url);
    expect(await transport.request(get())).toMatchObject({ kind: "answered", status: 200, body: '["ä"]' });
  });

  test.each([
    ["unknown", "zstd2", Buffer.from("[]")],
    ["not what it says", "gzip", Buffer.from("[]")],
  ])("a compressed body that is %s is a malformed answer", async (_what, coding, bytes) => {
    const server = await startRawServer(({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: ${coding}\r\ncontent-length: ${bytes.length}\r\n\r\n`);
      socket.write(bytes);
    });
    const transport = startTransport(server.url);
    expect(summary(await transport.request(get()))).toBe("maybeApplied MALFORMED_RESPONSE");
  });

  test.each([
    ["of all requests", { maxBodyBytes: 1_999 }, {}],
    ["of its own request", {}, { maxBodyBytes: 1_999 }],
    ["of all requests, whatever its own allows", { maxBodyBytes: 1_999 }, { maxBodyBytes: 5_000 }],
  ])("a compressed body that is beyond the limit %s when it is unpacked is too large", async (_what, all, own) => {
    const bytes = gzipSync("x".repeat(2_000));
    const server = await startRawServer(({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${bytes.length}\r\n\r\n`);
      socket.write(bytes);
    });
    const transport = startTransport(server.url, all);
    expect(summary(await transport.request(get("/x", own)))).toBe("maybeApplied RESPONSE_TOO_LARGE");
  });

  test.each([
    ["of all requests", { maxBodyBytes: 1_999 }, {}],
    ["of its own request", {}, { maxBodyBytes: 1_999 }],
  ])("a body beyond the limit %s is given up, and its connection with it", async (_what, all, own) => {
    const server = await startRawServer(({ socket }) => socket.write(answer("x".repeat(2_000))));
    const transport = startTransport(server.url, all);
    expect(summary(await transport.request(get("/x", own)))).toBe("maybeApplied RESPONSE_TOO_LARGE");
    await waitFor(() => server.openConnections === 0, { what: "the connection to be closed" });
  });

  test("a limit of one request's own lets through what is as long as that, and leaves the others alone", async () => {
    const server = await startRawServer(({ socket }) => socket.write(answer("x".repeat(2_000))));
    const transport = startTransport(server.url);
    expect(summary(await transport.request(get("/x", { maxBodyBytes: 2_000 })))).toBe("answered 200");
    expect(summary(await transport.request(get()))).toBe("answered 200");
  });

  test("bytes that are not HTTP are a malformed answer", async () => {
    const recycled: unknown[] = [];
    const server = await startRawServer(({ socket }) => socket.write("SSH-2.0-OpenSSH_9.6\r\n"));
    const transport = startTransport(server.url, { onRecycled: (event) => recycled.push(event) });
    expect(summary(await transport.request(get()))).toBe("maybeApplied MALFORMED_RESPONSE");
    expect(recycled).toEqual([]);
  });

  test.each([
    ["ftp://host/api", "http://"],
    ["host:8080/api", "http://"],
    ["", "not a URL"],
    ["http://user:secret@host/api", "user name"],
    ["http://host/api?x=1", "query"],
  ])("the base URL %j is refused, and not quoted", (baseUrl, said) => {
    let error: unknown;
    try {
      createTransport({ baseUrl });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as Error).message).toContain(said);
    expect((error as Error).message).not.toContain("secret");
  });
});
