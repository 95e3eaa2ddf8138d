import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import path from "node:path";

/** What the functions wrote down themselves, whatever became of their results. */
export interface Execution {
  /** Unique: process and number. */
  readonly execution: string;
  readonly step: string;
  readonly taskId: string;
  readonly workflowInstanceId: string;
  readonly retryCount: number;
  readonly pollCount: number;
  readonly beganAt: number;
  /** Undefined: it did not come to its end. */
  returnedAt: number | undefined;
}

/** The memory of the spared process, after its garbage was collected. */
export interface MemorySample {
  readonly at: number;
  readonly pid: number;
  readonly residentMib: number;
  readonly heapMib: number;
}

type Line = ExecutionLine | (MemorySample & { readonly what: "memory" });

interface ExecutionLine extends Omit<Execution, "beganAt" | "returnedAt"> {
  readonly what: "began" | "returned";
  readonly at: number;
}

const CHUNK_BYTES = 1 << 16;

/** Follows the side files, which only grow. */
export class Executions {
  readonly all = new Map<string, Execution>();
  readonly memory: MemorySample[] = [];
  readonly #dir: string;
  readonly #lastStep: string;
  readonly #positions = new Map<string, { at: number; rest: string }>();
  readonly #done = new Set<string>();

  constructor(dir: string, lastStep: string) {
    this.#dir = dir;
    this.#lastStep = lastStep;
  }

  /** How many workflows have had their last step's function return. */
  get workflowsThrough(): number {
    return this.#done.size;
  }

  /** Reads what is new. */
  read(): void {
    for (const name of readdirSync(this.#dir)) {
      const position = this.#positions.get(name) ?? { at: 0, rest: "" };
      this.#positions.set(name, position);
      const fd = openSync(path.join(this.#dir, name), "r");
      try {
        const buffer = Buffer.alloc(CHUNK_BYTES);
        for (let count; (count = readSync(fd, buffer, 0, buffer.length, position.at)) > 0; position.at += count) {
          const lines = (position.rest + buffer.toString("latin1", 0, count)).split("\n");
          position.rest = lines.pop() ?? "";
          for (const line of lines) this.#take(JSON.parse(line) as Line);
        }
      } finally {
        closeSync(fd);
      }
    }
  }

  #take(line: Line): void {
    if (line.what === "memory") {
      this.memory.push(line);
      return;
    }
    const { what, at, ...about } = line;
    const { execution, workflowInstanceId, step } = about;
    if (what === "began") {
      this.all.set(execution, { ...about, beganAt: at, returnedAt: undefined });
      return;
    }
    const known = this.all.get(execution);
    if (known !== undefined) known.returnedAt = at;
    if (step === this.#lastStep) this.#done.add(workflowInstanceId);
  }
}
