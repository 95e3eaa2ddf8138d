import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Reply } from "../../../../src/conductor/reply.js";
import { DONE, meaningOf } from "../../../../src/runner/answers/meaning.js";
import { ServerGate, type Errand, type Permit } from "../../../../src/runner/gate/server-gate.js";
import { FakeClock } from "../../../support/time/fake-clock.js";
import { failed, lostAnswer, nonsense, refused, unreachable } from "../../../support/unit/runner.js";

const A: Errand = "poll a";
const B: Errand = "poll b";
const C: Errand = "poll c";

let clock: FakeClock;
let gate: ServerGate;

function pass(errand: Errand = A, hasFailed = false): Permit {
  const permit = gate.admit(errand, hasFailed);
  if ("waitMs" in permit) throw new Error(`${errand} is refused for ${permit.waitMs} ms`);
  return permit;
}

const waitMs = (errand: Errand = A, hasFailed = false) => (gate.admit(errand, hasFailed) as { waitMs?: number }).waitMs;
const fail = (errand: Errand, reply: Reply<unknown> = refused(503), hasFailed = false) => {
  pass(errand, hasFailed).report(meaningOf(reply));
};
const succeed = (errand: Errand = A) => {
  pass(errand).report(DONE);
};
/** How long an errand that has not been refused has to wait for the server. */
const waitOfAll = () => waitMs(C);

