import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createProgressLine } from "../../../../support/servers/real-conductor/progress-line.js";

describe("the progress line", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  function screen(properties: { isTTY?: boolean; columns?: number } = {}) {
    const written: string[] = [];
    return { written, output: { ...properties, write: (text: string) => written.push(text) } };
  }

  test("on a terminal one line is drawn again every second, and taken away", () => {
    const { written, output } = screen({ isTTY: true, columns: 80 });
    const line = createProgressLine(output);
    line.step("starting");
    vi.advanceTimersByTime(2_000);
    line.clear();
    vi.advanceTimersByTime(5_000);
    expect(written).toEqual(["\r\x1b[Kstarting …", "\r\x1b[Kstarting … 1 s", "\r\x1b[Kstarting … 2 s", "\r\x1b[K"]);
  });

  test("on a narrow terminal the line does not wrap", () => {
    const { written, output } = screen({ isTTY: true, columns: 10 });
    const line = createProgressLine(output);
    line.step("starting the server");
    line.clear();
    expect(written[0]).toBe("\r\x1b[Kstarting ");
  });

  test("elsewhere there are plain lines, now and then", () => {
    const { written, output } = screen();
    const line = createProgressLine(output);
    line.step("fetching");
    vi.advanceTimersByTime(25_000);
    line.step("starting");
    line.clear();
    line.clear();
    expect(written).toEqual(["fetching …\n", "… 10 s\n", "… 20 s\n", "starting …\n"]);
  });
});
