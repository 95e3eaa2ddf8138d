import { describe, expect, test } from "vitest";
import {
  fateOfResult,
  isPoison,
  NO_EVIDENCE,
  withRefusal,
  type Evidence,
} from "../../../../src/runner/answers/result-fate.js";
import { answered, failed, handOut, lostAnswer, nonsense, refused, unreachable } from "../../../support/unit/runner.js";

describe("the fate of a result", () => {
  test("an acknowledgement may carry the next task", () => {
    const next = handOut();
    expect(fateOfResult(answered<true>(true), "v1")).toEqual({ kind: "acknowledged", next: undefined });
    expect(fateOfResult(answered(null), "v2")).toEqual({ kind: "acknowledged", next: undefined });
    expect(fateOfResult(answered(next), "v2")).toEqual({ kind: "acknowledged", next });
  });

  const retry = { kind: "retry", fault: "none" };
  const ownFault = { kind: "retry", fault: "own" };
  const perhaps = { kind: "retry", fault: "maybe" };
  const askV1 = { kind: "askV1" };
  const rejected = (why: string) => ({ kind: "rejected", why });

  test.each([
    ["a refused connection", unreachable(), retry, retry],
    ["a lost answer", lostAnswer(), perhaps, perhaps],
    ["a deadline", failed("maybeApplied", "DEADLINE_EXCEEDED"), perhaps, perhaps],
    ["an answer of nonsense", nonsense(), perhaps, askV1],
    ["a body that cannot be sent", failed("notSent", "INVALID_REQUEST"), { kind: "rejected" }, { kind: "rejected" }],
    ["404 no such task", refused(404, "No such task found by id: a"), { kind: "gone" }, { kind: "gone" }],
    ["404 no such workflow", refused(404, "no such workflow a"), { kind: "gone" }, { kind: "gone" }],
    ["404 task not found", refused(404, "Task not found"), { kind: "gone" }, { kind: "gone" }],
    ["404 no such endpoint", refused(404, "No static resource api/tasks/update-v2."), perhaps, askV1],
    ["405 in Conductor's words", refused(405, "Method not allowed"), perhaps, askV1],
    ["400 in Conductor's words", refused(400, "bad"), rejected("bad"), askV1],
    ["409 in Conductor's words", refused(409, "conflict"), rejected("conflict"), askV1],
    ["500 in Conductor's words", refused(500, "boom", { retryable: false }), ownFault, askV1],
    ["500 that may pass", refused(500, "boom", { retryable: true }), perhaps, perhaps],
    ["503 in Conductor's words", refused(503, "later"), perhaps, perhaps],
    ["429 in Conductor's words", refused(429, "slow down"), perhaps, perhaps],
    ["401 in Conductor's words", refused(401, "no"), perhaps, askV1],
    ["403 in Conductor's words", refused(403, "no"), perhaps, askV1],
  ])("%s: by POST /tasks, and by update-v2", (_name, reply, v1, v2) => {
    expect(fateOfResult(reply, "v1")).toMatchObject(v1);
    expect(fateOfResult(reply, "v2")).toMatchObject(v2);
  });

  test("no refusal of a stranger's ends it, whatever the status", () => {
    for (let status = 300; status < 600; status += 1) {
      expect({ status, ...fateOfResult(refused(status), "v1") }).toMatchObject({ status, kind: "retry" });
      expect(["retry", "askV1"]).toContain(fateOfResult(refused(status), "v2").kind);
    }
  });

  test.each([408, 425, 429, 500, 502, 503, 504])(
    "a stranger's %i to update-v2 sends nobody to POST /tasks",
    (status) => {
      expect(fateOfResult(refused(status), "v2")).toEqual(perhaps);
    },
  );
});

describe("the evidence against a result", () => {
  const seen = (alone: number, together: number): Evidence => ({ alone, together });

  test.each([
    ["refused alone eight times", seen(8, 0), true],
    ["refused alone seven times", seen(7, 0), false],
    ["refused with others as well, so often as alone", seen(8, 8), false],
    ["refused alone eight times more than with others", seen(13, 5), true],
    ["refused only with others", seen(0, 8), false],
  ])("%s: %s", (_name, evidence, expected) => {
    expect(isPoison("maybe", evidence, 100, 1e9)).toBe(expected);
  });

  test("where Conductor itself fails over it, four times do, with others taken beside it or a minute gone by", () => {
    expect(isPoison("own", seen(3, 0), 3, 1e9)).toBe(false);
    expect(isPoison("own", seen(2, 0), 4, 0)).toBe(true);
    // The last refusal of an outage has something taken right after it.
    expect(isPoison("own", seen(1, 0), 4, 0)).toBe(false);
    expect(isPoison("own", seen(2, 1), 4, 0)).toBe(false);
    expect(isPoison("own", NO_EVIDENCE, 4, 59_999)).toBe(false);
    expect(isPoison("own", NO_EVIDENCE, 4, 60_000)).toBe(true);
  });

  test("a long outage is forgotten by eight refusals alone and the eight it counted for", () => {
    let evidence = NO_EVIDENCE;
    for (let i = 0; i < 1_000; i += 1) evidence = withRefusal(evidence, "refused");
    for (let i = 0; i < 16; i += 1) {
      expect(isPoison("maybe", evidence, 1_000, 1e9)).toBe(false);
      evidence = withRefusal(evidence, "taken");
    }
    expect(isPoison("maybe", evidence, 1_000, 1e9)).toBe(true);
  });

  test("a stranger who refuses every second request at random ends less than one result of 5,000", () => {
    // By the numbers: refused each time, and something passing beside it or not, until it is sure or it gets through.
    let sure = 0;
    const walk = (evidence: Evidence, probability: number): void => {
      if (probability < 1e-9) return;
      if (isPoison("maybe", evidence, 1, 0)) sure += probability;
      else for (const beside of ["taken", "refused"] as const) walk(withRefusal(evidence, beside), probability / 4);
    };
    walk(NO_EVIDENCE, 1);
    expect(sure).toBeLessThan(1 / 5_000);
    expect(sure).toBeGreaterThan(0);
  });
});
