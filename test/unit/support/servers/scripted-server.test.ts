import net from "node:net";
import { http, HttpResponse } from "msw";
import { Pool } from "undici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startScriptedServer, type ScriptedServer } from "../../../support/servers/scripted-server.js";
import { waitFor } from "../../../support/time/wait-for.js";

let server: ScriptedServer;
let pool: Pool;

describe("the scripted server", () => {
  beforeEach(async () => {
    server = await startScriptedServer([http.get("/hello", () => HttpResponse.json({ hello: "world" }))]);
    pool = new Pool(server.url, { connections: 4, pipelining: 1 });
  });

  afterEach(async () => {
    await pool.destroy();
    await server.close();
  });

  async function get(path: string) {
    const response = await pool.request({ method: "GET", path });
    return { status: response.statusCode, headers: response.headers, body: await response.body.text() };
  }

  function post(path: string, body: string | Buffer, headers: Record<string, string | string[]> = {}) {
    return pool.request({ method: "POST", path, body, headers });
  }

  /** How a request failed; fails itself when the request did not. */
  async function failure(request: Promise<unknown>): Promise<string> {
    const outcome = await request.then(
      () => new Error("the request was answered"),
      (error: unknown) => error as NodeJS.ErrnoException,
    );
    if (!("code" in outcome)) throw outcome;
    return String(outcome.code);
  }

  describe("the script", () => {
    test("answers undici's Pool over a socket and logs what came", async () => {
      server.use(
        http.post("*/echo/:id", async ({ request, params }) =>
          HttpResponse.json({ id: params.id, body: await request.text(), type: request.headers.get("content-type") }),
        ),
      );
      const response = await post("/echo/a%20b?x=1&x=2&y=", '{"grüße":"你好"}', { "content-type": "application/json" });
      expect(await response.body.json()).toEqual({ id: "a b", body: '{"grüße":"你好"}', type: "application/json" });
      const [logged] = server.requests;
      expect(logged).toMatchObject({ method: "POST", path: "/echo/a%20b", outcome: "answered", status: 200 });
      expect(logged).toMatchObject({ connectionId: 1, abandoned: false, handlerError: undefined });
      expect(logged!.query.getAll("x")).toEqual(["1", "2"]);
      expect(logged!.query.get("y")).toBe("");
      expect(logged!.json()).toEqual({ grüße: "你好" });
      expect(logged!.receivedAtMs).toBeLessThanOrEqual(performance.now());
    });

    test("carries request bodies byte by byte and repeated headers", async () => {
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
      let seen: Uint8Array | undefined;
      server.use(
        http.post("/bytes", async ({ request }) => {
          seen = new Uint8Array(await request.arrayBuffer());
          return new HttpResponse(null, { status: 200 });
        }),
      );
      await (await post("/bytes", bytes, { "x-several": ["one", "two"] })).body.dump();
      expect(Buffer.from(seen!)).toEqual(bytes);
      expect(server.requests[0]!.headers.get("x-several")).toBe("one, two");
    });

    test("carries status text, several values of a header, and no content type", async () => {
      server.use(
        http.get("/bare", () => {
          const response = new HttpResponse(new TextEncoder().encode("plain"), {
            status: 418,
            statusText: "Short and stout",
          });
          response.headers.append("set-cookie", "a=1");
          response.headers.append("set-cookie", "b=2");
          response.headers.append("x-several", "one");
          response.headers.append("x-several", "two");
          return response;
        }),
      );
      const { statusCode, statusText, headers, body } = await pool.request({ method: "GET", path: "/bare" });
      expect([statusCode, statusText]).toEqual([418, "Short and stout"]);
      expect(headers["set-cookie"]).toEqual(["a=1", "b=2"]);
      expect(headers["x-several"]).toBe("one, two");
      expect(headers["content-type"]).toBeUndefined();
      expect(headers["keep-alive"]).toBeUndefined();
      expect(await body.text()).toBe("plain");
    });

    test("carries 204, an empty 200 and an HTML 200", async () => {
      server.use(
        http.get("/none", () => new HttpResponse(null, { status: 204 })),
        http.get("/empty", () => new HttpResponse(null, { status: 200 })),
        http.get("/html", () => HttpResponse.html("<p>Sign in</p>")),
      );
      expect(await get("/none")).toMatchObject({ status: 204, body: "" });
      expect(await get("/empty")).toMatchObject({ status: 200, body: "", headers: { "content-length": "0" } });
      expect(await get("/html")).toMatchObject({
        status: 200,
        body: "<p>Sign in</p>",
        headers: { "content-type": "text/html" },
      });
      // An empty answer ended properly: the connection was used again.
      expect(server.connections).toBeLessThanOrEqual(2);
    });

    test("streams a body as it is written", async () => {
      let finish: (() => void) | undefined;
      server.use(
        http.get("/stream", () => {
          const body = new ReadableStream<Uint8Array>({
            start(controller) {
              controller.enqueue(new TextEncoder().encode("first"));
              finish = () => {
                controller.enqueue(new TextEncoder().encode(" last"));
                controller.close();
              };
            },
          });
          return new HttpResponse(body);
        }),
      );
      const { body } = await pool.request({ method: "GET", path: "/stream" });
      let text = "";
      for await (const chunk of body) {
        text += String(chunk);
        if (text === "first") finish!();
      }
      expect(text).toBe("first last");
    });

    test("answers 501 to what it does not know, and records it", async () => {
      expect((await get("/unknown")).status).toBe(501);
      expect(server.requests[0]).toMatchObject({ path: "/unknown", outcome: "unhandled", status: 501 });
    });

    test("answers 500 when a handler throws, and keeps the error", async () => {
      server.use(
        http.get("/broken", () => {
          throw new Error("a script with a bug");
        }),
      );
      expect((await get("/broken")).status).toBe(500);
      expect(server.requests[0]!.handlerError).toEqual(new Error("a script with a bug"));
    });

    test("resets the connection for HttpResponse.error()", async () => {
      server.use(http.get("/error", () => HttpResponse.error()));
      expect(await failure(get("/error"))).toBe("ECONNRESET");
      expect(server.requests[0]!.outcome).toBe("dropped");
    });

    test("use puts handlers in front, once; reset takes them away again", async () => {
      server.use(http.get("/hello", () => HttpResponse.text("once"), { once: true }));
      expect((await get("/hello")).body).toBe("once");
      expect((await get("/hello")).body).toBe('{"hello":"world"}');
      server.use(http.get("/hello", () => HttpResponse.text("in front")));
      expect((await get("/hello")).body).toBe("in front");
      server.reset();
      expect((await get("/hello")).body).toBe('{"hello":"world"}');
      server.reset(http.get("/other", () => HttpResponse.text("other")));
      expect((await get("/hello")).status).toBe(501);
      expect((await get("/other")).body).toBe("other");
    });

    test("marks a request that its client gave up", async () => {
      server.use(http.get("/held", () => new Promise(() => {})));
      const abort = new AbortController();
      const given = failure(pool.request({ method: "GET", path: "/held", signal: abort.signal }));
      await server.waitFor((request) => request.path === "/held");
      abort.abort();
      await given;
      await server.waitFor((request) => request.abandoned);
      expect(server.requests[0]!.outcome).toBe("pending");
    });
  });

  describe("waitFor", () => {
    test("finds old requests, or only new ones", async () => {
      await get("/hello");
      const old = await server.waitFor((request) => request.path === "/hello");
      const next = server.waitFor((request) => request.path === "/hello", { after: server.requests.length });
      await get("/hello");
      expect(await next).not.toBe(old);
    });

    test("fails at its bound with what came instead", async () => {
      await get("/hello");
      const waiting = server.waitFor((request) => request.path === "/bye", { boundMs: 20, what: "a farewell" });
      await expect(waiting).rejects.toThrow(/not within 20 ms: a farewell; 1 requests came:\n {2}GET \/hello/);
    });

    test("passes on what its predicate throws", async () => {
      await get("/hello");
      await expect(server.waitFor((request) => request.json() !== null)).rejects.toThrow(SyntaxError);
    });
  });

  describe("faults", () => {
    test("silent: reads requests, answers none; heals for new ones", async () => {
      await server.fault("silent");
      let settled = false;
      const silenced = get("/hello").finally(() => (settled = true));
      silenced.catch(() => {});
      await server.waitFor((request) => request.outcome === "silenced");
      await server.fault("none");
      expect((await get("/hello")).status).toBe(200);
      expect(settled).toBe(false);
    });

    test("silent: also meets a request that is being held", async () => {
      let answer: (() => void) | undefined;
      server.use(
        http.get(
          "/held",
          () =>
            new Promise<Response>(
              (done) =>
                (answer = () => {
                  done(HttpResponse.text("late"));
                }),
            ),
        ),
      );
      get("/held").catch(() => {});
      await waitFor(() => answer, { what: "the handler to hold" });
      await server.fault("silent");
      answer!();
      await server.waitFor((request) => request.outcome === "silenced");
    });

    test.each([
      ["close", "UND_ERR_SOCKET"],
      ["reset", "ECONNRESET"],
    ] as const)("%s: ends open connections and each new one", async (mode, code) => {
      await get("/hello");
      expect(server.openConnections).toBe(1);
      await server.fault(mode);
      await waitFor(() => server.openConnections === 0, { what: "the open connection to end" });
      expect(await failure(get("/hello"))).toMatch(new RegExp(`^(${code}|ECONNRESET)$`));
      expect(server.requests).toHaveLength(1);
      await server.fault("none");
      expect((await get("/hello")).status).toBe(200);
    });

    test("close with `when` and `times`: only those requests, and handlers do not see them", async () => {
      let handled = 0;
      server.use(http.get("/counted", () => HttpResponse.text(String(++handled))));
      await server.fault("close", { when: (request) => request.path === "/counted", times: 2 });
      expect((await get("/hello")).status).toBe(200);
      expect(await failure(get("/counted"))).toBe("UND_ERR_SOCKET");
      expect(await failure(get("/counted"))).toBe("UND_ERR_SOCKET");
      expect(await get("/counted")).toMatchObject({ body: "1" });
    });

    test("dropAnswer: the handler ran, the answer is lost", async () => {
      let handled = 0;
      server.use(http.post("/apply", () => HttpResponse.text(String(++handled))));
      await server.fault("dropAnswer", { times: 1 });
      expect(await failure(post("/apply", "x"))).toBe("ECONNRESET");
      expect(handled).toBe(1);
      expect(await (await post("/apply", "x")).body.text()).toBe("2");
    });

    test("drip: the body comes byte by byte", async () => {
      await server.fault("drip", { intervalMs: 1 });
      const { body } = await pool.request({ method: "GET", path: "/hello" });
      const chunks: string[] = [];
      for await (const chunk of body) chunks.push(String(chunk));
      expect(chunks.join("")).toBe('{"hello":"world"}');
      expect(chunks.length).toBeGreaterThan(1);
    });

    test("drip: ends when the client leaves", async () => {
      await server.fault("drip", { intervalMs: 60_000 });
      const abort = new AbortController();
      const { body } = await pool.request({ method: "GET", path: "/hello", signal: abort.signal });
      abort.abort();
      await expect(body.text()).rejects.toThrow();
      await server.waitFor((request) => request.abandoned);
    });

    test("cut: the connection closes in the middle of the body", async () => {
      await server.fault("cut", { afterBytes: 5 });
      const { statusCode, headers, body } = await pool.request({ method: "GET", path: "/hello" });
      expect(statusCode).toBe(200);
      expect(headers["content-length"]).toBe("17");
      let text = "";
      await expect(
        (async () => {
          for await (const chunk of body) text += String(chunk);
        })(),
      ).rejects.toThrow();
      expect(text).toBe('{"hel');
      await server.waitFor((request) => request.outcome === "dropped");
    });

    test("refuse: nobody listens, then the same port answers again", async () => {
      await get("/hello");
      await server.fault("refuse");
      await waitFor(() => server.openConnections === 0, { what: "the open connection to end" });
      const refused = await new Promise<NodeJS.ErrnoException>((resolve) => {
        net.connect(server.port, "127.0.0.1").once("error", resolve);
      });
      expect(refused.code).toBe("ECONNREFUSED");
      await server.fault("none");
      expect((await get("/hello")).status).toBe(200);
      await expect(server.fault("refuse", { times: 1 })).rejects.toThrow(TypeError);
    });

    test("close() ends what is held and silent", async () => {
      server.use(http.get("/held", () => new Promise(() => {})));
      const held = failure(get("/held"));
      await server.waitFor((request) => request.path === "/held");
      await server.close();
      expect(await held).toBe("UND_ERR_SOCKET");
      expect(server.openConnections).toBe(0);
    });
  });
});
