import { setTimeout as sleep } from "node:timers/promises";
import type { TaskDef, WorkflowClient, WorkflowDef } from "../../src/index.js";

export const STEPS = ["soak_quick", "soak_usual", "soak_long"] as const;
export const WEDGES = ["spin", "regex", "wait"] as const;

export interface Wedge {
  readonly step: (typeof STEPS)[number];
  readonly how: (typeof WEDGES)[number];
}

/**
 * Short, so that the server ends what nobody reports on; but of one step longer than the server is away, so that a result
 * in a journal has no excuse not to be delivered.
 */
const RESPONSE_TIMEOUT_SECONDS = { soak_quick: 5, soak_usual: 90, soak_long: 3 } as const;

export const taskDefs: readonly TaskDef[] = STEPS.map((name) => ({
  name,
  ownerEmail: "soak@example.com",
  retryCount: 50,
  retryDelaySeconds: 0,
  responseTimeoutSeconds: RESPONSE_TIMEOUT_SECONDS[name],
  timeoutSeconds: 0,
}));

/** One after the other: a fork's JOIN on the real server gives up a workflow whose branch fails and is to be retried. */
export const workflowDef: WorkflowDef = {
  name: "soak",
  version: 1,
  schemaVersion: 2,
  ownerEmail: "soak@example.com",
  tasks: STEPS.map((name) => ({
    name,
    taskReferenceName: name,
    type: "SIMPLE",
    inputParameters: { number: "${workflow.input.number}", wedge: "${workflow.input.wedge}" },
  })),
};

export interface Load {
  /** The ids that the server told. */
  readonly started: readonly string[];
  /** Starts whose answer did not come: there may be a workflow or not. */
  readonly unclear: number;
  /** The next workflow that starts gets a process stuck. False: there is one that waits for its start already. */
  wedgeNext(wedge: Wedge): boolean;
  /** Resolves when no more are started. */
  stop(): Promise<void>;
}

/** After a start that failed, in ms. */
const PAUSE_MS = 500;
/** No more than that are under way. */
const MAX_OPEN = 150;

/** Starts workflows at a rate, while the workers keep up. `done`: how many have ended, as far as known. */
export function startLoad(workflows: WorkflowClient, rate: number, done: () => number): Load {
  const started: string[] = [];
  let unclear = 0;
  let next: Wedge | undefined;
  let isOver = false;

  async function run(): Promise<void> {
    for (let number = 1; !isOver; number++) {
      await sleep(1000 / rate);
      while (!isOver && started.length - done() > MAX_OPEN) await sleep(PAUSE_MS);
      const wedge = next;
      try {
        started.push(
          await workflows.start({ name: workflowDef.name, version: 1, input: { number, wedge: wedge ?? null } }),
        );
        if (wedge !== undefined) next = undefined;
      } catch {
        // The server is away; what it may have begun is known from the executions.
        unclear += 1;
        await sleep(PAUSE_MS);
      }
    }
  }

  const running = run();
  return {
    started,
    get unclear() {
      return unclear;
    },
    wedgeNext(wedge) {
      if (next !== undefined) return false;
      next = wedge;
      return true;
    },
    stop() {
      isOver = true;
      return running;
    },
  };
}
