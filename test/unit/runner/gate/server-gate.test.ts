import { beforeEach, describe, expect, test, vi } from "vitest";
import { ServerGate, type Permit } from "../../../../src/runner/gate/server-gate.js";
import { failureVerdict } from "../../../../src/runner/gate/verdict.js";
import { FakeClock } from "../../../support/time/fake-clock.js";
import { failed, lostAnswer, nonsense, refused, unreachable } from "../../../support/unit/runner.js";

let clock: FakeClock;
let gate: ServerGate;

describe("the server gate", () => {
  beforeEach(() => {
    clock = new FakeClock();
    gate = new ServerGate(clock, () => 0);
  });

  function pass(kind?: "poll"): Permit {
    const permit = gate.admit(kind);
    if ("waitMs" in permit) throw new Error(`refused for ${permit.waitMs} ms`);
    return permit;
  }
  const waitMs = (kind?: "poll") => (gate.admit(kind) as { waitMs?: number }).waitMs;

  describe("while the server is well", () => {
    test("everybody passes, and nobody is a probe", () => {
      expect([pass(), pass(), pass()].map((permit) => permit.isProbe)).toEqual([false, false, false]);
      expect(gate.isOpen).toBe(true);
    });

    test("a success is noted", () => {
      expect(gate.lastOkAt).toBeUndefined();
      clock.advance(5);
      pass().report("ok");
      expect(gate.lastOkAt).toBe(5);
    });

    test("what a request says of itself changes nothing", () => {
      pass().report("neutral");
      expect(gate.isOpen).toBe(true);
    });
  });

  describe("when it fails", () => {
    test("nobody passes until the wait is over; then one, and the rest ask again", () => {
      pass().report("unreachable");
      expect(gate.isOpen).toBe(false);
      expect(waitMs()).toBe(100);
      clock.advance(60);
      expect(waitMs()).toBe(40);
      clock.advance(40);
      expect(pass().isProbe).toBe(true);
      expect(waitMs()).toBe(1_000);
      expect(waitMs()).toBe(1_000);
    });

    test("probe after probe the wait grows, up to the cap of its class", () => {
      pass().report("overloaded");
      const waits: number[] = [];
      for (let i = 0; i < 5; i += 1) {
        waits.push(Math.round(waitMs("poll")!));
        clock.advance(waitMs("poll")!);
        pass("poll").report("overloaded");
      }
      expect(waits).toEqual([500, 1_000, 2_000, 4_000, 4_167]);
    });

    test("requests that were under way together are one failure, not many", () => {
      const together = [pass(), pass(), pass(), pass()];
      clock.advance(10);
      for (const permit of together) permit.report("overloaded");
      expect(waitMs()).toBe(500);
    });

    test("a late failure of a request that began before does not lengthen the wait", () => {
      const slow = pass();
      clock.advance(1);
      pass().report("overloaded");
      clock.advance(450);
      slow.report("silent");
      expect(waitMs()).toBe(50);
    });

    test("but its Retry-After is obeyed", () => {
      const slow = pass();
      clock.advance(1);
      pass().report("overloaded");
      slow.report("overloaded", 20_000);
      expect(waitMs()).toBe(20_000);
    });

    test("another kind of failure begins at its own first step", () => {
      pass("poll").report("unreachable");
      clock.advance(100);
      pass("poll").report("unreachable");
      clock.advance(200);
      pass("poll").report("overloaded");
      expect(waitMs()).toBe(500);
    });

    test("a poll goes first after a probe that was none: that one may be too large to get through, for ever", () => {
      pass().report("silent");
      clock.advance(waitMs()!);
      pass().report("silent");
      const pollWaitMs = waitMs("poll")!;
      expect(waitMs()).toBe(pollWaitMs + 250);
      clock.advance(pollWaitMs);
      pass("poll").report("silent");
      expect(waitMs()).toBe(waitMs("poll"));
    });

    describe("once among many successes", () => {
      beforeEach(() => {
        for (let i = 0; i < 8; i += 1) pass().report("ok");
      });

      test("with overload, the others go on; the second time they wait", () => {
        const [first, second] = [pass(), pass()];
        first.report("overloaded");
        expect(gate.isOpen).toBe(true);
        second.report("overloaded");
        expect(waitMs()).toBe(500);
      });

      test("with overload and a Retry-After, everybody waits", () => {
        pass().report("overloaded", 3_000);
        expect(waitMs()).toBe(3_000);
      });

      test.each(["unreachable", "silent", "unauthorized"] as const)("as %s, everybody waits", (failureClass) => {
        pass().report(failureClass);
        expect(gate.isOpen).toBe(false);
      });
    });

    test("a permit counts once", () => {
      const permit = pass();
      permit.report("unreachable");
      permit.report("ok");
      permit.report("unreachable");
      expect(waitMs()).toBe(100);
    });
  });

  describe("the probe", () => {
    const close = (how: "unreachable" | "overloaded" = "overloaded") => {
      pass().report(how);
      clock.advance(waitMs()!);
    };

    test("opens the gate when it succeeds, and the next failure begins anew", () => {
      close();
      pass().report("overloaded");
      clock.advance(waitMs()!);
      pass().report("ok");
      expect(gate.isOpen).toBe(true);
      pass().report("overloaded");
      expect(waitMs()).toBe(500);
    });

    test("that says nothing is followed by another after as long again", () => {
      close();
      pass().report("neutral");
      expect(gate.admit("poll")).toEqual({ waitMs: 500 });
      expect(waitMs()).toBe(750); // polls first: what this one told may be all that others of its kind can tell
      clock.advance(500);
      expect(gate.admit("poll")).toMatchObject({ isProbe: true });
    });

    test("a request that was held since before does not open a gate that overload has closed", () => {
      const held = pass();
      clock.advance(1);
      pass().report("overloaded");
      held.report("ok");
      expect(gate.isOpen).toBe(false);
    });

    test.each(["unreachable", "silent"] as const)(
      "but opens one that a broken connection (%s) has closed",
      (failure) => {
        const held = pass();
        clock.advance(1);
        pass().report(failure);
        held.report("ok");
        expect(gate.isOpen).toBe(true);
      },
    );
  });

  describe("a change is announced", () => {
    test("when the gate closes and when it opens, and to nobody who has gone", () => {
      const listener = vi.fn();
      const gone = vi.fn();
      gate.onChange(listener);
      gate.onChange(gone)();
      pass().report("unreachable");
      expect(listener).toHaveBeenCalledTimes(1);
      clock.advance(100);
      pass().report("ok");
      expect(listener).toHaveBeenCalledTimes(2);
      pass().report("ok");
      expect(listener).toHaveBeenCalledTimes(2);
      expect(gone).not.toHaveBeenCalled();
    });

    test("to a listener that asks at once, which is let through", () => {
      pass().report("unreachable");
      clock.advance(100);
      const probe = pass();
      let admitted: unknown;
      gate.onChange(() => (admitted = gate.admit()));
      probe.report("ok");
      expect(admitted).toMatchObject({ isProbe: false });
    });
  });

  test.each([
    ["refused connection", "unreachable", unreachable()],
    ["lost answer", "unreachable", lostAnswer()],
    ["deadline", "silent", failed("maybeApplied", "DEADLINE_EXCEEDED")],
    ["HTML 200", "overloaded", nonsense()],
    ["invalid request", "neutral", failed("notSent", "INVALID_REQUEST")],
    ["closed transport", "neutral", failed("notSent", "CLOSED")],
    ["401", "unauthorized", refused(401)],
    ["a proxy's 403", "unauthorized", refused(403)],
    ["403 with words, which is about this request", "ok", refused(403, "no")],
    ["429", "overloaded", refused(429)],
    ["503 with words", "overloaded", refused(503, "later")],
    ["HTML 500", "overloaded", refused(500)],
    ["500 with words", "neutral", refused(500, "boom")],
    ["500 with words, retryable", "neutral", refused(500, "boom", { retryable: true })],
    ["400 with words", "ok", refused(400, "bad")],
    ["404 with words", "ok", refused(404, "No such task")],
    ["HTML 404", "overloaded", refused(404)],
    ["redirect", "overloaded", refused(302)],
  ])("%s says of the server: %s", (_name, verdict, reply) => {
    expect(failureVerdict(reply)).toBe(verdict);
  });

  test.each([400, 405, 413, 414, 415, 422, 431])(
    "an HTML %i to an update is about that update, not the server",
    (status) => {
      expect(["ok", "neutral"]).toContain(failureVerdict(refused(status)));
    },
  );

  test("a probe that is never reported does not close the gate for ever", async () => {
    const clock = new FakeClock();
    const gate = new ServerGate(clock, () => 0);
    const first = gate.admit();
    if ("waitMs" in first) throw new Error("closed");
    first.report("unreachable");
    clock.advance(200);
    expect(gate.admit()).toMatchObject({ isProbe: true }); // and forgotten
    clock.advance(3_600_000);
    expect(gate.admit()).not.toHaveProperty("waitMs");
  });
});
