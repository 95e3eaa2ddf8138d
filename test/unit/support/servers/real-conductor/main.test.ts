import net from "node:net";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { startProcess, type RunningProcess } from "../../../../support/process/process-harness.js";

const script = fileURLToPath(new URL("../../../../support/servers/real-conductor/main.ts", import.meta.url));
let child: RunningProcess | undefined;

describe("the command that starts a real server", () => {
  afterEach(async () => {
    await child?.kill();
  });

  function start(...args: string[]): RunningProcess {
    child = startProcess({ script, args });
    return child;
  }

  test("--help tells the options", async () => {
    const started = start("--help");
    expect(await started.waitForExit()).toEqual({ code: 0, signal: null });
    expect(started.stdout.join("\n")).toMatch(/--port N[^]*--queue redis[^]*CONDUCTOR_SERVER_JAR/);
  });

  test.each([
    [["--port", "70000"], /--port must be/],
    [["--port", "x"], /--port must be/],
    [["--queue", "mysql"], /--queue must be sqlite or redis/],
    [["--prot", "1"], /'--prot'/],
  ])("%j is refused", async (args, message) => {
    const started = start(...args);
    expect(await started.waitForExit()).toEqual({ code: 2, signal: null });
    expect(started.stderr[0]).toMatch(message);
  });

  test("a port that is in use is an error, not somebody else's health", async () => {
    const taken = net.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    try {
      const { port } = taken.address() as net.AddressInfo;
      const started = start("--port", `${port}`);
      expect(await started.waitForExit()).toEqual({ code: 1, signal: null });
      expect(started.stderr).toEqual([`port ${port} is in use; choose another`]);
    } finally {
      taken.close();
    }
  });
});
