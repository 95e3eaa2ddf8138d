import { inspect } from "node:util";
import { http, HttpResponse } from "msw";
import { describe, expect, test, type TestContext } from "vitest";
import { authenticated } from "../../src/http/authenticated-transport.js";
import type { Exchange, HttpRequest } from "../../src/http/exchange.js";
import { Secret } from "../../src/http/token.js";
import { createTransport } from "../../src/http/transport.js";
import { createConductorClient, defineWorker, TaskHandler, type Logger } from "../../src/index.js";
import { makeTask, startConductorStub, type ServedConductorStub } from "../support/servers/conductor-stub.js";
import { FakeClock } from "../support/time/fake-clock.js";
import { waitFor } from "../support/time/wait-for.js";

const AUTH = { keyId: "the-key", keySecret: 'hush"hush' };
const EVERYTHING_SECRET = /hush|t0k3n/;
const html = (status: number) => HttpResponse.html("<html>gateway</html>", { status });
const refusal = (error: string) =>
  HttpResponse.json({ status: 401, error, message: `token ${error}` }, { status: 401 });
const noToken = () => HttpResponse.json({ status: 404, message: "No static resource api/token." }, { status: 404 });

/** A Conductor that wants a token. */
interface GuardedConductor extends ServedConductorStub {
  /** How a request for a token is answered. */
  answerToken: () => Response | Promise<Response>;
  /** The tokens that are good; undefined: none is needed. */
  valid: Set<string> | undefined;
  /** What is answered without a good one. */
  refuse: () => Response;
  /** A new token, good from now on, as the only one. */
  issue(lifetimeSeconds?: number): Response;
  readonly tokenRequests: number;
  /** Requests other than those for a token. */
  readonly otherRequests: number;
}

async function startGuardedConductor({ onTestFinished }: TestContext): Promise<GuardedConductor> {
  const served = await startConductorStub();
  let issued = 0;
  const isToken = ({ path }: { path: string }) => path === "/api/token";
  const world: GuardedConductor = {
    ...served,
    answerToken: () => world.issue(),
    valid: new Set(),
    refuse: () => refusal("EXPIRED_TOKEN"),
    issue: (lifetimeSeconds = 3_600) => {
      const claims = Buffer.from(JSON.stringify({ iat: 0, exp: lifetimeSeconds })).toString("base64url");
      const token = `t0k3n-${++issued}.${claims}.x`;
      world.valid = new Set([token]);
      return HttpResponse.json({ token });
    },
    get tokenRequests() {
      return served.server.requests.filter(isToken).length;
    },
    get otherRequests() {
      return served.server.requests.filter((request) => !isToken(request)).length;
    },
  };
  served.server.use(
    http.post("/api/token", async ({ request }) => {
      expect(request.headers.has("x-authorization")).toBe(false);
      expect(await request.json()).toEqual(AUTH);
      return world.answerToken();
    }),
    http.all("/api/*", ({ request }) => {
      if (new URL(request.url).pathname === "/api/token") return undefined;
      if (world.valid === undefined || world.valid.has(request.headers.get("x-authorization") ?? "")) return undefined;
      return world.refuse();
    }),
  );
  onTestFinished(() => served.close());
  return world;
}

/** Every line that was logged, as text. */
function keepLog(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const write = (fields: object, message: string) => {
    lines.push(`${message} ${inspect(fields, { depth: Infinity, showHidden: true })} ${JSON.stringify(fields)}`);
  };
  return { logger: { debug: write, info: write, warn: write, error: write }, lines };
}

/** A worker for `work` that runs, with what it logs. */
async function startWorker(
  { onTestFinished }: TestContext,
  conductor: GuardedConductor,
  execute: () => unknown = () => ({}),
) {
  const { logger, lines } = keepLog();
  const handler = new TaskHandler({
    serverUrl: conductor.serverUrl,
    auth: AUTH,
    requestTimeoutMs: 2_000,
    logger,
    workers: [defineWorker({ taskDefName: "work", concurrency: 5, longPollMs: 500, execute })],
  });
  onTestFinished(() => handler.stop({ drainTimeoutMs: 500 }));
  await handler.start();
  return { handler, lines };
}

const pushTask = (conductor: GuardedConductor) => {
  const task = makeTask({ taskType: "work", taskDefName: "work" });
  conductor.stub.push(task);
  return task.taskId;
};

