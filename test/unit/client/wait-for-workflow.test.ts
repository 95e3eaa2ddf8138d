import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { WorkflowClient } from "../../../src/client/workflow-client.js";
import type { ConductorError } from "../../../src/conductor/errors.js";
import type { Exchange, HttpRequest } from "../../../src/http/exchange.js";
import { FakeClock, settle } from "../../support/time/fake-clock.js";

const answered = (status: number, value?: unknown): Exchange => ({
  kind: "answered",
  status,
  body: value === undefined ? "" : JSON.stringify(value),
  contentType: "application/json",
});
const running = answered(200, { workflowId: "a", status: "RUNNING" });
const completed = answered(200, { workflowId: "a", status: "COMPLETED" });
const lost: Exchange = { kind: "maybeApplied", fault: { code: "CONNECTION_LOST", message: "gone" } };

/** A client whose looks are answered in this order, the last answer for ever. */
function setUp(...looks: (Exchange | Promise<Exchange>)[]) {
  const clock = new FakeClock();
  const requests: (HttpRequest & { atMs: number })[] = [];
  const request = async (request: HttpRequest) => {
    requests.push({ ...request, atMs: clock.now() });
    return looks[Math.min(requests.length, looks.length) - 1]!;
  };
  const client = new WorkflowClient({ request, close: async () => {} }, 10_000, clock);
  return { clock, requests, client };
}

async function outcomeOf<T>(promise: Promise<T>): Promise<{ value?: T; error?: ConductorError }> {
  return promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error: error as ConductorError }),
  );
}

