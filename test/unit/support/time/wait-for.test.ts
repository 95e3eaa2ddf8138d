import { describe, expect, test } from "vitest";
import { waitFor } from "../../../support/time/wait-for.js";

describe("waitFor", () => {
  test("resolves with the first truthy value", async () => {
    let looks = 0;
    const seen = await waitFor(() => (++looks < 3 ? undefined : `look ${looks}`), { what: "three looks", everyMs: 1 });
    expect(seen).toBe("look 3");
  });

  test("takes promises", async () => {
    expect(await waitFor(() => Promise.resolve(7), { what: "seven" })).toBe(7);
  });

  test("fails at the bound and says what was waited for", async () => {
    await expect(waitFor(() => false, { boundMs: 20, what: "the flood" })).rejects.toThrow(
      "not within 20 ms: the flood",
    );
    let looks = 0;
    const late = waitFor(() => ++looks < 0, {
      boundMs: 20,
      what: () => `more than ${looks > 0 ? "some" : "no"} looks`,
    });
    await expect(late).rejects.toThrow("more than some looks");
  });

  test("a throwing condition is not met yet, and its last error is the cause", async () => {
    let looks = 0;
    const met = waitFor(
      () => {
        if (++looks < 3) throw new Error("not yet");
        return true;
      },
      { what: "the third look", everyMs: 1 },
    );
    expect(await met).toBe(true);
    const failed = waitFor(() => Promise.reject(new Error("never")), { boundMs: 20, what: "a miracle" });
    await expect(failed).rejects.toMatchObject({ cause: new Error("never") });
  });

  test("a condition that hangs does not outlive the bound", async () => {
    await expect(waitFor(() => new Promise<boolean>(() => {}), { boundMs: 20, what: "a sign" })).rejects.toThrow(
      "a sign",
    );
  });
});