const untilDone = (conductor: GuardedConductor, taskId: string, boundMs: number) =>
  waitFor(() => conductor.stub.tasks.get(taskId)?.status === "COMPLETED", { boundMs, what: "the task to be done" });

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** An authenticated transport over real connections, its tokens on a clock of their own. */
function connect({ onTestFinished }: TestContext, conductor: GuardedConductor) {
  const clock = new FakeClock();
  const plain = createTransport({ baseUrl: conductor.serverUrl });
  onTestFinished(() => plain.close());
  const credentials = { keyId: AUTH.keyId, keySecret: new Secret(AUTH.keySecret) };
  const transport = authenticated(plain, { credentials, clock, requestTimeoutMs: 5_000 });
  const get = (options: Partial<HttpRequest> = {}): Promise<Exchange> =>
    transport.request({
      lane: "main",
      method: "GET",
      path: "/tasks/poll/batch/none?timeout=0",
      pathTemplate: "/tasks/poll/batch/{taskType}",
      deadlineMs: 5_000,
      ...options,
    });
  return { transport, clock, get };
}

const statusOf = (exchange: Exchange) => (exchange.kind === "answered" ? exchange.status : exchange.fault.code);

describe("authentication", () => {
  describe.concurrent("the token endpoint", () => {
    test("answers 401 with a page for 3 s: polling works afterwards", async (context) => {
      const conductor = await startGuardedConductor(context);
      conductor.answerToken = () => html(401);
      const { lines } = await startWorker(context, conductor);
      const taskId = pushTask(conductor);
      await sleep(3_000);
      expect(conductor.otherRequests, "nothing is sent without a token").toBe(0);
      conductor.answerToken = () => conductor.issue();
      await untilDone(conductor, taskId, 6_000);
      expect(lines.some((line) => line.includes("no token: POST /token was answered with HTTP 401"))).toBe(true);
      expect(lines.join()).not.toMatch(EVERYTHING_SECRET);
    });

    test("answers nothing: every request ends by its deadline, and polling works afterwards", async (context) => {
      const conductor = await startGuardedConductor(context);
      conductor.answerToken = () => new Promise<Response>(() => {});
      const { handler } = await startWorker(context, conductor);
      const client = createConductorClient({ serverUrl: conductor.serverUrl, auth: AUTH, requestTimeoutMs: 1_000 });
      context.onTestFinished(() => client.close());
      const startedAt = performance.now();
      const all = await Promise.allSettled(Array.from({ length: 20 }, () => client.tasks.get("t")));
      expect(performance.now() - startedAt).toBeLessThan(1_500);
      for (const each of all) expect(each).toMatchObject({ reason: { code: "DEADLINE_EXCEEDED", retryable: true } });
      const taskId = pushTask(conductor);
      await sleep(3_000);
      expect(handler.status.serverReachable).toBe(false);
      conductor.answerToken = () => conductor.issue();
      await untilDone(conductor, taskId, 5_000);
    });

    test("is dead, then back, under a worker that runs: nothing is lost", async (context) => {
      const conductor = await startGuardedConductor(context);
      let finish = (): void => undefined;
      const finished = new Promise<void>((resolve) => (finish = resolve));
      let begun = 0;
      await startWorker(context, conductor, async () => {
        begun += 1;
        if (begun === 1) await finished;
        return {};
      });
      const first = pushTask(conductor);
      await waitFor(() => begun === 1, { what: "the first task to begin" });
      conductor.answerToken = () => HttpResponse.error() as Response;
      conductor.valid = new Set();
      finish();
      const second = pushTask(conductor);
      await sleep(4_000);
      expect(conductor.stub.updates).toHaveLength(0);
      conductor.answerToken = () => conductor.issue();
      await untilDone(conductor, first, 5_000);
      await untilDone(conductor, second, 5_000);
      expect(begun).toBe(2);
      expect(conductor.stub.updatesOf(first)).toHaveLength(1);
    });

    test("refuses the key for good: few requests, and finished results are kept", async (context) => {
      const conductor = await startGuardedConductor(context);
      let finish = (): void => undefined;
      const finished = new Promise<void>((resolve) => (finish = resolve));
      let begun = 0;
      const { handler, lines } = await startWorker(context, conductor, async () => {
        begun += 1;
        await finished;
        return {};
      });
      const tasks = Array.from({ length: 5 }, () => pushTask(conductor));
      await waitFor(() => begun === 5, { what: "five tasks to begin" });
      conductor.answerToken = () =>
        HttpResponse.json({ status: 401, message: `no such key: ${AUTH.keySecret}` }, { status: 401 });
      conductor.valid = new Set();
      const before = conductor.server.requests.length;
      finish();
      await sleep(15_000);
      // The five results are sent at the same moment, before anybody can know; so may a poll be.
      expect(conductor.server.requests.length - before).toBeLessThan(20);
      expect(handler.status).toMatchObject({ inFlight: 5, serverReachable: false });
      const quietSince = conductor.server.requests.length;
      await sleep(5_000);
      expect(conductor.server.requests.length - quietSince).toBeLessThanOrEqual(3);
      conductor.answerToken = () => conductor.issue();
      for (const taskId of tasks) await untilDone(conductor, taskId, 35_000);
      expect(begun).toBe(5);
      expect(lines.join()).toContain("no such key: [secret]");
      expect(lines.join()).not.toMatch(EVERYTHING_SECRET);
    });

    test("refuses the key with a 400: a finished result is not taken for refused", async (context) => {
      const conductor = await startGuardedConductor(context);
      await startWorker(context, conductor, () => {
        conductor.valid = new Set();
        conductor.answerToken = () => HttpResponse.json({ status: 400, message: "bad key" }, { status: 400 });
        return { kept: true };
      });
      const taskId = pushTask(conductor);
      await sleep(2_000);
      conductor.answerToken = () => conductor.issue();
      await untilDone(conductor, taskId, 8_000);
      expect(conductor.stub.updatesOf(taskId)).toMatchObject([{ outputData: { kept: true } }]);
    });

    test("does not exist: requests go without a token, and at a 401 it is asked again", async (context) => {
      const conductor = await startGuardedConductor(context);
      conductor.answerToken = noToken;
      conductor.valid = undefined;
      const { get } = connect(context, conductor);
      for (let i = 0; i < 5; i++) expect(statusOf(await get())).toBe(200);
      expect(conductor.tokenRequests).toBe(1);
      expect(conductor.server.requests.every(({ headers }) => !headers.has("x-authorization"))).toBe(true);
      conductor.answerToken = () => conductor.issue();
      conductor.valid = new Set();
      expect(statusOf(await get())).toBe(200);
      expect(conductor.tokenRequests).toBe(2);
    });
  });

  describe.concurrent("a token", () => {
    test("that expires under 100 parallel requests is replaced by one", async (context) => {
      const conductor = await startGuardedConductor(context);
      const { get } = connect(context, conductor);
      await get();
      conductor.valid = new Set();
      conductor.answerToken = async () => {
        await sleep(200);
        return conductor.issue();
      };
      const all = await Promise.all(Array.from({ length: 100 }, () => get()));
      expect(new Set(all.map(statusOf))).toEqual(new Set([200]));
      expect(conductor.tokenRequests).toBe(2);
    });

    test.for(["EXPIRED_TOKEN", "INVALID_TOKEN"])(
      "that is refused as %s again and again is replayed once",
      async (error, context) => {
        const conductor = await startGuardedConductor(context);
        const { get } = connect(context, conductor);
        await get();
        conductor.refuse = () => refusal(error);
        conductor.answerToken = () => {
          const answer = conductor.issue();
          conductor.valid = new Set();
          return answer;
        };
        conductor.valid = new Set();
        const before = conductor.otherRequests;
        expect(statusOf(await get())).toBe(401);
        expect(conductor.otherRequests - before).toBe(2);
        expect(conductor.tokenRequests).toBe(2);
      },
    );

    test("that was replaced while its request was under way is not replaced again", async (context) => {
      const conductor = await startGuardedConductor(context);
      const { get } = connect(context, conductor);
      await get();
      const first = conductor.server.requests.at(-1)!.headers.get("x-authorization");
      let release = (): void => undefined;
      const released = new Promise<void>((resolve) => (release = resolve));
      conductor.server.use(
        http.get("/api/tasks/slow", async ({ request }) => {
          if (request.headers.get("x-authorization") !== first) return HttpResponse.json({});
          await released;
          return refusal("EXPIRED_TOKEN");
        }),
      );
      const slow = get({ path: "/tasks/slow" });
      await conductor.server.waitFor(({ path }) => path === "/api/tasks/slow");
      conductor.valid = new Set();
      expect(statusOf(await get())).toBe(200);
      expect(conductor.tokenRequests).toBe(2);
      release();
      expect(statusOf(await slow)).toBe(200);
      expect(conductor.tokenRequests).toBe(2);
    });

    test("that lives five minutes is replaced after four, in the background; what fails there costs nothing", async (context) => {
      const conductor = await startGuardedConductor(context);
      conductor.answerToken = () => conductor.issue(300);
      const { get, clock } = connect(context, conductor);
      expect(statusOf(await get())).toBe(200);
      clock.advance(239_999);
      await get();
      expect(conductor.tokenRequests).toBe(1);
      conductor.answerToken = () => html(503);
      clock.advance(1);
      for (let i = 0; i < 10; i++) expect(statusOf(await get())).toBe(200);
      await waitFor(() => conductor.server.requests.some(({ status }) => status === 503), {
        what: "the failed attempt",
      });
      expect(conductor.tokenRequests).toBe(2);
      conductor.answerToken = () => conductor.issue(300);
      clock.advance(15_000);
      await get();
      await waitFor(() => conductor.tokenRequests === 3, { what: "the next attempt" });
      await waitFor(
        async () => (
          await get(),
          conductor.server.requests.at(-1)!.headers.get("x-authorization")?.startsWith("t0k3n-2")
        ),
        {
          what: "requests with the new token",
        },
      );
      expect(conductor.tokenRequests).toBe(3);
    });
  });

  describe("secrets", () => {
    const shows = (value: unknown) =>
      [true, false].map((customInspect) => inspect(value, { depth: Infinity, showHidden: true, customInspect })).join();

    test("are shown by no handler, client, transport, error or stack", async (context) => {
      const conductor = await startGuardedConductor(context);
      const { handler, lines } = await startWorker(context, conductor);
      const client = createConductorClient({ serverUrl: conductor.serverUrl, auth: AUTH });
      context.onTestFinished(() => client.close());
      const { transport, get } = connect(context, conductor);
      await untilDone(conductor, pushTask(conductor), 5_000);
      await get();
      await client.tasks.queueSizes(["work"]).catch(() => undefined);

      conductor.server.use(
        http.get("/api/tasks/:id", ({ request }) =>
          HttpResponse.json(
            {
              status: 403,
              message: `${request.headers.get("x-authorization")!} and ${AUTH.keySecret}`,
              retryable: false,
            },
            { status: 403 },
          ),
        ),
      );
      const refused: unknown = await client.tasks.get("t").catch((error: unknown) => error);
      expect(refused).toMatchObject({ name: "ConductorError", status: 403 });
      expect(String(refused)).toContain("[secret]");
      expect(shows(refused)).not.toContain("t0k3n");

      const errors: unknown[] = [];
      const answers = [
        () => HttpResponse.json({ status: 401, message: `no key ${AUTH.keySecret}` }, { status: 401 }),
        () => HttpResponse.text(`token t0k3n for ${AUTH.keySecret}`, { status: 200 }),
        () => HttpResponse.text(`token t0k3n for ${AUTH.keySecret}`, { status: 500 }),
        () => HttpResponse.error() as Response,
      ];
      for (const answer of answers) {
        conductor.answerToken = answer;
        const fresh = createConductorClient({ serverUrl: conductor.serverUrl, auth: AUTH });
        errors.push(await fresh.tasks.get("t").catch((error: unknown) => error));
        await fresh.close();
      }
      expect(errors).toHaveLength(4);
      for (const error of errors) {
        expect(error).toMatchObject({ name: "ConductorError" });
        expect(`${shows(error)} ${(error as Error).stack ?? ""} ${JSON.stringify(error)}`).not.toMatch(
          EVERYTHING_SECRET,
        );
      }
      for (const object of [handler, handler.status, client, client.tasks, transport]) {
        expect(shows(object)).not.toMatch(EVERYTHING_SECRET);
        expect(JSON.stringify(object) ?? "").not.toMatch(EVERYTHING_SECRET);
      }
      await handler.stop();
      expect(lines.join()).toContain("auth=key (code)");
      expect(lines.join()).not.toMatch(EVERYTHING_SECRET);
    });
  });
});
