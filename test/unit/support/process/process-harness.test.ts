import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import {
  startProcess,
  type RunningProcess,
  type StartProcessOptions,
} from "../../../support/process/process-harness.js";
import { waitFor } from "../../../support/time/wait-for.js";

const started: RunningProcess[] = [];

function start(options: StartProcessOptions): RunningProcess {
  const child = startProcess(options);
  started.push(child);
  return child;
}

describe("the process harness", () => {
  afterEach(async () => {
    await Promise.all(started.splice(0).map((child) => child.kill()));
  });

  function isAlive(pid: number): boolean {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  }

  test("collects lines of stdout and stderr and the exit code", async () => {
    const child = start({ source: `console.log("out\\nmore"); console.error("err"); process.exitCode = 3;` });
    expect(await child.exited).toEqual({ code: 3, signal: null });
    expect(child.stdout).toEqual(["out", "more"]);
    expect(child.stderr).toEqual(["err"]);
    expect(child.output.split("\n").sort()).toEqual(["err", "more", "out"]);
    expect(child.running).toBe(false);
    expect(child.signal("SIGTERM")).toBe(false);
  });

  test("waitForLine returns the match, of old lines too", async () => {
    const child = start({ source: `console.log("listening on 4711"); setInterval(() => {}, 1000);` });
    const match = await child.waitForLine(/listening on (\d+)/g);
    expect(match[1]).toBe("4711");
    expect((await child.waitForLine(/listening/))[0]).toBe("listening");
  });

  test("waitForLine shows the output when it fails, at the bound or at the end of the process", async () => {
    const child = start({
      source: `console.log("something else"); process.stdin.once("data", () => process.exit(9));`,
    });
    await child.waitForLine(/something/);
    await expect(child.waitForLine(/ready/, 30)).rejects.toThrow(
      /not within 30 ms: a line like \/ready\/.*\n {2}something/,
    );
    const waiting = expect(child.waitForLine(/ready/)).rejects.toThrow(
      /no line like \/ready\/.*exit code 9.*\n {2}something/,
    );
    child.write("go\n");
    await waiting;
  });

  test("signals, and tells how it ended", async () => {
    const child = start({
      source: `process.on("SIGTERM", () => { console.log("draining"); process.exit(0); }); setInterval(() => {}, 1000); console.log("up");`,
    });
    await child.waitForLine(/up/);
    expect(child.signal("SIGTERM")).toBe(true);
    expect(await child.waitForExit()).toEqual({ code: 0, signal: null });
    expect(child.stdout).toEqual(["up", "draining"]);
  });

  test("kill ends what does not want to end; waitForExit has a bound", async () => {
    const child = start({ source: `process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log("up");` });
    await child.waitForLine(/up/);
    child.signal("SIGTERM");
    await expect(child.waitForExit(50)).rejects.toThrow(/not within 50 ms: the end of it; process \d+ runs/);
    expect(await child.kill()).toEqual({ code: null, signal: "SIGKILL" });
    expect(isAlive(child.pid)).toBe(false);
    expect(await child.kill()).toEqual({ code: null, signal: "SIGKILL" });
  });

  test("passes arguments, flags and environment, without the test runner's own", async () => {
    const child = start({
      source: `console.log(JSON.stringify([process.argv.slice(2), process.execArgv, process.env.FLAVOUR, "HOME" in process.env, Object.keys(process.env).filter((name) => /VITEST|NODE_ENV/.test(name))]));`,
      args: ["a", "b c"],
      nodeArgs: ["--no-warnings"],
      env: { FLAVOUR: "umami", HOME: undefined },
    });
    await child.waitForExit();
    expect(JSON.parse(child.stdout[0]!)).toEqual([["a", "b c"], ["--no-warnings"], "umami", false, []]);
  });

  test("a program's text finds dependencies, and leaves nothing behind", async () => {
    const child = start({
      source: `import { Pool } from "undici"; console.log(typeof Pool, import.meta.filename ?? new URL(import.meta.url).pathname);`,
    });
    expect(await child.exited).toEqual({ code: 0, signal: null });
    const [type, file] = child.stdout[0]!.split(" ");
    expect(type).toBe("function");
    expect(() => {
      rmSync(file!);
    }).toThrow("ENOENT");
  });

  test("a program's text finds ostinato as an installed package is found", async () => {
    const child = start({ source: `console.log(import.meta.resolve("ostinato/package.json"));` });
    await child.waitForExit();
    expect(child.stdout[0]).toBe(new URL("../../../../package.json", import.meta.url).href);
  });

  test("a TypeScript file runs", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "ostinato-script-"));
    const script = path.join(folder, "program.ts");
    writeFileSync(script, `const answer: number = 42; console.log(answer satisfies number);`);
    const child = start({ script });
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(child.stdout).toEqual(["42"]);
    rmSync(folder, { recursive: true });
  });

  test("ownGroup: kill ends the children of the child as well", async () => {
    // A connection tells the end of its process at once; its pid may live on as a zombie that nobody collects.
    const connections: net.Socket[] = [];
    const lifeline = net.createServer((socket) => connections.push(socket.on("error", () => {})));
    await new Promise<void>((resolve) => lifeline.listen(0, "127.0.0.1", resolve));
    const { port } = lifeline.address() as net.AddressInfo;
    const child = start({
      ownGroup: true,
      source: `
      import { spawn } from "node:child_process";
      spawn(process.execPath, ["-e", 'require("node:net").connect(${port}, "127.0.0.1")'], { stdio: "inherit" });`,
    });
    const connection = await waitFor(() => connections[0], { what: "the grandchild to connect" });
    const ended = new Promise((resolve) => connection.once("close", resolve));
    await child.kill();
    await ended;
    lifeline.close();
  });

  test("a grandchild that holds the pipes does not hold up the exit", async () => {
    const child = start({
      source: `
      import { spawn } from "node:child_process";
      const grandchild = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit", detached: true });
      grandchild.unref();
      console.log("grandchild", grandchild.pid);`,
    });
    const pid = Number((await child.waitForLine(/grandchild (\d+)/))[1]);
    try {
      expect(await child.waitForExit(5_000)).toEqual({ code: 0, signal: null });
    } finally {
      process.kill(pid, "SIGKILL");
    }
  });
});