describe("waitForWorkflow", () => {
  describe("waiting for a workflow", () => {
    test("looks at its status until it has ended, and gives it with its tasks", async () => {
      const whole = answered(200, { workflowId: "a", status: "COMPLETED", tasks: [{ taskId: "t" }] });
      const { client, clock, requests } = setUp(running, running, completed, whole);
      const waiting = client.waitFor("a b", { timeoutMs: 10_000 });
      await clock.advanceAsync(1_000);
      expect(await waiting).toMatchObject({ status: "COMPLETED", tasks: [{ taskId: "t" }] });
      expect(requests.map(({ path, atMs }) => [path, atMs])).toEqual([
        ["/workflow/a%20b/status", 0],
        ["/workflow/a%20b/status", 50],
        ["/workflow/a%20b/status", 125],
        ["/workflow/a%20b", 125],
      ]);
      expect(clock.pendingTimers).toBe(0);
    });

    test.each(["COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"])("is over when it is %s", async (status) => {
      const { client } = setUp(answered(200, { workflowId: "a", status }));
      expect((await client.waitFor("a", { timeoutMs: 1_000 })).status).toBe(status);
    });

    test("is not over when it is paused, and looks once a second in the long run, or as often as it is told", async () => {
      const paused = answered(200, { workflowId: "a", status: "PAUSED" });
      for (const [pollIntervalMs, min, max] of [
        [undefined, 60, 70],
        [500, 120, 121],
      ] as const) {
        const { client, clock, requests } = setUp(paused);
        const waiting = outcomeOf(
          client.waitFor("a", { timeoutMs: 60_000, ...(pollIntervalMs && { pollIntervalMs }) }),
        );
        await clock.advanceAsync(60_000);
        expect((await waiting).error).toMatchObject({ code: "DEADLINE_EXCEEDED", retryable: true });
        expect(requests.length).toBeGreaterThanOrEqual(min);
        expect(requests.length).toBeLessThanOrEqual(max);
      }
    });

    test.each([
      ["a lost connection", lost],
      ["500, not retryable", answered(500, { message: "boom", retryable: false })],
      ["503", answered(503)],
      ["429", answered(429)],
      ["a page with status 200", answered(200, "<html>")],
      ["a proxy's 404", answered(404)],
    ])("goes on after %s, at the status and at the workflow", async (_what, fault) => {
      const { client, clock } = setUp(fault, running, fault, completed, fault, completed);
      const waiting = client.waitFor("a", { timeoutMs: 10_000 });
      await clock.advanceAsync(2_000);
      expect((await waiting).status).toBe("COMPLETED");
    });

    test.each([
      ["404 of Conductor", answered(404, { status: 404, message: "no such workflow", retryable: false }), 404],
      ["401", answered(401), 401],
      ["400", answered(400), 400],
    ])("ends at %s", async (_what, refusal, status) => {
      const { client, clock, requests } = setUp(running, refusal);
      const waiting = outcomeOf(client.waitFor("a", { timeoutMs: 10_000 }));
      await clock.advanceAsync(1_000);
      expect((await waiting).error).toMatchObject({ status });
      expect(requests).toHaveLength(2);
    });

    test("ends at the timeout, and says how far it has come", async () => {
      const { client, clock, requests } = setUp(running, lost);
      const waiting = outcomeOf(client.waitFor("a", { timeoutMs: 2_000 }));
      await clock.advanceAsync(2_000);
      const { error } = await waiting;
      expect(error).toMatchObject({ name: "ConductorError", code: "DEADLINE_EXCEEDED" });
      expect(error!.message).toContain("workflow a has not ended within 2000 ms: it was RUNNING when last seen");
      expect(error!.message).toContain("the last look failed: GET /workflow/{workflowId}/status: gone");
      // No look may outlast the waiting.
      for (const { deadlineMs, atMs } of requests) expect(deadlineMs + atMs).toBeLessThanOrEqual(2_001);
      expect(clock.pendingTimers).toBe(0);
    });

    test("says so when nothing was ever seen", async () => {
      const { client, clock } = setUp(lost);
      const waiting = outcomeOf(client.waitFor("a", { timeoutMs: 500 }));
      await clock.advanceAsync(500);
      expect((await waiting).error!.message).toContain("its status could not be seen");
    });

    test.each([
      { timeoutMs: 0 },
      { timeoutMs: NaN },
      { timeoutMs: Infinity },
      { timeoutMs: undefined as unknown as number },
      { timeoutMs: 1, pollIntervalMs: 0 },
    ])("does not begin with %j", async (options) => {
      const { client, requests } = setUp(running);
      expect((await outcomeOf(client.waitFor("a", options))).error).toMatchObject({ code: "INVALID_REQUEST" });
      expect(requests).toHaveLength(0);
    });
  });

  describe("a signal", () => {
    const reason = new Error("enough");

    test("ends the waiting in a pause, with its reason, and leaves nothing behind", async () => {
      const { client, clock } = setUp(running);
      const controller = new AbortController();
      const waiting = outcomeOf(client.waitFor("a", { timeoutMs: 60_000, signal: controller.signal }));
      await clock.advanceAsync(5_000);
      controller.abort(reason);
      expect((await waiting).error).toBe(reason);
      expect(clock.pendingTimers).toBe(0);
      expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    });

    test("ends it in the middle of a request", async () => {
      const { client } = setUp(new Promise<Exchange>(() => {}));
      const controller = new AbortController();
      const waiting = outcomeOf(client.waitFor("a", { timeoutMs: 60_000, signal: controller.signal }));
      await settle();
      controller.abort(reason);
      expect((await waiting).error).toBe(reason);
    });

    test("that has aborted already lets nothing be sent", async () => {
      const { client, requests } = setUp(running);
      expect((await outcomeOf(client.waitFor("a", { timeoutMs: 1, signal: AbortSignal.abort(reason) }))).error).toBe(
        reason,
      );
      expect(requests).toHaveLength(0);
    });

    test("is forgotten when the waiting has ended otherwise", async () => {
      const { client } = setUp(completed);
      const { signal } = new AbortController();
      await client.waitFor("a", { timeoutMs: 1_000, signal });
      expect(getEventListeners(signal, "abort")).toHaveLength(0);
    });
  });
});
