import { expect, test } from "vitest";
import { audit, type Evidence } from "./audit.js";
import { removeRow, writeRow, type FaultRow, type GroupName } from "./rows.js";
import { startWorld, type World, type WorldOptions } from "./world.js";

/** How long closing one thing may take, in ms. */
const CLOSE_MS = 10_000;
/** How often `worksAgain` starts another task, in ms. */
const WORKS_AGAIN_EVERY_MS = 250;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** What a fault is called, and within what it must be over. */
export interface FaultOptions {
  /** As the suite numbers it: see `GROUPS`. */
  readonly number: number;
  readonly group: GroupName;
  /** Short: the document's column `fault`. */
  readonly name: string;
  /** Which shape of the fault this is, where there are several. */
  readonly variant?: string;
  /** The longest time from `injected()` to `recovered()`, in ms. */
  readonly boundMs: number;
  /** What in the code is there against this fault, in a few words: without it the fault turns red. */
  readonly guard?: string;
  /** Why it cannot run on this machine: it is skipped, loudly, and the document says so. */
  readonly skip?: string | undefined;
}

/** One run of a fault. */
export interface FaultRun {
  /** Starts a worker and what stands around it; it is settled, audited and closed when the body has ended. */
  world(options?: WorldOptions): Promise<World>;
  /** Something else that must be settled, gives evidence for the audit, and must be closed. In order, worlds included. */
  audited(part: AuditedPart): void;
  /** Something that only has to be closed. Closed last first. */
  onEnd(close: () => unknown): void;
  /** Now: the fault ends, or, where it does not end, begins. The time to recovery counts from here. */
  injected(): void;
  /** Now: the first task after it is done. Fails beyond the bound. */
  recovered(): void;
  /** As `recovered()`, for a fault that measures by itself (on a fake clock). */
  recoveredAfter(ms: number): void;
  /** There was nothing to recover from: the work did not stop. */
  nothingStopped(): void;
  /**
   * Starts a task, and another every 250 ms, until the first of them is done, and calls `recovered()`. A task may be
   * handed to a request that is lost; the next one shows that the worker works.
   */
  worksAgain(world: Pick<World, "begin" | "done">): Promise<void>;
}

export interface AuditedPart {
  settled(): Promise<void>;
  evidence(): Promise<Evidence>;
  close(): Promise<void>;
}

/**
 * A test that really injects one fault, and ends with the audit. The body returns what happened, in words, for the
 * document; a row is recorded only when everything held. Bodies run beside each other inside `describe.concurrent`.
 */
export function fault(options: FaultOptions, body: (run: FaultRun) => Promise<string>): void {
  const { number, group, name, variant, boundMs, guard, skip } = options;
  const named = { number, group, name, ...(variant === undefined ? {} : { variant }) };
  const title = `(${number}) ${name}${variant === undefined ? "" : `: ${variant}`}`;
  if (skip !== undefined) {
    test.skip(`${title} — NOT RUN: ${skip}`, () => {});
    console.warn(`fault ${title} is NOT RUN: ${skip}`);
    removeRow(named);
    writeRow({ ...named, skipped: skip });
    return;
  }
  test(title, async () => {
    removeRow(named);
    const parts: AuditedPart[] = [];
    const closers: (() => unknown)[] = [];
    let injectedAt: number | undefined;
    let recovery: FaultRow["recovery"] | undefined;
    const run: FaultRun = {
      async world(worldOptions) {
        const world = await startWorld(worldOptions);
        run.audited(world);
        return world;
      },
      audited(part) {
        parts.push(part);
        closers.push(() => part.close());
      },
      onEnd: (close) => void closers.push(close),
      injected() {
        injectedAt = performance.now();
      },
      recovered() {
        if (injectedAt === undefined) throw new Error("recovered() without injected()");
        run.recoveredAfter(performance.now() - injectedAt);
      },
      recoveredAfter(ms) {
        expect(ms, "ms until the worker worked again").toBeLessThanOrEqual(boundMs);
        recovery = { kind: "took", ms };
      },
      nothingStopped() {
        recovery = { kind: "nothingStopped" };
      },
      async worksAgain(world) {
        if (injectedAt === undefined) throw new Error("worksAgain() without injected()");
        const endAt = injectedAt + boundMs;
        let isDone = false;
        const waiting: Promise<void>[] = [];
        while (!isDone && performance.now() < endAt) {
          const ids = await world.begin();
          const leftMs = Math.max(endAt - performance.now(), 1);
          const one = world.done(ids, leftMs).then(
            () => void (isDone = true),
            () => undefined,
          );
          waiting.push(one);
          await Promise.race([Promise.any(waiting), sleep(WORKS_AGAIN_EVERY_MS)]);
        }
        run.recovered();
      },
    };
    try {
      const happened = await body(run);
      if (recovery === undefined) throw new Error("the fault never said that the worker works again");
      if (parts.length === 0) throw new Error("the fault has nothing to audit");
      let tasks = 0;
      let lost = 0;
      const executedAgain: Record<string, number> = {};
      for (const part of parts) {
        const problem = await part.settled().then(
          () => undefined,
          (error: unknown) => String(error),
        );
        const accounts = audit(await part.evidence());
        expect([...(problem === undefined ? [] : [problem]), ...accounts.problems], "the audit").toEqual([]);
        expect(accounts.handOuts, "tasks that were handed out").toBeGreaterThan(0);
        tasks += accounts.handOuts;
        lost += accounts.lost;
        for (const [why, count] of Object.entries(accounts.executedAgain)) {
          executedAgain[why] = (executedAgain[why] ?? 0) + count;
        }
      }
      const guarded = guard === undefined ? {} : { guard };
      writeRow({ ...named, happened, recovery, boundMs, tasks, lost, executedAgain, ...guarded });
    } finally {
      for (const close of closers.reverse()) await closeWithin(close);
    }
  });
}

/** What does not close must not hide why the fault failed. */
async function closeWithin(close: () => unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      console.error(`closing what a fault had started took longer than ${CLOSE_MS} ms: ${String(close)}`);
      resolve();
    }, CLOSE_MS);
  });
  await Promise.race([Promise.resolve(close()).catch((error: unknown) => console.error(error)), overdue]);
  clearTimeout(timer);
}
