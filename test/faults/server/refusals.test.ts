import { http, HttpResponse } from "msw";
import { describe, expect } from "vitest";
import { fault, type FaultOptions } from "../../support/faults/fault.js";
import { latch, sleep, until, UPDATE_PATHS } from "../../support/faults/helpers.js";

const group = "Server";
const boundMs = 6_000;

type Answer = () => HttpResponse<string | Record<string, unknown>>;

const html = (status: number): Answer => {
  return () => HttpResponse.html("<html>gateway</html>", { status });
};
const json = (status: number, body: Record<string, unknown>): Answer => {
  return () => HttpResponse.json<Record<string, unknown>>({ status, ...body }, { status });
};

/** Requests match `path` and are refused for `refuseMs`, while five results are finished. */
function refusedFor(
  options: Omit<FaultOptions, "group" | "boundMs">,
  { path, answer, refuseMs, words }: { path: string | RegExp; answer: Answer; refuseMs: number; words: string },
): void {
  fault({ ...options, group, boundMs }, async (run) => {
    const held = latch();
    let begun = 0;
    const execute = async ({ mode }: Record<string, unknown>) => {
      if (mode !== "held") return;
      begun += 1;
      await held.released;
    };
    const world = await run.world({ gateway: true, worker: { concurrency: 10, execute } });
    const ids = await world.begin(5, { mode: "held" });
    await until(() => begun === 5);
    world.gateway.use(http.all(path, answer));
    held.release();
    await sleep(refuseMs);
    expect(world.seen("taskUndeliverable"), "results given up").toEqual([]);
    world.gateway.reset();
    run.injected();
    await run.worksAgain(world);
    await world.done(ids, boundMs);
    return words;
  });
}

describe.concurrent("500", () => {
  const name = "500 to everything";
  const guard = "500 is about the server until others are accepted";
  const words = "For 4 s every request was refused. Five finished results were kept and applied once.";
  for (const [variant, answer] of [
    ["retryable: true", json(500, { message: "boom", retryable: true })],
    ["retryable: false", json(500, { message: "boom", retryable: false })],
    ["without retryable, from a proxy", html(500)],
  ] as const) {
    refusedFor({ number: 14, name, variant, guard }, { path: "*", answer, refuseMs: 4_000, words });
  }
});

describe.concurrent("503 and 429 from the first request on", () => {
  for (const status of [503, 429]) {
    const retryAfter: [string, () => string | undefined][] = [
      ["without Retry-After", () => undefined],
      ["with Retry-After: 3", () => "3"],
      ["with Retry-After as a date", () => new Date(Date.now() + 3_000).toUTCString()],
    ];
    for (const [variant, header] of retryAfter) {
      const guard = "one backoff for the whole process; Retry-After is obeyed";
      fault(
        { number: 15, group, name: `${status} from the first request on`, variant, boundMs, guard },
        async (run) => {
          const world = await run.world({ gateway: true, worker: { concurrency: 10 }, start: false });
          const ids = await world.begin(5);
          world.gateway.use(
            http.all("*", () => {
              const value = header();
              return new HttpResponse("no", { status, headers: value === undefined ? {} : { "retry-after": value } });
            }),
          );
          await world.handler.start();
          await sleep(30_000);
          const { requests } = world.gateway;
          expect(requests.length, "requests in 30 s").toBeLessThan(12);
          expect(requests.length, "requests in 30 s").toBeGreaterThanOrEqual(3);
          if (header() !== undefined) {
            const gaps = requests.slice(1).map(({ receivedAtMs }, i) => receivedAtMs - requests[i]!.receivedAtMs);
            // A date has whole seconds.
            expect(Math.min(...gaps), "ms between two requests").toBeGreaterThanOrEqual(
              header() === "3" ? 3_000 : 1_900,
            );
          }
          world.gateway.reset();
          run.injected();
          await run.worksAgain(world);
          await world.done(ids, boundMs);
          return "Fewer than 12 requests in the first 30 s, for polls and everything else together; then work at once.";
        },
      );
    }
  }
});

