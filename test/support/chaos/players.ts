import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { planOf, planWith, REQUEST_TIMEOUT_MS, type Plan } from "./plan.js";
import { play, type Played } from "./play.js";

/** What is to be played: the plan is made where it is played. */
export interface Wish {
  readonly seed: number;
  readonly without: readonly string[];
  /** Only these items of the plan. Default: all. */
  readonly places?: readonly number[] | undefined;
  /** See `play`. */
  readonly boundMs?: number;
}

/** Processes that play plans, several at a time. */
export interface Players {
  /** How many plans are played at a time at most. */
  readonly parallel: number;
  /** Waits for its turn. Never rejects: a process that dies is a problem of what was played in it. */
  play(wish: Wish): Promise<Played>;
  close(): Promise<void>;
}

/** A play is worth nothing where the event loop was late for this long: its requests time out by themselves, in ms. */
const MAX_LATENESS_MS = REQUEST_TIMEOUT_MS / 2;
/** So often a plan is played that shows a problem on a machine that is too busy. The last play counts. */
const MAX_PLAYS = 3;

interface Question {
  readonly id: number;
  readonly wish: Wish;
}
interface Answer {
  readonly id: number;
  readonly played: Played;
}

export const planFor = ({ seed, without, places }: Wish): Plan => {
  const plan = planOf(seed, without);
  return places === undefined ? plan : planWith(plan, places);
};

/**
 * Starts a process for each core: one event loop plays several plans, for a play mostly waits, and what one computes
 * hardly delays another.
 *
 * @param parallel how many plans are played at a time, in all processes together
 */
export function startPlayers(parallel: number): Players {
  const processes = Math.min(availableParallelism(), parallel);
  const children: Child[] = Array.from({ length: processes }, () => newChild());
  const queue: (() => void)[] = [];
  let underWay = 0;
  let isClosed = false;

  async function turn(): Promise<void> {
    if (underWay >= parallel) await new Promise<void>((resolve) => queue.push(resolve));
    underWay += 1;
  }

  async function playOnce(wish: Wish): Promise<Played> {
    const least = children.reduce((best, child) => (child.waiting.size < best.waiting.size ? child : best));
    try {
      return await least.play(wish);
    } finally {
      if (!least.isAlive && !isClosed) children[children.indexOf(least)] = newChild();
    }
  }

  return {
    parallel,
    async play(wish) {
      await turn();
      try {
        for (let plays = 1; ; plays += 1) {
          const played = await playOnce(wish);
          const isFair = played.latenessMs <= MAX_LATENESS_MS || played.problems.length === 0;
          if (isFair || plays >= MAX_PLAYS) return played;
        }
      } finally {
        underWay -= 1;
        queue.shift()?.();
      }
    },
    async close() {
      isClosed = true;
      await Promise.all(children.map((child) => child.end()));
    },
  };
}

interface Child {
  readonly waiting: Map<number, (played: Played) => void>;
  readonly isAlive: boolean;
  play(wish: Wish): Promise<Played>;
  end(): Promise<void>;
}

function newChild(): Child {
  const process: ChildProcess = fork(fileURLToPath(import.meta.url), [], { execArgv: ["--import", "tsx"] });
  const exited = once(process, "exit");
  const waiting = new Map<number, (played: Played) => void>();
  const seeds = new Map<number, number>();
  let lastId = 0;
  let isAlive = true;
  process.on("message", ({ id, played }: Answer) => {
    waiting.get(id)?.(played);
    waiting.delete(id);
  });
  const fail = (text: string): void => {
    isAlive = false;
    for (const [id, resolve] of waiting) resolve(notPlayed(seeds.get(id) ?? 0, text));
    waiting.clear();
  };
  process.on("exit", (code, signal) => {
    fail(`the process that played it has ended: ${signal ?? `exit code ${code}`}`);
  });
  return {
    waiting,
    get isAlive() {
      return isAlive;
    },
    play: (wish) =>
      new Promise((resolve) => {
        const id = ++lastId;
        seeds.set(id, wish.seed);
        waiting.set(id, resolve);
        process.send({ id, wish } satisfies Question, (error) => {
          if (error !== null) fail(String(error));
        });
      }),
    async end() {
      if (isAlive) process.kill("SIGKILL");
      await exited;
    },
  };
}

const notPlayed = (seed: number, text: string): Played => ({
  seed,
  problems: [{ kind: "notPlayed", text }],
  story: [],
  accounts: { handOuts: 0, lost: 0, executedAgain: {}, problems: [] },
  restMs: 0,
  hits: 0,
  runs: 0,
  latenessMs: 0,
});

/** How busy an event loop may be for another play to begin, as a share of the time since the last one began. */
const MAX_UTILIZATION = 0.6;
const ADMIT_EVERY_MS = 250;

/** Lets one through every quarter of a second, as long as the event loop has time: the machine may be busy elsewhere. */
function createAdmission(): () => Promise<void> {
  const waiting: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let before = performance.eventLoopUtilization();
  const look = (): void => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    if (utilization <= MAX_UTILIZATION) waiting.shift()?.();
    if (waiting.length > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      timer ??= setInterval(look, ADMIT_EVERY_MS);
    });
}

/** The process itself. What nobody catches is a problem of all that is played meanwhile: nobody knows whose it was. */
function main(): void {
  const uncaught: string[] = [];
  const note = (error: unknown) =>
    void uncaught.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
  process.on("disconnect", () => process.exit());
  const admitted = createAdmission();

  async function playIt({ id, wish }: Question): Promise<void> {
    await admitted();
    const before = uncaught.length;
    const played = await play(planFor(wish), wish.boundMs).catch((error: unknown) =>
      notPlayed(wish.seed, error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
    const more = uncaught.slice(before).map((text) => ({ kind: "uncaught", text }));
    process.send?.({ id, played: { ...played, problems: [...played.problems, ...more] } } satisfies Answer);
  }
  process.on("message", (question: Question) => void playIt(question));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
