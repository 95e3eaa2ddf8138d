import { openSync, writeSync } from "node:fs";
import type { TaskHandlerStatus } from "../../../src/index.js";
import { createWorker, type ChaosWorkerSettings, type Command } from "./worker.js";

/** To the process. */
export interface Question {
  readonly id: number;
  readonly command: Command;
}

/** From the process. */
export interface Answer {
  readonly id: number;
  readonly status?: TaskHandlerStatus;
  readonly error?: string;
}

/** Obeys questions, and writes the book into a file: what this program's arguments are. */
export function main([settings = "", bookFile = ""]: readonly string[]): void {
  const file = openSync(bookFile, "a");
  const worker = createWorker(JSON.parse(settings) as ChaosWorkerSettings, (entry) => {
    writeSync(file, `${JSON.stringify(entry)}\n`);
  });
  process.on("disconnect", () => process.exit());
  process.on("message", ({ id, command }: Question) => {
    worker.tell(command).then(
      (status) => process.send?.({ id, status } satisfies Answer),
      (error: unknown) => process.send?.({ id, error: String(error) } satisfies Answer),
    );
  });
}
