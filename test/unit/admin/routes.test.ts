import { describe, expect, test } from "vitest";
import { createRoutes } from "../../../src/admin/routes.js";
import { createScraper } from "../../../src/admin/scrape.js";
import type { MetricsRegistry } from "../../../src/metrics/registry.js";
import { handlerStatus, runner } from "../../support/unit/admin.js";

const STALL_MS = 300_000;

function registry(metrics: () => unknown): MetricsRegistry {
  return {
    contentType: "text/plain; version=0.0.4",
    registerMetric: () => {},
    getSingleMetric: () => undefined,
    removeSingleMetric: () => {},
    metrics: metrics as () => Promise<string>,
  };
}

const routesFor = (status = handlerStatus(), metrics?: () => unknown) =>
  createRoutes({
    status: () => status,
    stallMs: STALL_MS,
    registry: metrics === undefined ? undefined : registry(metrics),
  });

const nastyRunner = runner({
  taskType: `<script>alert("1")</script>`,
  domain: "a&b'",
  pollsFailing: { forMs: 11_000, error: `<img src=x onerror="x">` },
});

describe("the routes", () => {
  test.each([
    ["/livez", 200, "application/json; charset=utf-8"],
    ["/livez?verbose=1", 200, "application/json; charset=utf-8"],
    ["/readyz", 200, "application/json; charset=utf-8"],
    ["/status", 200, "application/json; charset=utf-8"],
    ["/", 200, "text/html; charset=utf-8"],
    ["/metrics", 200, "text/plain; version=0.0.4"],
  ])("GET %s answers %d, %s", async (path, status, contentType) => {
    const answer = await routesFor(handlerStatus(), () => "up 1\n")("GET", path);
    expect(answer).toMatchObject({ status, contentType });
    expect(await routesFor(handlerStatus(), () => "up 1\n")("HEAD", path)).toMatchObject({ status, contentType });
  });

  test.each([
    "/nothing",
    "/livez/",
    "/__proto__",
    "__proto__",
    "constructor",
    "/constructor",
    "//",
    "*",
    "",
    "http://[",
    "/%00",
    "/../status",
    undefined,
  ])("answers 404 to %j, and says what there is", async (path) => {
    const answer = await routesFor()("GET", path);
    expect(answer).toMatchObject({
      status: 404,
      body: "nothing is here; there are /, /livez, /readyz, /metrics, /status\n",
    });
  });

  test.each(["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", undefined])("answers 405 to %s", async (method) => {
    expect(await routesFor()(method, "/livez")).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
  });

  test("answers 503 with the reasons", async () => {
    const routes = routesFor(handlerStatus({ runners: [runner({ lastBeatAgoMs: 400_000 })], outboxFull: true }));
    const live = await routes("GET", "/livez");
    expect(live.status).toBe(503);
    expect(JSON.parse(live.body)).toEqual({
      status: "stuck",
      reasons: ["the loop of greet has not iterated for 400 s; what it did last: polling"],
    });
    const ready = await routes("GET", "/readyz");
    expect(ready.status).toBe(503);
    expect(JSON.parse(ready.body)).toMatchObject({
      status: "not ready",
      reasons: [expect.stringContaining("outbox full")],
    });
  });

  test("answers 404 with words when metrics are off", async () => {
    expect(await routesFor()("GET", "/metrics")).toMatchObject({
      status: 404,
      body: "metrics are switched off: the option registry is false\n",
    });
    expect((await routesFor()("GET", "/")).body).not.toContain("/metrics");
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("no database");
      },
      "no database",
    ],
    ["rejects", () => Promise.reject(new Error("no database")), "no database"],
    [
      "throws undefined",
      () => {
        throw undefined;
      },
      "undefined",
    ],
    [
      "throws what cannot be shown",
      () => {
        throw Object.create(null);
      },
      "cannot be shown",
    ],
    ["gives no text", () => 5, "the registry gave no text"],
  ])("answers 500 with words when a metric %s", async (_, metrics, words) => {
    const answer = await routesFor(handlerStatus(), metrics)("GET", "/metrics");
    expect(answer).toMatchObject({ status: 500, body: expect.stringContaining(words) });
  });

  test("answers 500 when the status cannot be told", async () => {
    const routes = createRoutes({
      status: () => {
        throw new Error("bug");
      },
      stallMs: STALL_MS,
      registry: undefined,
    });
    for (const path of ["/livez", "/readyz", "/status", "/"]) expect((await routes("GET", path)).status).toBe(500);
  });

  test("tells the status, the process and no fractions of milliseconds", async () => {
    const status = handlerStatus({
      runners: [runner({ lastBeatAgoMs: 1.25, lastPollAgoMs: 2.75 }), runner({ lastPollAgoMs: undefined })],
    });
    const body = JSON.parse((await routesFor(status)("GET", "/status")).body);
    expect(body).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      node: process.version,
      pid: process.pid,
      uptimeSeconds: expect.any(Number),
      state: "running",
      serverReachable: true,
      runners: [{ taskType: "greet", lastBeatAgoMs: 1, lastPollAgoMs: 3 }, { taskType: "greet" }],
    });
    expect(body.runners[1]).not.toHaveProperty("lastPollAgoMs");
  });

  test("shows people what there is, renews itself, and escapes others' words", async () => {
    const { body } = await routesFor(handlerStatus({ runners: [nastyRunner] }), () => "")("GET", "/");
    expect(body).toContain('<meta http-equiv="refresh"');
    expect(body).toContain("a&amp;b&#39;:&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;");
    expect(body).not.toMatch(/<script|<img|src=x?"|https?:/);
    for (const link of ["/livez", "/readyz", "/metrics", "/status"]) expect(body).toContain(`href="${link}"`);
    expect(body).toContain("1 of 4");
    expect(body).toContain("for 11 s: &lt;img");
  });
});

describe("a scrape", () => {
  test("is shared by who asks meanwhile, and made anew after it", async () => {
    let scrapes = 0;
    let answer: (text: string) => void = () => {};
    const scrape = createScraper(
      registry(() => {
        scrapes += 1;
        return new Promise((resolve) => {
          answer = resolve;
        });
      }),
    );
    const all = Array.from({ length: 50 }, () => scrape());
    answer("first");
    expect(new Set((await Promise.all(all)).map(({ text }) => text))).toEqual(new Set(["first"]));
    expect(scrapes).toBe(1);
    const second = scrape();
    answer("second");
    expect((await second).text).toBe("second");
    expect(scrapes).toBe(2);
  });

  test("has a deadline, and one that hangs does not hold up the next", async () => {
    let scrapes = 0;
    const scrape = createScraper(
      registry(() => (++scrapes === 1 ? new Promise(() => {}) : "well")),
      20,
    );
    await expect(scrape()).rejects.toThrow("a metric did not answer within 20 ms");
    expect((await scrape()).text).toBe("well");
  });
});