describe("the server gate", () => {
  beforeEach(() => {
    clock = new FakeClock();
    gate = new ServerGate(clock, () => 0);
  });

  describe("while the server is well", () => {
    test("everybody passes, and nobody is a probe", () => {
      expect([pass(), pass(B), pass("report")].map((permit) => permit.isProbe)).toEqual([false, false, false]);
      expect(gate).toMatchObject({ isOpen: true, isReachable: true });
    });

    test("a success is noted", () => {
      expect(gate.lastOkAt).toBeUndefined();
      clock.advance(5);
      succeed();
      expect(gate.lastOkAt).toBe(5);
    });

    test("a request that says nothing changes nothing", () => {
      pass().forget();
      expect(gate.isOpen).toBe(true);
    });
  });

  describe("when one errand fails", () => {
    const REFUSALS = [400, 401, 402, 403, 404, 405, 409, 413, 429, 431, 451, 500, 502, 503, 302].map(
      (status) => [`${status}`, refused(status)] as const,
    );
    const FAILURES = [...REFUSALS, ["nonsense", nonsense()], ["a lost answer", lostAnswer()]] as const;

    test.each([...FAILURES, ["a deadline", failed("maybeApplied", "DEADLINE_EXCEEDED")]] as const)(
      "with %s, it waits, and nobody else does",
      (_name, reply) => {
        fail(A, reply);
        expect(waitMs(A)).toBeGreaterThan(0);
        for (const other of [B, "report", "aside task"] as const) expect(waitMs(other)).toBeUndefined();
        expect(gate.isOpen).toBe(true);
        expect(gate.isRefusedAlone(A)).toBe(true);
      },
    );

    test.each(FAILURES)(
      "with %s again and again, it never shuts the gate, whoever passes meanwhile",
      (_name, reply) => {
        for (let i = 0; i < 20; i += 1) {
          clock.advance(waitMs(A) ?? 0);
          fail(A, reply);
          fail("aside task", reply);
          succeed(B);
          succeed("report");
          expect(gate).toMatchObject({ isOpen: true, isReachable: true });
        }
        expect(waitMs(A)).toBeGreaterThan(400);
      },
    );

    test("and does not ask again once its wait is over, it is not taken for refused any more", () => {
      fail(A, refused(403));
      expect(gate.isRefusedAlone(A)).toBe(true);
      clock.advance(waitMs(A)!);
      expect(gate.isRefusedAlone(A)).toBe(false);
      const probe = pass(A);
      expect(gate.isRefusedAlone(A), "while it asks").toBe(true);
      probe.forget();
      expect(gate.isRefusedAlone(A), "after a request that said nothing").toBe(true);
    });

    test("its Retry-After is its own", () => {
      fail(A, refused(429, undefined, { retryAfterMs: 20_000 }));
      expect(waitMs(A)).toBe(20_000);
      expect(waitMs(B)).toBeUndefined();
    });

    test("probe after probe its wait grows, and a success ends that", () => {
      const waits: number[] = [];
      for (let i = 0; i < 5; i += 1) {
        fail(A);
        waits.push(Math.round(waitMs(A)!));
        clock.advance(waitMs(A)!);
      }
      expect(waits).toEqual([500, 1_000, 2_000, 4_000, 4_167]);
      const probe = pass(A);
      expect(probe.isProbe).toBe(true);
      expect(waitMs(A)).toBe(1_000);
      probe.report(DONE);
      expect(waitMs(A)).toBeUndefined();
      fail(A);
      expect(waitMs(A)).toBe(500);
    });

    test("nothing says that the server is reachable until somebody succeeds", () => {
      fail(A);
      expect(gate).toMatchObject({ isOpen: true, isReachable: false });
      succeed(B);
      expect(gate.isReachable).toBe(true);
    });

    test.each([
      ["a lost answer", lostAnswer()],
      ["503", refused(503)],
    ])("aside (%s), nobody waits: it may be the only one who is refused", (_name, reply) => {
      for (let i = 0; i < 2; i += 1) fail("aside task", reply);
      expect(waitMs("aside task")).toBeUndefined();
      fail("aside task", reply);
      for (const errand of [A, "report", "aside sizes"] as const) expect(waitMs(errand)).toBeUndefined();
      expect(gate).toMatchObject({ isOpen: true, isReachable: true });
    });
  });

  describe("reports", () => {
    test("that are refused shut their errand with the third, and a success of one opens it", () => {
      fail("report", refused(400));
      fail("report", refused(400));
      expect(waitMs("report")).toBeUndefined();
      fail("report", refused(400));
      expect(waitMs("report")).toBe(500);
      expect(waitMs(A)).toBeUndefined();
      clock.advance(500);
      succeed("report");
      expect(waitMs("report")).toBeUndefined();
    });

    test("of which one is taken in between are refused for what they are", () => {
      for (let i = 0; i < 10; i += 1) {
        fail("report", refused(400));
        fail("report", refused(400));
        succeed("report");
      }
      expect(waitMs("report")).toBeUndefined();
    });

    test("that failed before do not shut it again", () => {
      for (let i = 0; i < 10; i += 1) fail("report", refused(400), true);
      expect(waitMs("report")).toBeUndefined();
      expect(gate.isReachable).toBe(true);
    });

    test("that failed before let the others go first while it is shut", () => {
      for (let i = 0; i < 3; i += 1) fail("report", refused(400));
      clock.advance(500);
      expect(waitMs("report", true)).toBe(250);
      expect(waitMs("report")).toBeUndefined();
    });

    test("of which one is refused with a Retry-After go on: it may be the only one", () => {
      fail("report", refused(429, undefined, { retryAfterMs: 20_000 }));
      expect([waitMs("report"), waitMs(A)]).toEqual([undefined, undefined]);
    });

    test("that get no answer in time shut it for nobody: they may be too large", () => {
      for (let i = 0; i < 10; i += 1) fail("report", failed("maybeApplied", "DEADLINE_EXCEEDED"));
      expect(waitMs("report")).toBeUndefined();
    });

    test("small ones may go beside one that was refused, and open it for all", () => {
      for (let i = 0; i < 3; i += 1) fail("report", refused(400));
      gate.admitBeside("report")!.report(meaningOf(refused(400)));
      expect(waitMs("report")).toBe(500);
      gate.admitBeside("report")!.report(DONE);
      expect(waitMs("report")).toBeUndefined();
      fail("report", unreachable());
      expect(gate.admitBeside("report")).toBeUndefined();
    });
  });

  describe("is shut for all", () => {
    test("when nothing can be sent at all, by whoever finds out", () => {
      fail("aside task", unreachable());
      expect(gate.isOpen).toBe(false);
      expect(waitOfAll()).toBe(100);
    });

    test.each([
      [A, B],
      [A, "report"],
      ["report", A],
    ] as const)("when a second errand fails with no success in between: %s and %s", (first, second) => {
      fail(first);
      expect(gate.isOpen).toBe(true);
      fail(second);
      expect(gate.isOpen).toBe(false);
      expect(waitOfAll()).toBe(500);
    });

    test("not when somebody succeeded in between, nor by one that has been refused for long", () => {
      fail(A);
      succeed("aside task");
      fail(B);
      expect(gate.isOpen).toBe(true);
      succeed(C);
      clock.advance(5_000);
      fail(A);
      fail(B);
      expect(gate.isOpen).toBe(true);
    });

    const shut = (reply: Reply<unknown> = refused(503)) => {
      fail(A, reply);
      fail(B, reply);
    };

    test("nobody passes until the wait is over; then one, and the rest ask again", () => {
      fail(A, unreachable());
      expect(waitOfAll()).toBe(100);
      clock.advance(60);
      expect(waitOfAll()).toBe(40);
      clock.advance(40);
      expect(pass(C).isProbe).toBe(true);
      expect(waitOfAll()).toBe(1_000);
      expect(waitMs("report")).toBe(1_000);
    });

    test("probe after probe the wait grows, up to the cap of its class", () => {
      shut();
      const waits: number[] = [];
      for (let i = 0; i < 5; i += 1) {
        waits.push(Math.round(waitOfAll()!));
        clock.advance(waitOfAll()!);
        fail(C);
      }
      expect(waits.slice(0, 4)).toEqual([500, 1_000 + 250, 2_000 + 250, 4_000 + 250]); // the last probe goes last
    });

    test("requests that were under way together are one failure, not many", () => {
      const together = [pass(A), pass(B), pass(C), pass("report")];
      clock.advance(10);
      for (const permit of together) permit.report(meaningOf(refused(503)));
      expect(waitMs("poll d")).toBe(500);
    });

    test("a late failure of a request that began before does not lengthen the wait, but its Retry-After is obeyed", () => {
      const [slow, slower] = [pass(C), pass("report")];
      clock.advance(1);
      shut();
      clock.advance(450);
      slow.report(meaningOf(lostAnswer()));
      expect(waitMs("poll d")).toBe(50);
      slower.report(meaningOf(refused(503, undefined, { retryAfterMs: 20_000 })));
      expect(waitMs("poll d")).toBe(20_000);
    });

    test("who has not been refused goes before who has, and who was the last probe after both", () => {
      shut();
      clock.advance(500);
      expect(waitMs(A)).toBe(250);
      fail(C);
      clock.advance(1_000);
      expect(waitMs(C)).toBe(250);
      expect(waitMs("report", true)).toBe(250);
      expect(waitMs("report")).toBeUndefined();
    });

    test("a success opens it, and what was refused with the others passes at once", () => {
      shut();
      clock.advance(500);
      succeed(C);
      expect(gate).toMatchObject({ isOpen: true, isReachable: true });
      expect([waitMs(A), waitMs(B)]).toEqual([undefined, undefined]);
    });

    test("who has been refused alone since before goes on waiting", () => {
      for (let i = 0; i < 4; i += 1) {
        fail(A, refused(403));
        succeed(C);
        clock.advance(waitMs(A)!);
      }
      fail(A, refused(403));
      const alone = waitMs(A)!;
      fail(B);
      fail("report");
      expect(gate.isOpen).toBe(false);
      clock.advance(500);
      succeed(C);
      expect(waitMs("report")).toBeUndefined();
      expect(waitMs(A)).toBe(alone - 500);
    });

    test("that a task can be fetched opens it, and says nothing of those who were refused", () => {
      shut(refused(403));
      clock.advance(waitMs("aside task")!);
      succeed("aside task");
      expect(gate.isOpen).toBe(true);
      expect(waitMs(C)).toBeUndefined();
    });

    test("a probe that says nothing is followed by another after as long again", () => {
      shut();
      clock.advance(500);
      pass(C).forget();
      expect(waitMs("report")).toBe(500);
      expect(waitMs(C)).toBe(750);
    });

    test("a request that was held since before does not open a gate that refusals have shut", () => {
      const held = pass(C);
      clock.advance(1);
      shut();
      held.report(DONE);
      expect(gate.isOpen).toBe(false);
    });

    test("but opens one that broken connections have shut", () => {
      const held = pass(C);
      clock.advance(1);
      shut(lostAnswer());
      held.report(DONE);
      expect(gate.isOpen).toBe(true);
    });

    test("a request that cannot wait may be a probe beside the others, every half second, and counts only as a success", () => {
      shut();
      const urgent = gate.admitUrgent("report") as Permit;
      expect(urgent.isProbe).toBe(true);
      expect(gate.admitUrgent("report")).toEqual({ waitMs: 500 });
      urgent.report(meaningOf(refused(503)));
      expect(waitOfAll()).toBe(500);
      clock.advance(400);
      clock.advance(100);
      (gate.admitUrgent("report") as Permit).report(DONE);
      expect(gate.isOpen).toBe(true);
    });

    test("a probe that is never reported does not keep it shut for ever", () => {
      fail(A, unreachable());
      clock.advance(200);
      expect(pass(C).isProbe).toBe(true); // and forgotten
      clock.advance(3_600_000);
      expect(waitMs(C)).toBeUndefined();
    });
  });

  test("a permit counts once", () => {
    const permit = pass();
    permit.report(meaningOf(unreachable()));
    permit.report(DONE);
    permit.report(meaningOf(unreachable()));
    expect(waitOfAll()).toBe(100);
  });

  describe("a change is announced", () => {
    test("when the gate is shut and when it opens, and to nobody who has gone", () => {
      const listener = vi.fn();
      const gone = vi.fn();
      gate.onChange(listener);
      gate.onChange(gone)();
      fail(A, unreachable());
      expect(listener).toHaveBeenCalledTimes(1);
      clock.advance(100);
      succeed(C);
      expect(listener).toHaveBeenCalledTimes(2);
      succeed(C);
      expect(listener).toHaveBeenCalledTimes(2);
      expect(gone).not.toHaveBeenCalled();
    });

    test("to a listener that asks at once, which is let through", () => {
      fail(A, unreachable());
      clock.advance(100);
      const probe = pass(C);
      let admitted: unknown;
      gate.onChange(() => (admitted = gate.admit(B)));
      probe.report(DONE);
      expect(admitted).toMatchObject({ isProbe: false });
    });

    test("when an errand that was refused alone passes again", () => {
      fail(A);
      const listener = vi.fn();
      gate.onChange(listener);
      clock.advance(500);
      succeed(A);
      expect(listener).toHaveBeenCalledTimes(1);
    });
  });
});
