import { appendFileSync } from "node:fs";
import { afterAll, beforeAll, describe, test } from "vitest";
import type { EmbeddedConductor } from "../../../src/testing/index.js";
import { expectGoodEnd } from "../../support/supervisor/expect-good-end.js";
import { superviseWedge, type WedgeStory } from "../../support/supervisor/supervise-wedge.js";
import { WEDGES, type Wedge } from "../../support/wedge/wedges.js";
import { startServer } from "../../support/wedge/worker-process.js";

// `OSTINATO_WEDGES=all`: each of them; else one of each kind. `OSTINATO_WEDGE_TIMES`: a file that gets a line for each.
const { OSTINATO_WEDGES, OSTINATO_WEDGE_TIMES } = process.env;
const wedges = WEDGES.filter((wedge) => OSTINATO_WEDGES === "all" || wedge.sampled);

let server: EmbeddedConductor;

describe("the supervisor", () => {
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  function noteTimes({ name, exitReason, successorPolledMs, allEndedMs }: WedgeStory, how: string) {
    if (OSTINATO_WEDGE_TIMES === undefined) return;
    appendFileSync(OSTINATO_WEDGE_TIMES, `${how} ${name} ${exitReason} ${successorPolledMs} ${allEndedMs}\n`);
  }

  describe("a process that got stuck is replaced, and what it had is ended", () => {
    test.each(wedges)("$name", async (wedge: Wedge) => {
      const story = await superviseWedge({ wedge, serverUrl: server.serverUrl });
      noteTimes(story, "plain");
      expectGoodEnd(wedge, story);
    });
    test.each(wedges.filter(({ name }) => OSTINATO_WEDGES === "all" || name === "whileTrue"))(
      "$name, with a journal",
      async (wedge: Wedge) => {
        const story = await superviseWedge({ wedge, serverUrl: server.serverUrl, journal: true });
        noteTimes(story, "journal");
        expectGoodEnd(wedge, story);
      },
    );
  });
});
