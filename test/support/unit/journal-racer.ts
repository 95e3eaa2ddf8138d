import { createInterface } from "node:readline";
import { systemClock } from "../../../src/base/clock.js";
import { Journal } from "../../../src/runner/journal/journal.js";
import type { InheritedResult } from "../../../src/runner/journal/keeper.js";
import { silentLogger } from "../log/loggers.js";

/** Takes over what it finds in a folder, at a moment that it is told, and says what that was. */
function race({ dir, round, at }: { dir: string; round: number; at: number }): void {
  while (Date.now() < at);
  const files: string[] = [];
  const taken: InheritedResult[] = [];
  const journal = new Journal({
    dir,
    fsync: false,
    workerIds: [],
    clock: systemClock,
    log: silentLogger,
    onAdopted: ({ workerIds }) => void files.push(...workerIds),
  });
  journal.adoptInto({ hasRoomForInherited: true, deliverInherited: (result) => taken.push(result) });
  for (const { kept } of taken) kept.settle();
  journal.close();
  console.log(`round ${round} ${JSON.stringify({ files, results: taken.length })}`);
}

createInterface({ input: process.stdin }).on("line", (line) => {
  race(JSON.parse(line) as { dir: string; round: number; at: number });
});
console.log("ready");
