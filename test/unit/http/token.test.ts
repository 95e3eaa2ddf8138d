import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { authenticated } from "../../../src/http/authenticated-transport.js";
import type { Exchange, HttpRequest, Transport } from "../../../src/http/exchange.js";
import { asTokenFailure, redactor, Secret, type TokenEvent } from "../../../src/http/token.js";
import { FakeClock, settle } from "../../support/time/fake-clock.js";
import { get } from "../../support/unit/http.js";

const SECRET = 's3cr3t"&ü';

const answered = (status: number, body = "", more: object = {}): Exchange => ({
  kind: "answered",
  status,
  body,
  contentType: "application/json",
  ...more,
});
const tokenAnswer = (token: string) => answered(200, JSON.stringify({ token }));
const expired = answered(401, '{"status":401,"error":"EXPIRED_TOKEN"}');

/** A JWT that lives for so many seconds, by a clock of the server's own. */
const jwt = (name: string, lifetimeSeconds: number) =>
  `${name}.${Buffer.from(JSON.stringify({ iat: 5_000, exp: 5_000 + lifetimeSeconds })).toString("base64url")}.x`;

type Answer = Exchange | Promise<Exchange>;

/** An authenticated transport over answers that a test gives by hand. */
function createWorld(script: { token: (n: number) => Answer; other?: (request: HttpRequest) => Answer }) {
  const clock = new FakeClock();
  const tokenRequests: HttpRequest[] = [];
  const others: HttpRequest[] = [];
  const events: TokenEvent[] = [];
  const plain: Transport = {
    request: async (request) => {
      if (request.path === "/token") {
        tokenRequests.push(request);
        return script.token(tokenRequests.length);
      }
      others.push(request);
      return (script.other ?? (() => answered(200, "done")))(request);
    },
    close: async () => {},
  };
  const transport = authenticated(plain, {
    credentials: { keyId: "key", keySecret: new Secret(SECRET) },
    clock,
    requestTimeoutMs: 10_000,
    onTokenEvent: (event) => {
      events.push(event);
      throw new Error("a listener that fails");
    },
  });
  const send = (options: Partial<HttpRequest> = {}) => transport.request(get("/x", { deadlineMs: 10_000, ...options }));
  return { clock, tokenRequests, others, events, transport, send };
}

