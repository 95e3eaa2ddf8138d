import { describe, expect, test } from "vitest";
import { startRealConductor } from "../support/servers/real-conductor/real-conductor.js";
import { expectGoodEnd } from "../support/supervisor/expect-good-end.js";
import { superviseWedge } from "../support/supervisor/supervise-wedge.js";
import { WEDGES } from "../support/wedge/wedges.js";

/** The main thread computes, waits in a native call, and turns. */
const SAMPLED = ["whileTrue", "execSync", "pollNeverEnds"];
/** The program's own are for a server that answers within 200 ms. */
const handler = { requestTimeoutMs: 2_000, stallTimeoutSeconds: 4 };

describe("the supervisor on a real server", () => {
  test.each(["sqlite", "redis"] as const)(
    "a process that got stuck is replaced, and what it had runs again, on %s",
    async (queue) => {
      await using conductor = await startRealConductor({ queue });
      const wedges = WEDGES.filter(({ name }) => SAMPLED.includes(name));
      expect(wedges).toHaveLength(SAMPLED.length);
      for (const wedge of wedges) {
        const story = await superviseWedge({ wedge, serverUrl: conductor.serverUrl, handler });
        const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
        console.log(
          `${queue}, ${wedge.name}: polled ${seconds(story.successorPolledMs)} after the death,`,
          `all had run again ${seconds(story.allEndedMs)} later`,
        );
        expectGoodEnd(wedge, story);
      }
    },
  );
});
