import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect } from "vitest";
import { encodeHeader } from "../../../src/runner/journal/format.js";
import { fault } from "../../support/faults/fault.js";
import { headerOf } from "../../support/unit/journal.js";
import { waitFor } from "../../support/time/wait-for.js";

const GIB = 1024 ** 3;

describe("what a dead process has left on the disk", () => {
  fault(
    {
      number: 54,
      group: "Recovery",
      name: "a journal of 1 GiB",
      boundMs: 5_000,
      guard: "it is looked through in slices, between which the event loop turns",
    },
    async (run) => {
      const dir = mkdtempSync(path.join(tmpdir(), "ostinato-fault-"));
      run.onEnd(() => {
        rmSync(dir, { recursive: true, force: true });
      });
      const file = path.join(dir, "4999999-00000000dead.journal");
      writeFileSync(file, encodeHeader(headerOf()));
      truncateSync(file, GIB);
      const world = await run.world({ start: false, handler: { journal: { dir } } });
      let longestMs = 0;
      let lastAt = performance.now();
      const lag = setInterval(() => {
        longestMs = Math.max(longestMs, performance.now() - lastAt);
        lastAt = performance.now();
      }, 10);
      run.onEnd(() => {
        clearInterval(lag);
      });
      run.injected();
      await world.handler.start();
      await run.worksAgain(world);
      await waitFor(() => readdirSync(dir).length === 1, { boundMs: 60_000, what: "the file to be done with" });
      expect(longestMs, "ms for which the event loop stood").toBeLessThan(2_000);
      return "It was looked through beside the work, a few milliseconds at a time, and removed.";
    },
  );
});
