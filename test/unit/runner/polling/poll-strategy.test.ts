import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  afterChain,
  afterPoll,
  INITIAL_POLL_STATE,
  nextPoll,
  paceMs,
  type PollPlan,
  type PollState,
} from "../../../../src/runner/polling/poll-strategy.js";

const now = { freeSlots: 10, longPollMs: 2_000, isProbe: false };
const scout: PollPlan = { kind: "scout", count: 1, timeoutMs: 2_000 };
const sweep: PollPlan = { kind: "sweep", count: 10, timeoutMs: 0 };
const brought = (received: number, durationMs = 50, useful = received) => ({ received, useful, durationMs });

describe("the poll strategy", () => {
  describe("what to ask for", () => {
    test("idle: one task, held by the server", () => {
      expect(nextPoll(INITIAL_POLL_STATE, now)).toEqual(scout);
      expect(afterPoll(INITIAL_POLL_STATE, scout, brought(0, 2_000))).toEqual(INITIAL_POLL_STATE);
    });

    test("a scout that brought one is followed by a sweep, which ends short, and by a scout", () => {
      const found = afterPoll(INITIAL_POLL_STATE, scout, brought(1));
      expect(nextPoll(found, now)).toEqual(sweep);
      const swept = afterPoll(found, sweep, brought(9));
      expect(swept.backlog).toBe(false);
      expect(nextPoll(swept, now)).toEqual(scout);
    });

    test("a sweep that came back full says that there is a backlog: sweep on, until one comes back short", () => {
      const full = afterPoll(INITIAL_POLL_STATE, sweep, brought(10));
      expect(full.backlog).toBe(true);
      expect(nextPoll(full, { ...now, freeSlots: 3 })).toEqual({ kind: "sweep", count: 3, timeoutMs: 0 });
      expect(nextPoll(afterPoll(full, sweep, brought(0)), now)).toEqual(scout);
    });

    test("the probe is short, and asks for one task at least", () => {
      expect(nextPoll(INITIAL_POLL_STATE, { ...now, freeSlots: 0, isProbe: true })).toEqual({ ...sweep, count: 1 });
    });

    test("a chained task says that there is a backlog, an empty chain that there is none", () => {
      expect(afterChain(INITIAL_POLL_STATE, true).backlog).toBe(true);
      expect(afterChain({ ...INITIAL_POLL_STATE, backlog: true }, false).backlog).toBe(false);
      expect(afterChain(INITIAL_POLL_STATE, false)).toBe(INITIAL_POLL_STATE);
    });
  });

  describe("pacing", () => {
    const after = (count: number, answer = brought(0, 5)) => {
      let state: PollState = INITIAL_POLL_STATE;
      for (let i = 0; i < count; i += 1) state = afterPoll(state, scout, answer);
      return state;
    };

    test("a queue that answers at once with nothing is asked ever less often, up to the hold", () => {
      expect([0, 1, 2, 3, 4, 5, 6, 50].map((count) => paceMs(after(count), 2_000))).toEqual([
        0, 100, 200, 400, 800, 1_600, 2_000, 2_000,
      ]);
    });

    test("with a short hold, up to a second", () => {
      expect(paceMs(after(20), 100)).toBe(1_000);
    });

    test("a hold of 0 is paced, for nothing tells a held answer from an early one", () => {
      const state = afterPoll(INITIAL_POLL_STATE, { ...scout, timeoutMs: 0 }, brought(0, 0));
      expect(paceMs(state, 0)).toBe(100);
    });

    test("tasks that we have already are no reason to ask again at once", () => {
      expect(paceMs(afterPoll(INITIAL_POLL_STATE, scout, brought(1, 1_900, 0)), 2_000)).toBe(100);
      expect(paceMs(afterPoll(INITIAL_POLL_STATE, sweep, brought(10, 5, 0)), 2_000)).toBe(100);
    });

    test("an empty sweep is no sign of anything", () => {
      expect(paceMs(afterPoll(INITIAL_POLL_STATE, sweep, brought(0, 5)), 2_000)).toBe(0);
      expect(afterPoll(after(3), sweep, brought(0, 5)).hollow).toBe(3);
    });

    test("a task, or an answer that was held, ends it", () => {
      expect(paceMs(afterPoll(after(5), scout, brought(1)), 2_000)).toBe(0);
      expect(paceMs(afterPoll(after(5), scout, brought(0, 1_990)), 2_000)).toBe(0);
    });
  });

  test("whatever is answered, and however fast: few polls that bring nothing to do", () => {
    const answer = fc.record({
      received: fc.integer({ min: 0, max: 3 }),
      useful: fc.constant(0),
      share: fc.constantFrom(0, 0, 0.1, 0.49, 0.51, 1),
    });
    fc.assert(
      fc.property(
        fc.array(answer, { minLength: 20, maxLength: 200 }),
        fc.constantFrom(0, 1, 50, 500, 2_000, 5_000),
        fc.boolean(),
        (answers, longPollMs, backlog) => {
          let state: PollState = { ...INITIAL_POLL_STATE, backlog };
          let atMs = 0;
          let held = 0;
          for (const { received, useful, share } of answers) {
            const plan = nextPoll(state, { ...now, longPollMs });
            const durationMs = plan.timeoutMs * share;
            if (share > 0.5) held += 1;
            atMs += durationMs;
            state = afterPoll(state, plan, { received, useful, durationMs });
            atMs += paceMs(state, longPollMs);
          }
          // Ten a second once the first pace is set; what was held as asked paces itself.
          expect(answers.length - held).toBeLessThanOrEqual(2 + atMs / 100);
        },
      ),
    );
  });

  describe("the kind of queue is learned", () => {
    const taught = (answers: readonly { received: number; durationMs: number }[]) => {
      let state = INITIAL_POLL_STATE;
      for (const { received, durationMs } of answers) {
        const plan = nextPoll({ ...state, sweepNext: false }, { freeSlots: 10, longPollMs: 2_000, isProbe: false });
        state = afterPoll({ ...state, sweepNext: false }, plan, { received, useful: received, durationMs });
      }
      return nextPoll({ ...state, sweepNext: false }, { freeSlots: 10, longPollMs: 2_000, isProbe: false });
    };
    const scouted = Array.from({ length: 4 }, () => ({ received: 1, durationMs: 50 }));

    test("after a few scouts that found something, by a short trial", () => {
      expect(taught(scouted.slice(1))).toMatchObject({ kind: "scout", count: 1 });
      expect(taught(scouted)).toMatchObject({ kind: "trial", count: 10, timeoutMs: 300 });
    });

    test("eager: it answered at the first task, however late in the trial that came", () => {
      expect(taught([...scouted, { received: 1, durationMs: 20 }])).toMatchObject({ kind: "hold", count: 10 });
      expect(taught([...scouted, { received: 1, durationMs: 290 }])).toMatchObject({ kind: "hold", count: 10 });
    });

    test("patient: it waited for the rest; and it is tried again only after a long time", () => {
      const patient = [...scouted, { received: 1, durationMs: 305 }];
      expect(taught(patient)).toMatchObject({ kind: "scout", count: 1 });
      const many = Array.from({ length: 999 }, () => ({ received: 1, durationMs: 50 }));
      expect(taught([...patient, ...many])).toMatchObject({ kind: "scout" });
      expect(taught([...patient, ...many, { received: 1, durationMs: 50 }])).toMatchObject({ kind: "trial" });
    });

    test("what was taken for eager and waits all the same is patient", () => {
      const mistaken = [...scouted, { received: 1, durationMs: 20 }, { received: 1, durationMs: 2_001 }];
      expect(taught(mistaken)).toMatchObject({ kind: "scout" });
    });
  });
});
