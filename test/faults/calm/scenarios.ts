import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "undici";
import type { RunningProcess } from "../../support/process/process-harness.js";
import { waitFor } from "../../support/time/wait-for.js";
import type { BottomlessServer } from "./bottomless-server.js";

/** One way to be healthy and not look like it. */
export interface Scenario {
  readonly name: string;
  readonly what: string;
  readonly stallTimeoutSeconds: number;
  /** Flags of Node. */
  readonly nodeArgs?: readonly string[];
  /** One round of the disturbance; called again until the time is over. It leaves things as they were. */
  disturb(child: RunningProcess, server: BottomlessServer): Promise<void>;
  /** False where no task is meant to be finished. Default true. */
  readonly finishesTasks?: boolean;
}

const STALL_SECONDS = 3;
const STALL_MS = STALL_SECONDS * 1_000;

export const SCENARIOS: readonly Scenario[] = [
  {
    name: "saturation",
    what: "100 tasks at once, without a pause",
    stallTimeoutSeconds: STALL_SECONDS,
    disturb: () => sleep(1_000),
  },
  {
    name: "full",
    what: "every slot is full of a task that takes an hour",
    stallTimeoutSeconds: STALL_SECONDS,
    finishesTasks: false,
    disturb: () => sleep(1_000),
  },
  {
    name: "server-away",
    what: "the server is away for four times the stall timeout, again and again",
    stallTimeoutSeconds: STALL_SECONDS,
    async disturb(_child, server) {
      await server.away(true);
      await sleep(4 * STALL_MS);
      await server.away(false);
      await finishesAnother(server);
    },
  },
  {
    name: "unauthorized",
    what: "the server answers 401 to everything",
    stallTimeoutSeconds: STALL_SECONDS,
    finishesTasks: false,
    async disturb(_child, server) {
      server.refuse(true);
      await sleep(1_000);
    },
  },
  {
    name: "sigstop",
    what: "the process is stopped (SIGSTOP) for twice the stall timeout",
    stallTimeoutSeconds: STALL_SECONDS,
    async disturb(child, server) {
      child.signal("SIGSTOP");
      await sleep(2 * STALL_MS);
      child.signal("SIGCONT");
      await finishesAnother(server);
    },
  },
  {
    name: "debugger",
    what: "somebody looks at it in a debugger for twice the stall timeout",
    stallTimeoutSeconds: STALL_SECONDS,
    nodeArgs: ["--inspect=127.0.0.1:0"],
    async disturb(child, server) {
      const [, url = ""] = await child.waitForLine(/Debugger listening on (ws:\S+)/);
      const socket = new WebSocket(url);
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = reject;
      });
      let paused = false;
      socket.onmessage = ({ data }) => {
        if (String(data).includes('"Debugger.paused"')) paused = true;
      };
      const send = (id: number, method: string) => {
        socket.send(JSON.stringify({ id, method }));
      };
      send(1, "Debugger.enable");
      send(2, "Debugger.pause");
      await waitFor(() => paused, { what: "the pause in the debugger", boundMs: 5_000 });
      await sleep(2 * STALL_MS);
      send(3, "Debugger.resume");
      socket.close();
      await finishesAnother(server);
    },
  },
  {
    name: "heap",
    what: "a large heap that is always being rewritten, under a stall timeout of 10 s",
    // A collection of such a heap may take seconds where the processor is shared.
    stallTimeoutSeconds: 10,
    nodeArgs: ["--max-old-space-size=2048"],
    disturb: () => sleep(1_000),
  },
  {
    name: "blocks",
    what: "functions block the event loop for 5 s under a stall timeout of 30 s",
    stallTimeoutSeconds: 30,
    disturb: () => sleep(1_000),
  },
];

/** The worker works: one more result arrives. */
export async function finishesAnother(server: BottomlessServer, boundMs = 30_000): Promise<void> {
  const before = server.completed;
  await waitFor(() => server.completed > before, { what: "another finished task", boundMs, everyMs: 50 });
}
