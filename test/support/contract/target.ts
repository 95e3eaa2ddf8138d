import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe } from "vitest";
import { type EmbeddedConductor, type QueueKind, startEmbeddedConductor } from "../../../src/testing/index.js";

/**
 * What the contract runs against: the embedded Conductor in each of its kinds or, with `CONTRACT_SERVER_URL` (ending in
 * `/api`) and `CONTRACT_SERVER_QUEUE` (default `patient`), a real server. That one is to be started with
 * `conductor.app.taskExecutionPostponeDuration=1s`.
 */
export interface Target {
  /** Ends in `/api`; known once the tests run. */
  baseUrl: string;
  readonly kind: QueueKind;
  readonly isEmbedded: boolean;
  /** Redis, set up without an index as it is by default: search finds nothing and task logs are not kept. */
  readonly isRedis: boolean;
  /** Lets time pass: by turning the clock where there is one to turn, else by waiting. */
  pass(ms: number): Promise<void>;
}

const serverUrl = process.env.CONTRACT_SERVER_URL;
const serverKind = (process.env.CONTRACT_SERVER_QUEUE ?? "patient") as QueueKind;

/** Declares the same tests for each target. */
export function onEveryTarget(title: string, declare: (target: Target) => void): void {
  if (serverUrl !== undefined) {
    describe(`the contract: ${title} (real server, ${serverKind})`, () => {
      declare({
        baseUrl: serverUrl,
        kind: serverKind,
        isEmbedded: false,
        isRedis: serverKind === "eager",
        pass: async (ms) => {
          await sleep(ms + 50);
        },
      });
    });
    return;
  }
  for (const kind of ["patient", "eager", "instant"] as const) {
    describe(`the contract: ${title} (embedded, ${kind})`, () => {
      let conductor: EmbeddedConductor | undefined;
      const target: Target = {
        baseUrl: "",
        kind,
        isEmbedded: true,
        isRedis: false,
        pass: async (ms) => {
          await conductor?.advance(ms);
        },
      };
      beforeAll(async () => {
        conductor = await startEmbeddedConductor({ queue: kind, taskExecutionPostponeSeconds: 1 });
        target.baseUrl = conductor.serverUrl;
      });
      afterAll(async () => {
        await conductor?.close();
      });
      declare(target);
    });
  }
}

let counter = 0;

/** A name that no other test has used, on this server or in an earlier run. */
export const fresh = (prefix: string): string => `${prefix}_${Date.now().toString(36)}_${process.pid}_${counter++}`;
