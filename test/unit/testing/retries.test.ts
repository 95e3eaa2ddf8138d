import { describe, expect, test } from "vitest";
import { completeTaskDef } from "../../../src/testing/engine/definitions.js";
import { retryDelaySeconds, retryJitterMs } from "../../../src/testing/engine/retries.js";

const definition = (fields: object) => completeTaskDef({ name: "t", retryDelaySeconds: 5, ...fields }, 0);

describe("the delay of a retry by the embedded Conductor", () => {
  test.each([
    [{ retryLogic: "FIXED" }, [5, 5, 5, 5]],
    [{ retryLogic: "LINEAR_BACKOFF" }, [5, 10, 15, 20]],
    [{ retryLogic: "LINEAR_BACKOFF", backoffScaleFactor: 3 }, [15, 30, 45, 60]],
    [{ retryLogic: "EXPONENTIAL_BACKOFF" }, [5, 10, 20, 40]],
    [{ retryLogic: "EXPONENTIAL_BACKOFF", maxRetryDelaySeconds: 12 }, [5, 10, 12, 12]],
    [{ retryLogic: "FIXED", maxRetryDelaySeconds: 2 }, [2, 2, 2, 2]],
  ])("is, with %o, %o seconds", (fields, delays) => {
    expect(delays.map((_, attempt) => retryDelaySeconds(definition(fields), attempt))).toEqual(delays);
  });

  test("does not overflow", () => {
    expect(retryDelaySeconds(definition({ retryLogic: "EXPONENTIAL_BACKOFF" }), 500)).toBe(2 ** 31 - 1);
  });

  test("has a jitter from 0 to backoffJitterMs, both included", () => {
    const jittery = definition({ backoffJitterMs: 100 });
    expect(retryJitterMs(jittery, () => 0)).toBe(0);
    expect(retryJitterMs(jittery, () => 0.9999)).toBe(100);
    expect(retryJitterMs(definition({}), () => 0.9999)).toBe(0);
  });
});
