import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { startEmbeddedConductor } from "../../../src/testing/index.js";

const repositoryRoot = fileURLToPath(new URL("../../..", import.meta.url));
const ORDERS = "samples/order-fulfilment/main.ts";
const HELLO = "samples/hello/main.ts";
const WIDTH = 80;
const TIMEOUT_MS = 60_000;

// Where there is no `script`, the same rules are held to by the renderer's own tests.
const hasPty = spawnSync("script", ["--version"]).status === 0;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function node(script: string, args: readonly string[], options: Options = {}): Promise<Ended> {
  return run(process.execPath, ["--import", "tsx", script, ...args], options);
}

/** As a terminal of that many columns would get it. */
function inTerminal(columns: number, script: string, args: string, env: Options["env"] = {}): Promise<Ended> {
  const command = `stty cols ${columns} rows 24; exec "$NODE" --import tsx ${script} ${args}`;
  return run("script", ["-qec", command, "/dev/null"], {
    env: { NODE: process.execPath, TERM: "xterm", SHELL: "/bin/sh", ...env },
  });
}

interface Options {
  readonly env?: Readonly<Record<string, string>>;
  /** Sent when the output says that orders come in. */
  readonly signal?: NodeJS.Signals;
}

function run(command: string, args: readonly string[], { env = {}, signal }: Options): Promise<Ended> {
  const { PATH, HOME } = process.env;
  const child = spawn(command, args, {
    cwd: repositoryRoot,
    env: { PATH, HOME, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  let signalled = false;
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
    // The first line of progress comes when workers have been at it for seconds.
    if (signal === undefined || signalled || !/\d\/\d+ orders/.test(chunk)) return;
    signalled = true;
    child.kill(signal);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, stdout, stderr });
    });
  });
}

const CONTROL = /[^\n\x20-\x7e]/;
const linesOf = (text: string) => text.trimEnd().split("\n");
const longerThan = (width: number) => (line: string) => line.length > width;

describe.concurrent("samples/order-fulfilment", { timeout: TIMEOUT_MS }, () => {
  test("fulfils all orders, and writes plain lines where there is no terminal", async () => {
    const { code, stdout, stderr } = await node(ORDERS, ["--workflows", "20"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).not.toMatch(CONTROL);
    expect(linesOf(stdout).filter(longerThan(WIDTH))).toEqual([]);
    expect(linesOf(stdout).filter((line) => line.includes(" orders,")).length).toBeLessThanOrEqual(10);

    expect(stdout).toMatch(/^workflows completed +20 of 20$/m);
    expect(stdout).toMatch(/^tasks completed +100$/m);
    expect(stdout).toMatch(/^order_ship +20 +2( +\d+){4}$/m);
    expect(stdout).toMatch(/^leases extended +[1-9]\d*$/m);
    expect(stdout).toMatch(/^tasks lost +0$/m);
    expect(stdout).toMatch(/^tasks done twice +0$/m);
  });

  test("does the same on a server that is given to it, by its own books", async () => {
    await using conductor = await startEmbeddedConductor({ queue: "eager" });
    const env = { CONDUCTOR_SERVER_URL: conductor.serverUrl };
    const { code, stdout } = await node(ORDERS, ["--workflows", "10"], { env });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^tasks lost +0$/m);
    expect(stdout).toMatch(/^checked against +our own events$/m);
    const { workflows, violations } = await conductor.audit();
    expect(workflows).toEqual({ COMPLETED: 10 });
    expect(violations).toEqual({ lost: [], reportedMoreThanOnce: [], handedOutTwice: [] });
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("finishes what runs at %s, and tells how far it came", async (signal, exitCode) => {
    const { code, stdout } = await node(ORDERS, ["--workflows", "2000"], { signal });
    expect(code).toBe(exitCode);
    expect(stdout).toMatch(/^workflows completed +\d+ of 2000$/m);
    expect(stdout).toMatch(/^tasks lost +0$/m);
    expect(stdout).toContain(`Stopped by ${signal}`);
  });

  test("says in a sentence what is wrong, without a stack", async () => {
    const badOption = await node(ORDERS, ["--workflows", "none"]);
    expect(badOption.code).toBe(2);
    expect(badOption.stderr).toMatch(/^--workflows must be/);
    const noServer = await node(ORDERS, [], { env: { CONDUCTOR_SERVER_URL: "http://127.0.0.1:1/api" } });
    expect(noServer.code).toBe(1);
    expect(linesOf(noServer.stderr)).toHaveLength(1);
  });

  if (hasPty) {
    test.each([80, 40])("draws no line over the edge of a terminal of %i columns", async (columns) => {
      const { code, stdout } = await inTerminal(columns, ORDERS, "--workflows 20");
      expect(code).toBe(0);
      expect(stdout).toContain("\r[=");
      // Between two carriage returns there is what stands in a line, but for colours and for the erasing of its rest.
      const drawn = stdout.split(/[\r\n]+/).map((line) => line.replace(/\x1b\[(K|\d+m)/g, ""));
      expect(drawn.filter((line) => CONTROL.test(line))).toEqual([]);
      expect(drawn.filter(longerThan(columns))).toEqual([]);
      expect(drawn.filter((line) => line.startsWith("[")).filter(longerThan(columns - 1))).toEqual([]);
      expect(stdout).toMatch(/tasks lost +\x1b\[32m0\x1b\[39m/);
    });

    test("has no colours where NO_COLOR is set", async () => {
      const { stdout } = await inTerminal(80, ORDERS, "--workflows 3", { NO_COLOR: "1" });
      expect(stdout).toContain("\r[=");
      expect(stdout).not.toMatch(/\x1b\[\d+m/);
    });
  }
});

describe.concurrent("samples/hello", { timeout: TIMEOUT_MS }, () => {
  test("greets, and ends", async () => {
    expect(await node(HELLO, [])).toEqual({ code: 0, stdout: "Hello Ada\n", stderr: "" });
  });

  test("greets whom it is told to, on a server that is given to it", async () => {
    await using conductor = await startEmbeddedConductor();
    const greeted = await node(HELLO, ["Grace"], { env: { CONDUCTOR_SERVER_URL: conductor.serverUrl } });
    expect(greeted).toEqual({ code: 0, stdout: "Hello Grace\n", stderr: "" });
  });
});
