import { describe, expect, test } from "vitest";
import { inOwnTime } from "../../../../src/supervisor/primary/own-time.js";
import { FakeClock } from "../../../support/time/fake-clock.js";

/** A clock whose process can be stopped: time goes on, and what is due meanwhile comes at its end. */
class StoppableClock extends FakeClock {
  #stoppedMs = 0;

  override now(): number {
    return super.now() + this.#stoppedMs;
  }

  stopFor(ms: number): void {
    this.#stoppedMs += ms;
  }
}

describe("the supervisor's own time", () => {
  test("a timer comes when it is due", () => {
    const clock = new StoppableClock();
    let calls = 0;
    inOwnTime(clock, 1_000).setTimer(() => (calls += 1), 2_500);
    clock.advance(2_499);
    expect(calls).toBe(0);
    clock.advance(1);
    expect(calls).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  test("one that is cleared does not, in whichever slice", () => {
    const clock = new StoppableClock();
    const own = inOwnTime(clock, 1_000);
    const timer = own.setTimer(() => expect.unreachable(), 2_500);
    clock.advance(1_500);
    own.clearTimer(timer);
    expect(clock.pendingTimers).toBe(0);
    own.clearTimer(undefined);
  });

  test.each([500, 2_200])("a pause %d ms after the beginning leaves time to hear what came meanwhile", (afterMs) => {
    const clock = new StoppableClock();
    let calls = 0;
    inOwnTime(clock, 1_000).setTimer(() => (calls += 1), 2_500);
    clock.advance(afterMs);
    clock.stopFor(3_600_000);
    clock.advance(1_000);
    expect(calls).toBe(0);
    clock.advance(2_500);
    expect(calls).toBe(1);
  });
});
