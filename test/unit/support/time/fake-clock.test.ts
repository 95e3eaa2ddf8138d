import { describe, expect, test } from "vitest";
import { FakeClock } from "../../../support/time/fake-clock.js";

describe("the fake clock", () => {
  describe("advance", () => {
    test("fires what is due, in the order it is due", () => {
      const clock = new FakeClock();
      const fired: string[] = [];
      clock.setTimer(() => fired.push(`b@${clock.now()}`), 20);
      clock.setTimer(() => fired.push(`a@${clock.now()}`), 10);
      clock.setTimer(() => fired.push(`c@${clock.now()}`), 20);
      clock.setTimer(() => fired.push(`late@${clock.now()}`), 31);
      clock.advance(30);
      expect(fired).toEqual(["a@10", "b@20", "c@20"]);
      expect(clock.now()).toBe(30);
      expect(clock.pendingTimers).toBe(1);
      expect(clock.nextTimerInMs).toBe(1);
    });

    test("honours timers that are set while it fires", () => {
      const clock = new FakeClock({ startMs: 1_000 });
      const fired: number[] = [];
      const tick = () => {
        fired.push(clock.now());
        clock.setTimer(tick, 10);
      };
      clock.setTimer(tick, 10);
      clock.advance(35);
      expect(fired).toEqual([1_010, 1_020, 1_030]);
      clock.advance(5);
      expect(fired).toEqual([1_010, 1_020, 1_030, 1_040]);
    });

    test("a cleared timer does not fire, also when it is cleared by one due at the same time", () => {
      const clock = new FakeClock();
      const fired: string[] = [];
      clock.setTimer(() => {
        fired.push("first");
        clock.clearTimer(second);
      }, 5);
      const second = clock.setTimer(() => fired.push("second"), 5);
      clock.advance(5);
      clock.clearTimer(second);
      clock.clearTimer("unknown");
      expect(fired).toEqual(["first"]);
      expect(clock.pendingTimers).toBe(0);
      expect(clock.nextTimerInMs).toBeUndefined();
    });

    test("a delay below zero is due now, not in the past", () => {
      const clock = new FakeClock();
      clock.advance(10);
      let atMs: number | undefined;
      clock.setTimer(() => (atMs = clock.now()), -5);
      clock.advance(0);
      expect(atMs).toBe(10);
    });

    test("refuses what would hide a mistake", () => {
      const clock = new FakeClock();
      expect(() => {
        clock.advance(-1);
      }).toThrow(RangeError);
      expect(() => clock.setTimer(() => {}, Number.NaN)).toThrow("NaN");
      clock.setTimer(() => {
        clock.advance(1);
      }, 1);
      expect(() => {
        clock.advance(1);
      }).toThrow("already advancing");
    });

    test("a timer that sets itself again with 0 ms is an error, not a hang", () => {
      const clock = new FakeClock();
      const again = () => {
        clock.setTimer(again, 0);
      };
      again();
      expect(() => {
        clock.advance(1);
      }).toThrow("set itself again");
    });
  });

  describe("advanceAsync", () => {
    test("lets promise chains settle between timers", async () => {
      const clock = new FakeClock();
      const sleep = (ms: number) => new Promise<void>((resolve) => clock.setTimer(resolve, ms));
      const fired: number[] = [];
      const loop = (async () => {
        await Promise.resolve();
        for (let i = 0; i < 3; i++) {
          await sleep(10);
          await Promise.resolve().then(() => Promise.resolve());
          fired.push(clock.now());
        }
      })();
      await clock.advanceAsync(25);
      expect(fired).toEqual([10, 20]);
      await clock.advanceAsync(5);
      await loop;
      expect(fired).toEqual([10, 20, 30]);
    });

    test("lets chains settle after the last timer, too", async () => {
      const clock = new FakeClock();
      let done = false;
      clock.setTimer(() => void Promise.resolve().then(() => (done = true)), 10);
      await clock.advanceAsync(10);
      expect(done).toBe(true);
    });
  });

  test("the wall clock goes along and jumps alone", () => {
    const clock = new FakeClock({ startMs: 500, wallStartMs: 1_000_000 });
    clock.advance(10);
    expect(clock.wallNow()).toBe(1_000_010);
    let fired = 0;
    clock.setTimer(() => fired++, 100);
    clock.jumpWall(-60_000);
    expect(clock.wallNow()).toBe(940_010);
    expect(clock.now()).toBe(510);
    clock.jumpWall(120_000);
    clock.advance(99);
    expect(fired).toBe(0);
    clock.advance(1);
    expect(fired).toBe(1);
  });
});
