import { fork } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { inOneFile } from "../process/in-one-file.js";
import type { TaskHandlerStatus } from "../../../src/index.js";
import type { Answer, Question } from "./own-process-program.js";
import { epochNow, type BookEntry, type ChaosWorker, type ChaosWorkerSettings } from "./worker.js";

/** A worker in a process of its own. */
export interface OwnProcessWorker extends ChaosWorker {
  /** SIGKILL. What it had written down until then is in the book, with its death at the end. */
  kill(): Promise<void>;
}

const READ_EVERY_MS = 20;

/** In one file it starts in a third of the time, which a play has little of. */
const PROGRAM = `
  import { main } from ${JSON.stringify(fileURLToPath(new URL("own-process-program.ts", import.meta.url)))};
  main(process.argv.slice(2));
`;
let programText: string | undefined;

/** Starts the process. It writes its book into a file: a message that is under way would die with it. */
export async function startOwnProcessWorker(
  settings: ChaosWorkerSettings,
  write: (entry: BookEntry) => void,
): Promise<OwnProcessWorker> {
  const folder = mkdtempSync(path.join(tmpdir(), "ostinato-chaos-book-"));
  const bookFile = path.join(folder, "book");
  closeSync(openSync(bookFile, "w"));
  const program = path.join(folder, "worker.mjs");
  writeFileSync(program, (programText ??= inOneFile(PROGRAM)));
  const child = fork(program, [JSON.stringify(settings), bookFile], { execArgv: [] });
  const exited = once(child, "exit");
  const reader = openSync(bookFile, "r");
  let rest = "";
  const chunk = Buffer.alloc(65_536);
  const read = (): void => {
    for (let bytes = readSync(reader, chunk); bytes > 0; bytes = readSync(reader, chunk)) {
      const lines = (rest + chunk.toString("utf8", 0, bytes)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) write(JSON.parse(line) as BookEntry);
    }
  };
  const reading = setInterval(read, READ_EVERY_MS);
  const waiting = new Map<number, { resolve: (status: TaskHandlerStatus) => void; reject: (error: Error) => void }>();
  void exited.then(() => {
    for (const { reject } of waiting.values()) reject(new Error("the worker's process has ended"));
  });
  child.on("message", ({ id, status, error }: Answer) => {
    // What it wrote before it answered is there.
    read();
    const one = waiting.get(id);
    waiting.delete(id);
    if (status !== undefined) one?.resolve(status);
    else one?.reject(new Error(error));
  });
  let lastId = 0;
  let isOver = false;
  async function end(): Promise<void> {
    if (isOver) return;
    isOver = true;
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await exited;
    clearInterval(reading);
    read();
    closeSync(reader);
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    tell: (command) =>
      new Promise((resolve, reject) => {
        const id = ++lastId;
        waiting.set(id, { resolve, reject });
        child.send({ id, command } satisfies Question, (error) => {
          if (error !== null) reject(error);
        });
      }),
    async kill() {
      await end();
      const event = { name: "processDied", atMs: 0, worker: settings.name, fields: {} } as const;
      write({ kind: "event", at: epochNow(), event });
    },
    close: end,
  };
}
