import { appendFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type KeptResult, keptResultsOf } from "./kept-results.js";
import type { SoakServer } from "./server.js";
import type { Child, SupervisedWorkers } from "./supervised.js";
import { type Load, STEPS, WEDGES } from "./workload.js";

export interface Chaos {
  readonly counts: { killed: number; terminated: number; wedged: number; server: number };
  /** Finished results that were in a journal when their process was killed. */
  readonly kept: readonly KeptResult[];
  /** Lets the server come back, and resolves when nothing more is done. Rejects when something could not be done. */
  stop(): Promise<void>;
  /** The server is not disturbed any more. */
  spareServer(): void;
}

export interface ChaosParts {
  readonly random: () => number;
  readonly workers: SupervisedWorkers;
  readonly server: SoakServer;
  readonly load: Load;
  readonly folder: string;
}

/** The spared process. */
export const SPARED_PLACE = 0;
const CHILD_EVERY_MS: readonly [number, number] = [3_000, 8_000];
const SERVER_EVERY_MS: readonly [number, number] = [35_000, 60_000];
const RESULTS_WAIT_MS = 2_200;
/** A restart may be 30 s away. */
const VICTIM_BOUND_MS = 32_000;
const AT_WORK_MS = 3_000;
const STOP_BOUND_MS = 2_000;

/** Does something to a process every few seconds, and to the server every minute or so. */
export function startChaos({ random, workers, server, load, folder }: ChaosParts): Chaos {
  const counts = { killed: 0, terminated: 0, wedged: 0, server: 0 };
  const kept: KeptResult[] = [];
  const over = new AbortController();
  const serverSpared = new AbortController();
  const between = ([least, most]: readonly [number, number]) => least + random() * (most - least);
  const oneOf = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)]!;
  /** For who looks into a failure. */
  const note = (text: string) => {
    appendFileSync(path.join(folder, "disturbances.log"), `${new Date().toISOString()} ${text}\n`);
  };
  /** The processes are left alone until the server is away. */
  let isServersTurn = false;
  const pause = (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }).catch(() => undefined);

  async function disturbChildren(): Promise<void> {
    for (;;) {
      await pause(between(CHILD_EVERY_MS), over.signal);
      if (over.signal.aborted) return;
      if (isServersTurn) continue;
      const what = random();
      const wedge = { step: oneOf(STEPS), how: oneOf(WEDGES) };
      const choice = random();
      if (what >= 0.75) {
        if (!load.wedgeNext(wedge)) continue;
        counts.wedged += 1;
        note(`wedge ${wedge.how} in ${wedge.step}`);
        continue;
      }
      const victim = await victimBy(choice);
      if (victim === undefined) continue;
      if (what < 0.5) await kill(victim.pid);
      else if (signal(victim.pid, "SIGTERM")) {
        counts.terminated += 1;
        note(`SIGTERM ${victim.pid}`);
      }
    }
  }

  async function victimBy(choice: number): Promise<Child | undefined> {
    const victims = (await workers.ready()).filter(({ place }) => place !== SPARED_PLACE);
    return victims[Math.floor(choice * victims.length)];
  }

  /** It is stopped first, so that what its journal holds is what it dies with. */
  async function kill(pid: number): Promise<void> {
    if (!signal(pid, "SIGSTOP")) return;
    const held = (await isStopped(pid)) ? keptResultsOf(pid, path.join(folder, "journal")) : [];
    if (!signal(pid, "SIGKILL")) return;
    kept.push(...held);
    counts.killed += 1;
    note(`SIGKILL ${pid} with ${held.length} results in journals`);
  }

  async function disturbServer(): Promise<void> {
    for (;;) {
      await pause(between(SERVER_EVERY_MS), serverSpared.signal);
      if (serverSpared.signal.aborted) return;
      await victimAtWork();
      counts.server += 1;
      note("server away");
      await Promise.all([server.disturb(), killWithResults(random())]);
      note("server back");
    }
  }

  /** What ran when the server went away has its result by now, and cannot deliver it. */
  async function killWithResults(choice: number): Promise<void> {
    await pause(RESULTS_WAIT_MS, over.signal);
    const victim = over.signal.aborted ? undefined : await victimBy(choice);
    if (victim !== undefined) await kill(victim.pid);
    isServersTurn = false;
  }

  /** There is a process that can be killed, and it has had the time to get tasks. */
  async function victimAtWork(): Promise<void> {
    isServersTurn = true;
    for (const until = performance.now() + VICTIM_BOUND_MS; performance.now() < until && !over.signal.aborted;) {
      if ((await victimBy(0)) !== undefined) break;
      await pause(200, over.signal);
    }
    await pause(AT_WORK_MS, over.signal);
  }

  const running = Promise.all([disturbChildren(), disturbServer()]);
  // It is heard of in stop().
  running.catch(() => undefined);
  return {
    counts,
    kept,
    spareServer() {
      serverSpared.abort();
    },
    async stop() {
      serverSpared.abort();
      over.abort();
      await running;
    },
  };
}

function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    // It has ended by itself meanwhile.
    return false;
  }
}

async function isStopped(pid: number): Promise<boolean> {
  for (const until = performance.now() + STOP_BOUND_MS; performance.now() < until; await sleep(2)) {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    if (stat === "") return false;
    if (stat.slice(stat.lastIndexOf(")") + 2).startsWith("T")) return true;
  }
  return false;
}
