import { describe, expect, test, vi } from "vitest";
import { Wakeup } from "../../../src/runner/wakeup.js";
import { FakeClock } from "../../support/time/fake-clock.js";

function setUp() {
  const clock = new FakeClock();
  return { clock, wakeup: new Wakeup(clock) };
}

describe("the wakeup", () => {
  test("wakes when it is told to, and leaves no timer behind", async () => {
    const { clock, wakeup } = setUp();
    const waiting = wakeup.wait(1_000);
    wakeup.wake();
    await waiting;
    expect(clock.now()).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  test("wakes when the time is over", async () => {
    const { clock, wakeup } = setUp();
    const woken = vi.fn();
    void wakeup.wait(1_000).then(woken);
    await clock.advanceAsync(999);
    expect(woken).not.toHaveBeenCalled();
    await clock.advanceAsync(1);
    expect(woken).toHaveBeenCalledOnce();
  });

  test("a wake before the wait is not lost, and several are one", async () => {
    const { clock, wakeup } = setUp();
    wakeup.wake();
    wakeup.wake();
    await wakeup.wait(1_000);
    const woken = vi.fn();
    void wakeup.wait(1_000).then(woken);
    await clock.advanceAsync(10);
    expect(woken).not.toHaveBeenCalled();
  });

  test("a wake that ended a wait does not end the next", async () => {
    const { clock, wakeup } = setUp();
    const first = wakeup.wait(1_000);
    wakeup.wake();
    await first;
    const woken = vi.fn();
    void wakeup.wait(1_000).then(woken);
    await clock.advanceAsync(999);
    expect(woken).not.toHaveBeenCalled();
    await clock.advanceAsync(1);
    expect(woken).toHaveBeenCalled();
  });
});
