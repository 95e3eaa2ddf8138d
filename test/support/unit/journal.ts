import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { onTestFinished } from "vitest";
import {
  encodeHeader,
  encodeResult,
  encodeSettled,
  FORMAT,
  type JournalHeader,
} from "../../../src/runner/journal/format.js";
import { Journal, type JournalParts } from "../../../src/runner/journal/journal.js";
import type { InheritedResult, InheritedSink } from "../../../src/runner/journal/keeper.js";
import { factsOfThisProcess } from "../../../src/runner/journal/owner.js";
import { scan, type Scan } from "../../../src/runner/journal/scan.js";
import type { Parcel } from "../../../src/runner/parcel.js";
import { memoryLogger } from "../log/loggers.js";
import { FakeClock } from "../time/fake-clock.js";
import { entryOf } from "./runner.js";

/** A folder that goes when the test is over. */
export function temporaryFolder(): string {
  const dir = mkdtempSync(path.join(tmpdir(), "ostinato-journal-"));
  onTestFinished(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

export function openJournal(dir: string, options: Partial<JournalParts> = {}) {
  const clock = new FakeClock();
  const { log, lines } = memoryLogger();
  const journal = new Journal({ dir, fsync: false, workerIds: ["w"], clock, log, ...options });
  onTestFinished(() => {
    journal.close();
  });
  return { journal, clock, lines };
}

export function parcelOf(taskId: string, output: Record<string, unknown> = {}): Parcel {
  const result = {
    taskId,
    workflowInstanceId: "wf-1",
    workerId: "w",
    status: "COMPLETED" as const,
    outputData: output,
  };
  return { status: result.status, body: Buffer.from(JSON.stringify(result)) };
}

export const keep = (journal: Journal, taskId: string, output: Record<string, unknown> = {}) =>
  journal.keep(entryOf({ taskId, pollCount: 1 }), parcelOf(taskId, output));

/** Takes as many results as it is told to, and remembers them. */
export class MemorySink implements InheritedSink {
  readonly taken: InheritedResult[] = [];
  room = Infinity;

  get hasRoomForInherited(): boolean {
    return this.taken.length < this.room;
  }

  deliverInherited(result: InheritedResult): void {
    this.taken.push(result);
  }

  get taskIds(): string[] {
    return this.taken.map(({ entry }) => entry.task.taskId);
  }
}

/** A process number that nobody has: beyond what Linux gives. */
export const NOBODY = 4_999_999;

export function headerOf(overrides: Partial<JournalHeader> = {}): JournalHeader {
  return { format: FORMAT, version: "0.0.0", workerIds: ["old"], ...factsOfThisProcess(), pid: NOBODY, ...overrides };
}

export const metaOf = (n: number, taskId = `task-${n}`) => ({
  n,
  taskType: "t",
  taskId,
  workflowInstanceId: "wf-1",
  workerId: "old",
  pollCount: 1,
  retryCount: 0,
});

/** The bytes of a journal with results 1 to `results`, of which some are settled. */
export function journalBytes(header: JournalHeader, results: number, settled: readonly number[] = []): Buffer {
  const lines = [encodeHeader(header)];
  for (let n = 1; n <= results; n += 1) lines.push(encodeResult(metaOf(n), parcelOf(`task-${n}`, { n }).body));
  return Buffer.concat([...lines, ...settled.map(encodeSettled)]);
}

export function scanBytes(bytes: Buffer): Scan {
  return scan((buffer, position) => bytes.copy(buffer, 0, position, position + buffer.length));
}

export const liveTasks = (bytes: Buffer) => [...scanBytes(bytes).live.values()].map(({ meta }) => meta.taskId);

export function onlyFile(dir: string): string {
  const names = readdirSync(dir);
  if (names.length !== 1) throw new Error(`one file was expected, there are ${names.join(", ") || "none"}`);
  return path.join(dir, names[0]!);
}

export const liveIn = (dir: string) => liveTasks(readFileSync(onlyFile(dir)));
