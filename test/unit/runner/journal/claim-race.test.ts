import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { startProcess, type RunningProcess } from "../../../support/process/process-harness.js";
import { headerOf, journalBytes, temporaryFolder } from "../../../support/unit/journal.js";

const ROUNDS = 20;
const PROCESSES = 2;
const FILES = 5;
const RESULTS = 3;

describe("adopting journals", () => {
  test("of processes that start at once, exactly one takes over each file", async () => {
    const script = fileURLToPath(new URL("../../../support/unit/journal-racer.ts", import.meta.url));
    const racers: RunningProcess[] = Array.from({ length: PROCESSES }, () => startProcess({ script }));
    try {
      await Promise.all(racers.map((racer) => racer.waitForLine(/^ready$/, 30_000)));
      const shares = new Map<number, number>();
      for (let round = 0; round < ROUNDS; round += 1) {
        const dir = temporaryFolder();
        const expected: string[] = [];
        for (let i = 0; i < FILES; i += 1) {
          const name = `4999999-00000000000${i}.journal`;
          writeFileSync(path.join(dir, name), journalBytes(headerOf({ workerIds: [`file-${i}`] }), RESULTS));
          expected.push(`file-${i}`);
        }
        // All begin at the same moment, by the clock of the machine.
        for (const racer of racers) racer.write(`${JSON.stringify({ dir, round, at: Date.now() + 30 })}\n`);
        const reports = await Promise.all(
          racers.map((racer) => racer.waitForLine(new RegExp(`^round ${round} (.*)$`))),
        );
        const taken = reports.map(([, json]) => JSON.parse(json!) as { files: string[]; results: number });
        expect(taken.flatMap(({ files }) => files).sort(), `round ${round}`).toEqual(expected);
        expect(taken.reduce((sum, { results }) => sum + results, 0)).toBe(FILES * RESULTS);
        expect(readdirSync(dir), "files that are left").toEqual([]);
        for (const [i, { files }] of taken.entries()) shares.set(i, (shares.get(i) ?? 0) + files.length);
      }
      console.info(`files taken by each: ${[...shares.values()].join(", ")}`);
      // Otherwise it was no race.
      expect(Math.min(...shares.values())).toBeGreaterThan(0);
    } finally {
      await Promise.all(racers.map((racer) => racer.kill()));
    }
  }, 60_000);
});
