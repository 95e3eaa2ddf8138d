import { describe, expect, test } from "vitest";
import { isPoisonous, judgeUpdate } from "../../../../src/runner/delivery/update-verdict.js";
import { answered, failed, handOut, lostAnswer, nonsense, refused, unreachable } from "../../../support/unit/runner.js";

describe("the verdict on an update", () => {
  test("an acknowledgement may carry the next task", () => {
    const next = handOut();
    expect(judgeUpdate(answered<true>(true), "v1")).toEqual({ kind: "acknowledged", next: undefined });
    expect(judgeUpdate(answered(null), "v2")).toEqual({ kind: "acknowledged", next: undefined });
    expect(judgeUpdate(answered(next), "v2")).toEqual({ kind: "acknowledged", next });
  });

  const retry = { kind: "retry", fault: "none" };
  const ownFault = { kind: "retry", fault: "own" };
  const perhaps = { kind: "retry", fault: "maybe" };
  const askV1 = { kind: "askV1" };

  test.each([
    ["a refused connection", unreachable(), retry, retry],
    ["a lost answer", lostAnswer(), retry, retry],
    ["a deadline", failed("maybeApplied", "DEADLINE_EXCEEDED"), retry, retry],
    ["an answer of nonsense", nonsense(), retry, retry],
    ["a body that cannot be sent", failed("notSent", "INVALID_REQUEST"), { kind: "rejected" }, { kind: "rejected" }],
    ["404 no such task", refused(404, "No such task found by id: a"), { kind: "gone" }, { kind: "gone" }],
    ["404 no such workflow", refused(404, "no such workflow a"), { kind: "gone" }, { kind: "gone" }],
    ["404 task not found", refused(404, "Task not found"), { kind: "gone" }, { kind: "gone" }],
    ["404 no such endpoint", refused(404, "No static resource api/tasks/update-v2."), perhaps, askV1],
    ["404 of a gateway's JSON", refused(404, "No message available"), perhaps, askV1],
    ["a proxy's 404", refused(404), retry, askV1],
    ["405", refused(405, "Method not allowed"), { kind: "rejected", why: "Method not allowed" }, askV1],
    ["501", refused(501), retry, askV1],
    ["400", refused(400, "bad"), { kind: "rejected", why: "bad" }, { kind: "rejected", why: "bad" }],
    ["409", refused(409, "conflict"), { kind: "rejected", why: "conflict" }, { kind: "rejected", why: "conflict" }],
    ["a proxy's 413", refused(413), { kind: "rejected", why: "HTTP 413" }, { kind: "rejected", why: "HTTP 413" }],
    ["422", refused(422), { kind: "rejected" }, { kind: "rejected" }],
    ["a proxy's 400", refused(400), { kind: "rejected", why: "HTTP 400" }, { kind: "rejected", why: "HTTP 400" }],
    ["a maintenance page's 405", refused(405), perhaps, askV1],
    ["500 in Conductor's words", refused(500, "boom", { retryable: false }), ownFault, ownFault],
    ["500 that may pass", refused(500, "boom", { retryable: true }), retry, retry],
    ["a proxy's 500", refused(500), perhaps, perhaps],
    ["401", refused(401, "no"), retry, retry],
    ["403", refused(403, "no"), perhaps, perhaps],
    ["408", refused(408), retry, retry],
    ["429", refused(429, "slow down"), retry, retry],
    ["502", refused(502), retry, retry],
    ["503", refused(503, "later"), retry, retry],
    ["504", refused(504), retry, retry],
    ["a redirect", refused(302), retry, retry],
  ])("%s: by POST /tasks, and by update-v2", (_name, reply, v1, v2) => {
    expect(judgeUpdate(reply, "v1")).toMatchObject(v1);
    expect(judgeUpdate(reply, "v2")).toMatchObject(v2);
  });

  test.each([
    ["own", 3, 1e9, true, false],
    ["own", 4, 0, false, false],
    ["own", 4, 59_999, false, false],
    ["own", 4, 60_000, false, true],
    ["own", 4, 0, true, true],
    ["own", 100, 0, false, false],
    ["maybe", 4, 0, true, true],
    ["maybe", 100, 1e9, false, false],
  ] as const)(
    "%s: %i refusals in %i ms, others accepted: %s: poisonous: %s",
    (kind, refusals, sinceMs, othersAccepted, expected) => {
      expect(isPoisonous(kind, refusals, sinceMs, othersAccepted)).toBe(expected);
    },
  );
});
