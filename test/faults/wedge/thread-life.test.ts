import { execFileSync, spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { startProcess, type RunningProcess } from "../../support/process/process-harness.js";
import { useWorkerProcess } from "../../support/wedge/use-worker-process.js";
import { codeOf, ended, stallLines, stuckAt, STALL_MS } from "../../support/wedge/worker-process.js";

const processes = useWorkerProcess();

const count = (child: RunningProcess, text: string) => child.output.split(text).length - 1;
const majorVersion = Number(process.versions.node.split(".")[0]);

describe("the watchdog's thread", () => {
  test("one thread watches, and a process that stops is not held by it", async () => {
    const { child } = await processes.startWorking({ env: { START_ONLY: "1" } });
    child.signal("SIGTERM");
    await child.waitForLine(/"msg":"stopped"/);
    const stoppedAt = performance.now();
    expect(await child.waitForExit()).toEqual({ code: 0, signal: null });
    expect(performance.now() - stoppedAt).toBeLessThan(400);
    expect(count(child, "thread started")).toBe(1);
    expect(child.stderr).toEqual([]);
  });

  test.each([
    ["watchdog: false", { HANDLER_OPTIONS: '{"watchdog":false}' }],
    ["a stall timeout of 0", { STALL_SECONDS: "0" }],
    ["a test runner", { VITEST: "true" }],
  ])("with %s there is no thread", async (_name, env) => {
    const { child } = await processes.startWorking({ env });
    child.signal("SIGTERM");
    expect(await child.waitForExit()).toEqual({ code: 0, signal: null });
    expect(count(child, "thread started")).toBe(0);
  });

  test("under a test runner there is one if it is asked for", async () => {
    const { child, type } = await processes.startWorking({
      wedge: "whileTrue",
      env: { VITEST: "true", HANDLER_OPTIONS: '{"watchdog":true}' },
    });
    await type.schedule("wedge");
    expect(codeOf(await child.waitForExit())).toBe(70);
  });

  test("a thread that dies is replaced, and that is said", async () => {
    const { child, type } = await processes.startWorking({ env: { THREAD_DIES: "1" } });
    await child.waitForLine(/"level":50.*the watchdog thread has died; another one is started in 1000 ms/);
    expect(count(child, "thread started")).toBeGreaterThan(1);
    expect((await ended(await type.schedule("done"))).status).toBe("COMPLETED");
    child.signal("SIGTERM");
    expect(await child.waitForExit()).toEqual({ code: 0, signal: null });
  });

  test.runIf(majorVersion >= 24)(
    "without permission for a thread the worker goes on, and says that nobody watches",
    async () => {
      const { child, type } = await processes.startWorking({
        nodeArgs: ["--permission", "--allow-fs-read=*", ...(majorVersion >= 25 ? ["--allow-net"] : [])],
      });
      await child.waitForLine(/"level":50.*cannot be started: nobody watches/);
      expect((await ended(await type.schedule("done"))).status).toBe("COMPLETED");
      child.signal("SIGTERM");
      expect(await child.waitForExit()).toEqual({ code: 0, signal: null });
    },
  );

  test.runIf(majorVersion >= 24)(
    "without permission to look into the main thread the process ends all the same",
    async () => {
      const { child, type } = await processes.startWorking({
        wedge: "whileTrue",
        nodeArgs: [
          "--permission",
          "--allow-worker",
          "--allow-fs-read=*",
          ...(majorVersion >= 25 ? ["--allow-net"] : []),
        ],
      });
      await type.schedule("wedge");
      expect([70, 137]).toContain(codeOf(await child.waitForExit()));
      expect(stallLines(child)).toHaveLength(1);
      expect(stallLines(child)[0]!.stall).toMatchObject({ stuck: [type.name], lastEntered: type.name });
    },
  );

  test("without WebAssembly the last step of the ladder is the first: SIGKILL", async () => {
    // undici brings its parser as WebAssembly; it is not this process's transport that is tested.
    const worker = processes.adopt(
      startProcess({
        nodeArgs: ["--jitless"],
        source: `
      import { createHeartbeatBoard } from ${JSON.stringify(moduleUrl("board"))};
      import { watch } from ${JSON.stringify(moduleUrl("watchdog"))};
      const board = createHeartbeatBoard(1);
      board.cell("only").beat();
      const watched = { board, stallMs: 500, graceMs: 500, reportFile: undefined };
      const describe = () => ({ inFlight: [], eventLoopDelayMs: 0 });
      watch({ ...watched, describe, onStall: async () => {}, onFailure: (error) => console.log(error) });
      console.log("stuck");
      for (;;);
    `,
      }),
    );
    await worker.waitForLine(/^stuck/);
    const since = performance.now();
    expect(await worker.waitForExit()).toEqual({ code: null, signal: "SIGKILL" });
    expect(performance.now() - since).toBeLessThan(3_500);
    expect(stallLines(worker)).toHaveLength(1);
  });

  // Root is not held to such a limit; whoever else it is may read the files all the same.
  const CAPABILITIES = "+dac_override,+dac_read_search";
  const AS_SOMEBODY = ["setpriv", "--reuid=54321", `--inh-caps=${CAPABILITIES}`, `--ambient-caps=${CAPABILITIES}`];
  const [setpriv = "", ...asSomebody] = AS_SOMEBODY;
  const mayBeSomebody = spawnSync(setpriv, [...asSomebody, process.execPath, "--version"]).status === 0;
  if (!mayBeSomebody) console.warn("NOT RUN: a limit on threads, in test/faults/wedge/thread-life.test.ts, needs root");

  const limitThreads = ({ pid }: RunningProcess, limit: string) => {
    execFileSync(setpriv, [...asSomebody, "prlimit", "--pid", String(pid), `--nproc=${limit}:`]);
  };

  test.runIf(mayBeSomebody).each([
    ["whileTrue", "busy"],
    ["exitHangs", "turning"],
  ])("%s: where no more threads may be started, the one that watches ends the process", async (wedge, mainThread) => {
    const { child, type } = await processes.startWorking({ wedge, under: AS_SOMEBODY });
    limitThreads(child, "1");
    await type.schedule("wedge");
    const since = await stuckAt(child);
    expect(await child.waitForExit()).toEqual({ code: null, signal: "SIGKILL" });
    expect(Date.now() - since).toBeLessThan(STALL_MS + 3_000);
    expect(stallLines(child).map(({ stall }) => stall.mainThread)).toEqual([mainThread]);
  });

  test.runIf(mayBeSomebody)("a thread for which there is no room yet is started when there is", async () => {
    const worker = processes.adopt(
      startProcess({
        under: AS_SOMEBODY,
        source: `
      import { createHeartbeatBoard } from ${JSON.stringify(moduleUrl("board"))};
      import { watch } from ${JSON.stringify(moduleUrl("watchdog"))};
      process.on("worker", () => console.log("thread started"));
      const tell = ({ message, cause }) => console.log(message, String(cause));
      process.stdin.once("data", () => {
        watch({ board: createHeartbeatBoard(1), stallMs: 500, graceMs: 500, onFailure: tell });
      });
      console.log("ready");
    `,
      }),
    );
    await worker.waitForLine(/ready/);
    limitThreads(worker, "1");
    worker.write("go\n");
    await worker.waitForLine(/could not be started; another one is started in 1000 ms .*EAGAIN/);
    limitThreads(worker, "10000");
    await worker.waitForLine(/thread started/);
  });

  test("in a worker thread of the user's nobody watches, and it is said", async () => {
    const worker = processes.adopt(
      startProcess({
        source: `
      import { isMainThread, Worker } from "node:worker_threads";
      import { createHeartbeatBoard } from ${JSON.stringify(moduleUrl("board"))};
      import { watch } from ${JSON.stringify(moduleUrl("watchdog"))};
      if (isMainThread) new Worker(new URL(import.meta.url));
      else watch({ board: createHeartbeatBoard(1), stallMs: 100, onFailure: (error) => console.log(error.message) });
    `,
      }),
    );
    await worker.waitForLine(/only in the main thread/);
    expect(await worker.waitForExit()).toEqual({ code: 0, signal: null });
  });

  test("two handlers share the thread; it watches each for as long as it runs", async () => {
    const worker = processes.adopt(
      startProcess({
        source: `
      import { createHeartbeatBoard } from ${JSON.stringify(moduleUrl("board"))};
      import { watch } from ${JSON.stringify(moduleUrl("watchdog"))};
      process.on("worker", () => console.log("thread started"));
      const attach = (name, stallMs) => {
        const board = createHeartbeatBoard(1);
        board.cell(name).beat();
        const describe = () => ({ inFlight: [name], eventLoopDelayMs: 0 });
        const common = { describe, onStall: async (report) => console.log("told", report.stuck), onFailure: console.log };
        return watch({ board, stallMs, graceMs: 500, reportFile: undefined, ...common });
      };
      setInterval(() => {}, 1000);
      const first = attach("first", 400);
      const second = attach("second", 1200);
      setTimeout(() => { first.stop(); console.log("first stopped"); }, 100);
    `,
      }),
    );
    expect(codeOf(await worker.waitForExit())).toBe(70);
    expect(count(worker, "thread started")).toBe(1);
    expect(stallLines(worker)).toHaveLength(1);
    expect(stallLines(worker)[0]!.stall).toMatchObject({
      stuck: ["second"],
      inFlight: ["second"],
      mainThread: "turning",
    });
    expect(worker.output).toContain("told [ 'second' ]");
  });
});

function moduleUrl(name: string): string {
  return new URL(`../../../dist/liveness/${name}.js`, import.meta.url).href;
}
