import { describe, expect, test } from "vitest";
import { canUnshare, lines, withSupervisor, WORKER } from "../../support/supervisor/with-supervisor.js";

if (!canUnshare) console.warn("NOT RUN: the supervisor as PID 1 needs a Linux that permits `unshare --pid`");

describe("the script of ostinato run", () => {
  describe("a script that cannot work is a clear error", () => {
    test("it throws while it is loaded: its error is shown, once", () =>
      withSupervisor({ script: "throw new RangeError('no such luck');" }, async ({ primary }) => {
        expect(await primary.waitForExit(15_000)).toEqual({ code: 1, signal: null });
        expect(primary.stderr.filter((line) => line.startsWith("RangeError: no such luck"))).toHaveLength(1);
        expect(primary.output).toContain("ostinato: the worker script does not start:");
        expect(primary.output).toContain("process 0: crashed (exit code 1): RangeError: no such luck");
      }));

    test("it ends without a handler", () =>
      withSupervisor({ script: "process.exit(0);" }, async ({ primary }) => {
        expect(await primary.waitForExit(15_000)).toEqual({ code: 1, signal: null });
        expect(primary.output).toContain("without starting a handler; does the script call run() or start()?");
      }));

    test("it never starts a handler", () =>
      withSupervisor(
        { script: "setInterval(() => {}, 1000);", args: ["--start-timeout-ms", "1500"] },
        async ({ primary }) => {
          expect(await primary.waitForExit(15_000)).toEqual({ code: 1, signal: null });
          expect(primary.output).toContain("did not start a handler in time");
        },
      ));

    test("a crash loop: five starts in a row that fail end the primary, with the list", () => {
      const script = `
      import { existsSync, writeFileSync } from "node:fs";
      if (existsSync(process.env.MARKER)) throw new Error("the second time it fails");
      writeFileSync(process.env.MARKER, "");
      ${WORKER}
    `;
      return withSupervisor({ script }, async ({ primary, ready, task }) => {
        await ready(1);
        await task({ act: "crash" });
        expect(await primary.waitForExit(60_000)).toEqual({ code: 1, signal: null });
        expect(primary.output).toContain("ostinato: 5 worker processes in a row ended before they started a handler:");
        const listed = primary.stderr.filter((line) => /^ {2}process 0: crashed .*the second time it fails/.test(line));
        expect(listed).toHaveLength(5);
        expect(lines(primary, "a worker process has ended")).toHaveLength(6);
      });
    });
  });

  test("environment, arguments and Node's arguments reach the script, which need not be an ES module", () => {
    const script = `
    console.log(JSON.stringify([process.argv.slice(2), process.env.COLOUR, process.execArgv]));
    const { TaskHandler, defineWorker } = require("ostinato");
    new TaskHandler({ workers: [defineWorker({ taskDefName: "work", execute: () => ({}) })] }).run();
  `;
    const args = ["--node-arg=--stack-size=900", "--", "--processes", "9", "-x"];
    return withSupervisor({ script, name: "worker.cjs", args, env: { COLOUR: "red" } }, async ({ primary, ready }) => {
      await ready(1);
      await primary.waitForLine(/^\[\["--processes","9","-x"\],"red",\["--stack-size=900"\]\]$/);
      primary.signal("SIGTERM");
      expect(await primary.waitForExit(15_000)).toEqual({ code: 0, signal: null });
    });
  });

  test("TypeScript, where a loader is named", () => {
    const script = `
    import { TaskHandler, defineWorker } from "ostinato";
    const options: { workers: ReturnType<typeof defineWorker>[] } = {
      workers: [defineWorker({ taskDefName: "work", execute: () => ({}) })],
    };
    await new TaskHandler(options).run();
  `;
    const tsx = import.meta.resolve("tsx");
    return withSupervisor(
      { script, name: "worker.mts", args: [`--node-arg=--import=${tsx}`] },
      async ({ primary, ready }) => {
        await ready(1);
        primary.signal("SIGTERM");
        expect(await primary.waitForExit(15_000)).toEqual({ code: 0, signal: null });
      },
    );
  });

  test.runIf(canUnshare)("as the first process of a container: signals are heard, what dies is replaced", () =>
    withSupervisor({ asFirstProcess: true }, async ({ conductor, primary, task, ready }) => {
      await ready(1);
      expect(lines(primary, "running /")[0]).toMatchObject({ pid: 1 });
      await task({ act: "crash" });
      await ready(2);
      const last = await task({ ms: 1_000 });
      await primary.waitForLine(/began wait/);
      primary.write("TERM\n");
      expect(await primary.waitForExit(15_000)).toEqual({ code: 0, signal: null });
      expect((await conductor.workflow(last)).status).toBe("COMPLETED");
    }),
  );
});