describe("the authenticated transport", () => {
  describe("a token", () => {
    test("is asked for once, and goes with every request", async () => {
      const world = createWorld({ token: () => tokenAnswer("t1") });
      const all = await Promise.all(Array.from({ length: 20 }, () => world.send()));
      expect(all.every((exchange) => exchange.kind === "answered" && exchange.body === "done")).toBe(true);
      expect(world.tokenRequests).toMatchObject([
        { method: "POST", lane: "main", deadlineMs: 10_000, body: JSON.stringify({ keyId: "key", keySecret: SECRET }) },
      ]);
      expect(world.tokenRequests[0]).not.toHaveProperty("token");
      expect(world.others.map(({ token }) => token)).toEqual(Array(20).fill("t1"));
      expect(world.clock.pendingTimers).toBe(0);
    });

    test("that lives five minutes is replaced in the background after four, and nobody waits for it", async () => {
      let answerSecond: (exchange: Exchange) => void = () => {};
      const second = new Promise<Exchange>((resolve) => (answerSecond = resolve));
      const world = createWorld({ token: (n) => (n === 1 ? tokenAnswer(jwt("t1", 300)) : second) });
      await world.send();
      await world.clock.advanceAsync(239_000);
      await world.send();
      expect(world.tokenRequests).toHaveLength(1);
      await world.clock.advanceAsync(1_000);
      await world.send();
      await world.send();
      expect(world.tokenRequests).toHaveLength(2);
      expect(world.others.at(-1)!.token).toBe(jwt("t1", 300));
      answerSecond(tokenAnswer("t2"));
      await settle();
      await world.send();
      expect(world.others.at(-1)!.token).toBe("t2");
      expect(world.tokenRequests).toHaveLength(2);
    });

    test("without a lifetime of its own is replaced after 36 minutes", async () => {
      const world = createWorld({ token: (n) => tokenAnswer(`t${n}`) });
      await world.send();
      await world.clock.advanceAsync(36 * 60_000 - 1);
      await world.send();
      expect(world.tokenRequests).toHaveLength(1);
      await world.clock.advanceAsync(1);
      await world.send();
      expect(world.tokenRequests).toHaveLength(2);
    });

    test.each([
      ["503", answered(503)],
      ["404", answered(404, '{"status":404,"message":"No static resource api/token."}')],
      ["400", answered(400, "{}")],
      ["HTML", answered(200, "<html>")],
      ["nothing", { kind: "maybeApplied", fault: { code: "DEADLINE_EXCEEDED", message: "late" } } as const],
    ])(
      "is kept when replacing it in the background fails (%s), and that is tried again, with pauses",
      async (_what, failure) => {
        const world = createWorld({
          token: (n) => (n === 1 ? tokenAnswer(jwt("t1", 300)) : n < 5 ? failure : tokenAnswer("t2")),
        });
        await world.send();
        await world.clock.advanceAsync(240_000);
        for (let second = 0; second < 60; second++) {
          for (let i = 0; i < 5; i++) expect(await world.send()).toMatchObject({ status: 200 });
          await world.clock.advanceAsync(1_000);
        }
        expect(world.others.slice(0, 200).every(({ token }) => token === jwt("t1", 300))).toBe(true);
        expect(world.others.at(-1)!.token).toBe("t2");
        expect(world.tokenRequests).toHaveLength(5);
        expect(world.events.map(({ kind }) => kind)).toEqual(["obtained", "failed", "failed", "failed", "obtained"]);
      },
    );

    test("whose lifetime is nonsense does not make a storm of requests", async () => {
      const world = createWorld({ token: (n) => tokenAnswer(jwt(`t${n}`, -1_000_000)) });
      for (let i = 0; i < 100; i++) {
        await world.send();
        await world.clock.advanceAsync(100);
      }
      expect(world.tokenRequests.length).toBeLessThanOrEqual(2);
    });
  });

  describe("a request that is refused for its token", () => {
    test("is sent once more with a new one, inside its own deadline", async () => {
      const world = createWorld({
        token: (n) => tokenAnswer(`t${n}`),
        other: ({ token }) => {
          world.clock.advance(1_000);
          return token === "t1" ? expired : answered(200, "done");
        },
      });
      expect(await world.send()).toMatchObject({ status: 200 });
      expect(world.others.map(({ token, deadlineMs }) => [token, deadlineMs])).toEqual([
        ["t1", 10_000],
        ["t2", 9_000],
      ]);
    });

    test("again is not sent a third time", async () => {
      const world = createWorld({ token: (n) => tokenAnswer(`t${n}`), other: () => expired });
      expect(await world.send()).toMatchObject({ status: 401 });
      expect(world.others).toHaveLength(2);
      expect(world.tokenRequests).toHaveLength(2);
    });

    test("that was replaced meanwhile goes again without asking", async () => {
      const held: ((exchange: Exchange) => void)[] = [];
      const world = createWorld({
        token: (n) => tokenAnswer(`t${n}`),
        other: ({ token }) =>
          token === "t1" ? new Promise<Exchange>((resolve) => held.push(resolve)) : answered(200, "done"),
      });
      const first = world.send();
      const second = world.send();
      await settle();
      held[0]!(expired);
      expect(await first).toMatchObject({ status: 200 });
      held[1]!(expired);
      expect(await second).toMatchObject({ status: 200 });
      expect(world.tokenRequests).toHaveLength(2);
    });

    test("ends as it was refused when no token comes", async () => {
      const world = createWorld({ token: (n) => (n === 1 ? tokenAnswer("t1") : answered(503)), other: () => expired });
      expect(await world.send()).toMatchObject({ status: 401, body: expect.stringContaining("EXPIRED_TOKEN") });
      expect(world.others).toHaveLength(1);
      // A token that the server has called dead is not sent again.
      expect(await world.send()).toMatchObject({ status: 503 });
      expect(world.others).toHaveLength(1);
    });

    test("by somebody who does not say so costs a request for a token, and not the token", async () => {
      let isAstray = true;
      const world = createWorld({
        token: (n) => (n === 1 ? tokenAnswer("t1") : answered(401, "<html>")),
        other: () => (isAstray ? answered(401, "<html>") : answered(200, "done")),
      });
      expect(await world.send()).toMatchObject({ status: 401, body: "<html>" });
      expect(world.tokenRequests).toHaveLength(2);
      isAstray = false;
      expect(await world.send()).toMatchObject({ status: 200 });
    });

    test.each([
      ["somebody who does not say so", answered(401, "<html>"), { isRepeated: true }],
      ["Conductor, which has done nothing then", expired, {}],
    ])("by %s: what it may have done is not forgotten when it is sent again", async (_name, refusal, more) => {
      const world = createWorld({
        token: (n) => tokenAnswer(`t${n}`),
        other: ({ token }) => (token === "t1" ? refusal : answered(200, "done")),
      });
      expect(await world.send()).toEqual({ ...answered(200, "done"), ...more });
    });

    test("by somebody who does not say so: what must not be done twice is not sent again, and the next has another token", async () => {
      const world = createWorld({
        token: (n) => tokenAnswer(`t${n}`),
        other: ({ token }) => (token === "t1" ? answered(401, "<html>") : answered(200, "done")),
      });
      expect(await world.send({ isOnce: true })).toEqual(answered(401, "<html>"));
      expect(world.others.map(({ token }) => token)).toEqual(["t1"]);
      expect(await world.send({ isOnce: true })).toEqual(answered(200, "done"));
      expect(world.others.map(({ token }) => token)).toEqual(["t1", "t2"]);
    });

    test("by Conductor: what must not be done twice is sent again, for nothing was done", async () => {
      const world = createWorld({
        token: (n) => tokenAnswer(`t${n}`),
        other: ({ token }) => (token === "t1" ? expired : answered(200, "done")),
      });
      expect(await world.send({ isOnce: true })).toEqual(answered(200, "done"));
    });

    test.each([
      ["403 without those words", answered(403, '{"message":"no rights"}')],
      ["400 with them", answered(400, '"EXPIRED_TOKEN"')],
      ["200 with them", answered(200, '"EXPIRED_TOKEN"')],
    ])("is not one with %s", async (_what, exchange) => {
      const world = createWorld({ token: () => tokenAnswer("t1"), other: () => exchange });
      expect(await world.send()).toEqual(exchange);
      expect(world.tokenRequests).toHaveLength(1);
    });
  });

  describe("waiting for a token", () => {
    const never = new Promise<Exchange>(() => {});

    test("ends with the deadline of the request, which was not sent", async () => {
      const world = createWorld({ token: () => never });
      const waiting = world.send({ deadlineMs: 3_000 });
      await world.clock.advanceAsync(3_000);
      expect(await waiting).toMatchObject({ kind: "notSent", fault: { code: "DEADLINE_EXCEEDED" } });
      expect(world.others).toHaveLength(0);
    });

    test("leaves a poll the time for which it is held", async () => {
      let answerToken: (exchange: Exchange) => void = () => {};
      const world = createWorld({ token: () => new Promise<Exchange>((resolve) => (answerToken = resolve)) });
      const early = world.send({ lane: "poll", deadlineMs: 12_000 });
      await world.clock.advanceAsync(4_900);
      const late = world.send({ lane: "poll", deadlineMs: 12_000 });
      await world.clock.advanceAsync(100);
      expect(await early).toMatchObject({ kind: "notSent", fault: { code: "DEADLINE_EXCEEDED" } });
      await world.clock.advanceAsync(4_800);
      answerToken(tokenAnswer("t1"));
      expect(await late).toMatchObject({ status: 200 });
      expect(world.others.map(({ deadlineMs }) => deadlineMs)).toEqual([12_000 - 4_900]);
    });

    test("for a poll that is refused late is not begun", async () => {
      const world = createWorld({
        token: (n) => tokenAnswer(`t${n}`),
        other: () => {
          world.clock.advance(5_000);
          return expired;
        },
      });
      expect(await world.send({ lane: "poll", deadlineMs: 12_000 })).toMatchObject({ status: 401 });
      expect(world.tokenRequests).toHaveLength(1);
    });
  });

  describe("a server without a token endpoint", () => {
    const notFound = answered(404, '{"status":404,"message":"No static resource api/token."}');

    test("is talked to without a token, until it answers 401", async () => {
      let wantsToken = false;
      const world = createWorld({
        token: (n) => (n < 3 ? notFound : tokenAnswer("t1")),
        other: ({ token }) => (wantsToken && token === undefined ? answered(401) : answered(200)),
      });
      for (let i = 0; i < 5; i++) await world.send();
      expect(world.tokenRequests).toHaveLength(1);
      expect(world.others.every((request) => !("token" in request))).toBe(true);
      wantsToken = true;
      expect(await world.send()).toMatchObject({ status: 401 });
      expect(world.tokenRequests).toHaveLength(2);
      expect(await world.send()).toMatchObject({ status: 200 });
      await world.send();
      expect(world.tokenRequests).toHaveLength(3);
      expect(world.others.at(-1)!.token).toBe("t1");
    });
  });

  describe("a 404 for the token of a server that has tokens", () => {
    test.each([401, 403])("is over with the first request that is refused for want of one (%i)", async (status) => {
      const world = createWorld({
        token: (n) => (n === 1 ? answered(404, "<html>") : tokenAnswer("t1")),
        other: ({ token }) => answered(token === undefined ? status : 200),
      });
      await world.clock.advanceAsync(10_000);
      const first = await world.send();
      await world.clock.advanceAsync(1_000);
      expect(await world.send()).toMatchObject({ status: 200 });
      expect([status, 200]).toContain((first as { status: number }).status);
      expect(world.tokenRequests).toHaveLength(2);
    });

    test("is over by itself where nothing is refused", async () => {
      const world = createWorld({ token: (n) => (n < 4 ? answered(404) : tokenAnswer("t1")) });
      for (let i = 0; i < 60; i += 1) {
        await world.send();
        await world.clock.advanceAsync(1_000);
      }
      expect(world.others.at(-1)!.token).toBe("t1");
      expect(world.events.map(({ kind }) => kind)).toEqual(["anonymous", "obtained"]);
    });

    test("does not have a token asked for with each request that is refused for its rights", async () => {
      const world = createWorld({ token: () => answered(404), other: () => answered(403) });
      for (let i = 0; i < 100; i += 1) {
        expect(await world.send()).toMatchObject({ status: 403 });
        await world.clock.advanceAsync(100);
      }
      expect(world.tokenRequests.length).toBeLessThanOrEqual(11);
    });
  });

  describe("a request that gets no token", () => {
    const redact = redactor(SECRET);

    test.each([
      [answered(401, "<html>"), { kind: "answered", status: 401 }],
      [
        answered(400, '{"message":"bad key"}'),
        { kind: "answered", status: 401, body: expect.stringContaining("HTTP 400: bad key") },
      ],
      [answered(403), { kind: "answered", status: 401 }],
      [answered(409), { kind: "answered", status: 401 }],
      [answered(500, '{"message":"boom","retryable":false}'), { kind: "answered", status: 503 }],
      [answered(503, "", { retryAfterMs: 7_000 }), { kind: "answered", status: 503, retryAfterMs: 7_000 }],
      [answered(429), { kind: "answered", status: 503 }],
      [answered(200, "<html>"), { kind: "notSent", fault: { code: "MALFORMED_RESPONSE" } }],
      [answered(200, '{"token":"a b"}'), { kind: "notSent", fault: { code: "MALFORMED_RESPONSE" } }],
      [answered(302), { kind: "notSent", fault: { code: "MALFORMED_RESPONSE" } }],
      [
        { kind: "maybeApplied", fault: { code: "CONNECTION_LOST", message: "m", cause: SECRET } } as const,
        { kind: "notSent", fault: { code: "CONNECTION_LOST" } },
      ],
      [
        { kind: "notSent", fault: { code: "CLOSED", message: "m" } } as const,
        { kind: "notSent", fault: { code: "CLOSED" } },
      ],
    ])("ends in what cannot be taken for an answer to it: %#", async (exchange, expected) => {
      const failure = asTokenFailure(exchange, redact);
      expect(failure.exchange).toMatchObject(expected);
      expect(failure.message).toContain("no token");
      const world = createWorld({ token: () => exchange });
      expect(await world.send()).toMatchObject(expected);
      expect(world.others).toHaveLength(0);
      expect(inspect([failure, world.events], { depth: null })).not.toContain(SECRET);
    });
  });

  describe("secrets", () => {
    const shows = (value: unknown) =>
      [
        inspect(value, { depth: Infinity, showHidden: true }),
        inspect(value, { depth: Infinity, showHidden: true, customInspect: false }),
        JSON.stringify(value),
        String(value),
      ].join("\n");

    test("are shown by nothing", async () => {
      const secret = new Secret(SECRET);
      expect(shows({ secret }) + String(secret)).not.toContain("s3cr3t");
      expect(secret.reveal()).toBe(SECRET);
      const world = createWorld({ token: () => tokenAnswer("t0k3n") });
      await world.send();
      expect(shows(world.transport)).not.toMatch(/s3cr3t|t0k3n/);
    });

    test("are taken out of what the server says, in every form", async () => {
      const quoted = { message: `no such key: ${SECRET}, ${encodeURIComponent(SECRET)}` };
      const world = createWorld({ token: () => answered(401, JSON.stringify(quoted)) });
      const exchange = await world.send();
      expect(exchange).toMatchObject({ body: expect.stringContaining("no such key: [secret], [secret]") });
      expect(shows([exchange, world.events])).not.toContain("s3cr3t");
      expect(redactor(SECRET)(JSON.stringify([SECRET]))).toBe('["[secret]"]');
      expect(redactor("")("text")).toBe("text");
      expect(redactor("\ud800")("a\ud800b")).toBe("a[secret]b");
    });

    test("are taken out of refusals that quote the token", async () => {
      const world = createWorld({
        token: () => tokenAnswer("t0k3n"),
        other: () => answered(403, '{"message":"t0k3n may not do that"}'),
      });
      expect(await world.send()).toMatchObject({ body: '{"message":"[secret] may not do that"}' });
    });
  });
});
