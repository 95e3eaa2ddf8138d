import type { FaultShape } from "./shape.js";

const BOUND_MS = 60_000;
/** After this Kubernetes sends SIGKILL, by default. */
const GRACE_MS = 30_000;
const RESPONSE_TIMEOUT_SECONDS = 10;

function neverSettles(concurrency: number): FaultShape {
  return {
    number: 24,
    name: "functions never settle",
    variant: `${concurrency} of ${concurrency} at once`,
    boundMs: BOUND_MS,
    concurrency,
    taskDef: { responseTimeoutSeconds: RESPONSE_TIMEOUT_SECONDS },
    async inject(world) {
      await world.began(await world.begin(concurrency, { mode: "hangs" }));
      return { since: performance.now() };
    },
  };
}

function throws(variant: string, ...thrown: string[]): FaultShape {
  return {
    number: 26,
    name: "a function throws, beside five that run",
    variant,
    boundMs: BOUND_MS,
    concurrency: 10,
    async inject(world) {
      await world.began(await world.begin(5, { mode: "slow", data: 3_000 }));
      for (const data of thrown) await world.begin(1, { mode: "throws", data });
      return { since: performance.now() };
    },
  };
}

function sigterm(variant: string, more: number, isShortOfExit: boolean): FaultShape {
  return {
    number: 0,
    name: "SIGTERM with ten tasks of 3 s running",
    variant,
    boundMs: BOUND_MS,
    concurrency: 10,
    isShortOfExit,
    async inject(world) {
      await world.began(await world.begin(10, { mode: "slow", data: 3_000 }));
      await world.begin(more, { mode: "slow", data: 3_000 });
      const since = performance.now();
      const stopped = world.worker;
      stopped.signal("SIGTERM");
      const exit = await stopped.waitForExit(GRACE_MS).catch(() => stopped.kill());
      const seconds = ((performance.now() - since) / 1_000).toFixed(1);
      await world.startWorkerAtOnce();
      return { since, remarks: [`exit after ${seconds} s (${exit.signal ?? `code ${exit.code ?? "unknown"}`})`] };
    },
  };
}

export const WORKER_FAULTS: readonly FaultShape[] = [
  neverSettles(1),
  neverSettles(10),
  throws("`undefined`", "undefined"),
  throws("`null`", "null"),
  throws("a string, a number, a symbol, a frozen error", "string", "number", "symbol", "frozen"),
  throws("an object whose getters throw", "getters"),
  throws("a proxy whose traps throw", "traps"),
  throws("an error with a message of 1 MB", "long"),
  sigterm("stopped as each README says", 0, false),
  sigterm("stopped without `process.exit`, 20 more tasks in the queue", 20, true),
];
