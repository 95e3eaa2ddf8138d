import { describe, expect, test } from "vitest";
import type { Task } from "../../../../src/conductor/types.js";
import type { Meaning } from "../../../../src/runner/answers/meaning.js";
import { checkTask } from "../../../../src/runner/delivery/task-check.js";
import type { Shared } from "../../../../src/runner/shared.js";
import { answered, entryOf } from "../../../support/unit/runner.js";

const OURS = { status: "IN_PROGRESS", workerId: "w", pollCount: 3, updateTime: 1_000 } as const;

describe("a look at a task whose result we have", () => {
  /** What the look finds, and what the gate is told of the answer. */
  async function look(shown: Partial<Task>) {
    const entry = entryOf(OURS);
    const told: Meaning[] = [];
    const shared = { api: { get: () => Promise.resolve(answered({ ...entry.task, ...shown })) } };
    const report = (meaning: Meaning) => told.push(meaning);
    const permit = { startedAt: 0, isProbe: false, report, forget: () => undefined };
    return { check: await checkTask(shared as unknown as Shared, entry, permit), told };
  }

  test("finds it ours as it was handed out to us", async () => {
    const { check, told } = await look({});
    expect(check.kind).toBe("ours");
    expect(told).toEqual([]);
  });

  test.each<[string, Partial<Task>]>([
    ["in the queue", { status: "SCHEDULED", updateTime: 1_001 }],
    ["with somebody else", { pollCount: 4, updateTime: 1_001 }],
    ["begun anew, with fewer hand-outs", { status: "SCHEDULED", pollCount: 0, updateTime: 1_001 }],
  ])("finds it not ours any more when it is %s", async (_where, shown) => {
    const { check } = await look(shown);
    expect(check.kind).toBe("ended");
  });

  test.each<[string, Partial<Task>]>([
    ["in the queue", { status: "SCHEDULED", pollCount: 2, updateTime: 999 }],
    ["with who had it before", { pollCount: 2, updateTime: 500, workerId: "other" }],
    ["with who had it before, on a server that does not say when", { pollCount: 2, updateTime: 0 }],
  ])("says nothing of it where a cache shows it before it was ours: %s", async (_where, shown) => {
    const { check, told } = await look(shown);
    expect(check).toMatchObject({ kind: "unclear", error: { code: "MALFORMED_RESPONSE" } });
    expect(told).toMatchObject([{ speaker: "stranger" }]);
  });
});