describe.concurrent("401 and 403", () => {
  for (const status of [401, 403]) {
    for (const [form, answer] of [
      ["HTML", html(status)],
      ["JSON", json(status, { error: "INVALID_TOKEN", message: "no access", retryable: false })],
    ] as const) {
      for (const [on, path] of [
        ["polls", "*/tasks/poll/*"],
        ["updates", UPDATE_PATHS],
      ] as const) {
        const name = `${status} to ${on}`;
        const guard = "401 and 403 are waited out, and cost no result";
        const words = `For 2.5 s ${on} were refused; five finished results were kept and applied once.`;
        refusedFor({ number: 16, name, variant: form, guard }, { path, answer, refuseMs: 2_500, words });
      }
    }
  }
});

describe.concurrent("tokens", () => {
  const AUTH = { keyId: "the-key", keySecret: "hush" };

  /** What decides about tokens; `answer` may be replaced. */
  class TokenDesk {
    valid = "none";
    requests = 0;
    answer = (): Response => this.issue();
    #issued = 0;

    issue(): Response {
      const claims = Buffer.from(JSON.stringify({ iat: 0, exp: 3_600 })).toString("base64url");
      this.valid = `token-${++this.#issued}.${claims}.x`;
      return HttpResponse.json({ token: this.valid });
    }
  }

  const handlersOf = (desk: TokenDesk) => [
    http.post("*/api/token", () => {
      desk.requests += 1;
      return desk.answer();
    }),
    http.all("*/api/*", ({ request }) => {
      if (request.url.endsWith("/api/token") || request.headers.get("x-authorization") === desk.valid) return undefined;
      return HttpResponse.json({ status: 401, error: "EXPIRED_TOKEN", message: "expired" }, { status: 401 });
    }),
  ];

  fault(
    {
      number: 16,
      group,
      name: "the token expires under load",
      boundMs,
      guard: "one new token for all that were refused",
    },
    async (run) => {
      const desk = new TokenDesk();
      const world = await run.world({
        gateway: true,
        start: false,
        handler: { auth: AUTH },
        worker: { concurrency: 20, execute: () => sleep(20) },
      });
      world.gateway.use(...handlersOf(desk));
      await world.handler.start();
      await world.done(await world.begin(20));
      expect(desk.requests).toBe(1);
      const ids = await world.begin(100);
      desk.valid = "none";
      run.injected();
      await run.worksAgain(world);
      await world.done(ids);
      expect(desk.requests, "requests for a token").toBe(2);
      expect([...world.seen("pollFailed"), ...world.seen("taskUpdateFailed")], "what failed by it").toEqual([]);
      return "All requests under way were refused at once; one new token was asked for, and each was sent again with it.";
    },
  );

  fault(
    {
      number: 16,
      group,
      name: "the token endpoint is dead, then back",
      boundMs,
      guard: "the token request has its own path and deadline",
    },
    async (run) => {
      const desk = new TokenDesk();
      const held = latch();
      let begun = 0;
      const execute = async ({ mode }: Record<string, unknown>) => {
        if (mode !== "held") return;
        begun += 1;
        await held.released;
      };
      const world = await run.world({ gateway: true, start: false, handler: { auth: AUTH }, worker: { execute } });
      world.gateway.use(...handlersOf(desk));
      await world.handler.start();
      const ids = await world.begin(3, { mode: "held" });
      await until(() => begun === 3);
      desk.answer = () => HttpResponse.error();
      desk.valid = "none";
      held.release();
      await sleep(4_000);
      expect(world.handler.status.inFlight, "results that wait").toBe(3);
      desk.answer = () => desk.issue();
      run.injected();
      await run.worksAgain(world);
      await world.done(ids, boundMs);
      return "For 4 s there was no token to be had. Three finished results were kept; with the first token everything went on.";
    },
  );
});
