import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { startProcess } from "../../support/process/process-harness.js";

const script = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

const run = async (...args: string[]) => {
  const child = startProcess({ script, args });
  const { code } = await child.waitForExit();
  return { code, stdout: child.stdout.join("\n"), stderr: child.stderr.join("\n") };
};

describe("the ostinato command", () => {
  test.each([
    [["run", "no-such-worker.js"], /^ostinato: script: there is no file \S+no-such-worker\.js$/],
    [["run", "test"], /is not a file; name the module that starts the workers/],
    [["run"], /^ostinato: run: which script\?/],
    [
      ["run", "x.js", "--procesess", "2"],
      /^ostinato: Unknown option '--procesess'; ostinato --help tells the options$/,
    ],
    [["run", "x.js", "--processes", "0"], /^ostinato: --processes must be a number from 1 to 512, or auto, got 0$/],
    [["run", "x.js", "--", "--help"], /there is no file/],
    [["dev", "--queue", "fast"], /^ostinato: --queue must be one of patient, eager, instant, got fast/],
    [["dev", "--port", "1e3"], /^ostinato: --port must be a number from 0 to 65535, got 1e3/],
    [["walk"], /^ostinato: there is no command walk/],
    [[], /^ostinato: which command\?/],
  ])("%j: a line without a stack, and exit code 2", async (args, said) => {
    const { code, stderr } = await run(...args);
    expect(stderr).toMatch(said);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(code).toBe(2);
  });

  test.each([["--help"], ["run", "--help"], ["run", "x.js", "-h"], ["dev", "-h"]])(
    "%s %s tells how",
    async (...args) => {
      const { code, stdout } = await run(...args);
      expect(stdout).toMatch(/ run <script>[^]* dev /);
      expect(code).toBe(0);
    },
  );

  test.runIf(!Reflect.get(process.features, "typescript"))("TypeScript where Node does not run it", async () => {
    const { code, stderr } = await run("run", "samples/hello/main.ts");
    expect(stderr).toMatch(/is TypeScript, which Node v\S+ does not run by itself: .*--node-arg=--import=tsx/);
    expect(code).toBe(2);
  });

  test("a port that is taken, before anything is started", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const { code, stderr, stdout } = await run("run", script, "--admin-port", String(port));
    taken.close();
    expect(stderr).toMatch(new RegExp(`^ostinato: the admin endpoint cannot listen on port ${port} .*taken`));
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });

  test("a port on the command line is worth more than one of the environment", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const args = ["run", script, "--admin-port", String(port)];
    const child = startProcess({ script, args, env: { CONDUCTOR_WORKER_ADMIN_PORT: "70000" } });
    await child.waitForExit();
    taken.close();
    expect(child.stderr.join("\n")).toContain(`cannot listen on port ${port} `);
  });
});
