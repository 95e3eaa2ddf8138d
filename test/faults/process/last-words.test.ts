import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { http, HttpResponse } from "msw";
import { describe, expect } from "vitest";
import type { TaskResult } from "../../../src/index.js";
import { fault, type FaultRun } from "../../support/faults/fault.js";
import { sleep, UPDATE_PATHS } from "../../support/faults/helpers.js";
import { misbehaving } from "../../support/faults/misbehaving-worker.js";
import { startProcessWorld } from "../../support/faults/process-world.js";
import { startGateway } from "../../support/servers/gateway.js";
import { waitFor } from "../../support/time/wait-for.js";

const group = "Bounds";
const skip = process.platform === "linux" ? undefined : "it needs a FIFO of Linux, and paths of descriptors";

function temporaryFolder(run: FaultRun): string {
  const folder = mkdtempSync(path.join(tmpdir(), "ostinato-fault-"));
  run.onEnd(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Stdout goes to a file, and what was stdout is file descriptor 3. */
const loggingTo = (file: string) => ["sh", "-c", 'exec 3>&1 >"$0"; exec "$@"', file];

interface Line {
  readonly msg: string;
  readonly taskId?: string;
  readonly file?: string;
  readonly result?: TaskResult;
}

function linesOf(text: string): Line[] {
  return text.split("\n").flatMap((line) => {
    try {
      return [JSON.parse(line) as Line];
    } catch {
      return [];
    }
  });
}

/** The tasks whose result is in the lines with so many characters of output. */
const wholeIn = (lines: readonly Line[], characters: number) =>
  lines.filter(({ result }) => String(result?.outputData?.precious).length === characters).map(({ taskId }) => taskId);

const rescued = (folder: string) => {
  const files = readdirSync(folder).filter((name) => name.startsWith("ostinato-undelivered-"));
  return files.map((name) => path.join(folder, name));
};

describe.concurrent("what is left of results that are given up", () => {
  fault(
    {
      number: 56,
      group,
      name: "results are given up at a stop, and nobody reads the log",
      boundMs: 3_000,
      guard: "what no reader takes is put into a file",
      skip,
    },
    async (run) => {
      const [RESULTS, SIZE, LARGE] = [60, 50_000, 2_000_000];
      const folder = temporaryFolder(run);
      const fifo = path.join(folder, "stdout");
      execFileSync("mkfifo", [fifo]);
      // Both ends, so that neither waits for the other; nothing is read before the worker has ended.
      const log = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
      run.onEnd(() => {
        closeSync(log);
      });
      const world = await startProcessWorld(run, {
        taskDef: { responseTimeoutSeconds: 10 },
        mayTimeOut: "the worker that had them stopped while the server stored nothing",
      });
      const gateway = await startGateway(world.conductor.serverUrl);
      run.onEnd(() => gateway.close());
      gateway.use(
        http.post(UPDATE_PATHS, () =>
          HttpResponse.json({ status: 500, message: "the database is read-only", retryable: true }, { status: 500 }),
        ),
      );
      const serverUrl = `${gateway.url}/api`;
      const first = await world.startWorker(
        ...misbehaving(
          { serverUrl, name: "first", concurrency: 20, logs: true, eventsFd: 3 },
          { under: loggingTo(fifo), env: { TMPDIR: folder } },
        ),
      );
      const ids = [
        ...(await world.begin(RESULTS, { mode: "large", data: SIZE })),
        ...(await world.begin(1, { mode: "large", data: LARGE })),
      ];
      const executed = () => first.events.filter(({ name }) => name === "taskExecuted").length;
      await waitFor(() => executed() > RESULTS, {
        boundMs: 10_000,
        what: () => `${executed()} of ${RESULTS + 1} to end`,
      });
      first.signal("SIGTERM");
      await sleep(2_100);
      first.signal("SIGTERM");
      expect(await first.waitForExit(15_000), first.output).toEqual({ code: 0, signal: null });
      gateway.reset();
      await world.startWorker(...misbehaving({ serverUrl, name: "second", concurrency: 20 }));
      run.injected();
      await run.worksAgain(world);
      await world.done(ids, 30_000);

      const buffer = Buffer.alloc(1024 * 1024);
      const inPipe = linesOf(buffer.toString("utf8", 0, readSync(log, buffer)));
      const [file = "", ...others] = rescued(folder);
      expect(others).toEqual([]);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const lines = [...inPipe, ...linesOf(readFileSync(file, "utf8"))];
      expect(new Set(wholeIn(lines, SIZE)).size, "results of 50 kB found again").toBe(RESULTS);
      expect(wholeIn(lines, LARGE), "results of 2 MB found again").toHaveLength(1);
      expect(first.stderr.join("\n")).toContain(file);
      return `${RESULTS} results of 50 kB and one of 2 MB were given up, and nobody read the worker's stdout. All of them were found again, whole, in one file of mode 0600, whose name was on stderr. The server had their tasks run again.`;
    },
  );

  fault(
    {
      number: 57,
      group: "Bounds",
      name: "results of megabytes are refused for good",
      boundMs: 3_000,
      guard: "the line that is all that is left of a result is written whole",
      skip,
    },
    async (run) => {
      const SIZE = 2_000_000;
      const folder = temporaryFolder(run);
      const log = path.join(folder, "worker.log");
      const world = await startProcessWorld(run);
      const gateway = await startGateway(world.conductor.serverUrl);
      run.onEnd(() => gateway.close());
      gateway.use(
        http.post(UPDATE_PATHS, async ({ request }) => {
          const { outputData } = (await request.clone().json()) as TaskResult;
          if (outputData?.precious === undefined) return undefined;
          return HttpResponse.json(
            { status: 400, message: "no such precious things", retryable: false },
            { status: 400 },
          );
        }),
      );
      const worker = await world.startWorker(
        ...misbehaving(
          { serverUrl: `${gateway.url}/api`, logs: true, eventsFd: 3 },
          { under: loggingTo(log), env: { TMPDIR: folder } },
        ),
      );
      const [plain = ""] = await world.begin(1, { mode: "large", data: SIZE });
      const [secret = ""] = await world.begin(1, { mode: "secret", data: SIZE });
      const givenUp = () => worker.events.filter(({ name }) => name === "taskUndeliverable").length;
      await waitFor(() => givenUp() === 2, { what: "both to be given up" });
      run.injected();
      await run.worksAgain(world);
      const taskIds: (string | undefined)[] = [];
      for (const id of [plain, secret]) {
        const { tasks } = await world.conductor.waitForWorkflow(id, { timeoutMs: 10_000 });
        expect(tasks).toMatchObject([{ status: "FAILED_WITH_TERMINAL_ERROR" }]);
        taskIds.push(tasks[0]?.taskId);
      }
      const text = readFileSync(log, "utf8");
      const said = linesOf(text).filter(({ msg }) => msg.includes("could not be delivered"));
      expect(wholeIn(said, SIZE)).toEqual([taskIds[0]]);
      expect(text).not.toContain("hush");
      const [file = ""] = rescued(folder);
      expect(said.find(({ taskId }) => taskId === taskIds[1])).toMatchObject({ file });
      const kept = linesOf(readFileSync(file, "utf8"));
      expect(wholeIn(kept, SIZE)).toEqual([taskIds[1]]);
      expect(kept[0]?.result?.outputData?.token).toBe("hush");
      return "Two results of 2 MB. One is in the log, whole; the other had a secret in it: the log shows none, and names a file of mode 0600 that has it whole. Other tasks went on.";
    },
  );
});
