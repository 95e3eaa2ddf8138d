import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { repositoryRoot } from "./consumer.js";
import { page, README, textOf } from "./pages.js";

// The start in an empty folder that README.md tells, line by line. Only three things differ: what `npm install` would
// bring is linked, so that no network is needed; the Conductor listens on any free port, so that 8080 may be taken; and a
// Node that does not run TypeScript is started as README.md says for that case.

const TIMEOUT_MS = 60_000;
const PATIENCE_MS = 40_000;

const { version } = JSON.parse(textOf("package.json")) as { version: string };
const { blocks } = page(README);
const INSTALL = `npm install ../ostinato/ostinato-${version}.tgz`;
const runsTypeScript = Boolean(Reflect.get(process.features, "typescript"));

const left: (() => void)[] = [];

describe("README.md", () => {
  afterEach(() => {
    for (const remove of left.splice(0).reverse()) remove();
  });

  test("from an empty folder: two terminals, and Hello Ada is on the screen", { timeout: TIMEOUT_MS }, async () => {
    const root = mkdtempSync(path.join(tmpdir(), "ostinato-start-"));
    left.push(() => {
      rmSync(root, { recursive: true, force: true });
    });

    const lines = step("folder");
    expect(lines.at(-1)).toBe(INSTALL);
    const made = spawnSync("bash", ["-ec", [...lines.slice(0, -1), "pwd"].join("\n")], { cwd: root, encoding: "utf8" });
    expect(made).toMatchObject({ status: 0 });
    const app = made.stdout.trim().split("\n").at(-1)!;
    expect(JSON.parse(readFileSync(path.join(app, "package.json"), "utf8"))).toMatchObject({ type: "module" });
    linkInstalled(app);
    for (const { file, code } of blocks)
      if (["greet.ts", "hello.ts"].includes(file)) writeFileSync(path.join(app, file), code);

    expect(step("terminal 1")).toEqual(["npx ostinato dev"]);
    const server = openTerminal(app, "npx ostinato dev --port 0");
    const [, serverUrl = ""] = await server.shows(/CONDUCTOR_SERVER_URL=(\S+)/);

    const commands = step("terminal 2").map((line) =>
      runsTypeScript ? line : line.replace(/^node /, "node --import tsx "),
    );
    const worker = openTerminal(app, commands.join("\n"), { CONDUCTOR_SERVER_URL: serverUrl });
    await worker.shows(/Hello Ada/);

    expect(await worker.interrupt()).toBe(0);
    await server.interrupt(); // npx ends by the signal itself
  });
});

/** The lines of a step of the start. */
function step(where: string): string[] {
  const found = blocks.find(({ directive }) => directive?.kind === "start" && directive.where === where);
  if (found === undefined) throw new Error(`README.md has no step "start: ${where}"`);
  return found.code.trim().split("\n");
}

function linkInstalled(app: string): void {
  if (!existsSync(path.join(repositoryRoot, "dist/cli/main.js")))
    throw new Error("build the package first: npm run build");
  const modules = path.join(app, "node_modules");
  mkdirSync(path.join(modules, ".bin"), { recursive: true });
  symlinkSync(repositoryRoot, path.join(modules, "ostinato"), "junction");
  symlinkSync(path.join(repositoryRoot, "node_modules/tsx"), path.join(modules, "tsx"), "junction");
  const program = path.join(modules, ".bin/ostinato");
  writeFileSync(program, '#!/bin/sh\nexec node "$(dirname "$0")/../ostinato/dist/cli/main.js" "$@"\n', { mode: 0o755 });
}

/** A shell that runs some lines, with what it shows and a Ctrl-C. */
function openTerminal(cwd: string, script: string, env: Readonly<Record<string, string>> = {}) {
  const { HOME } = process.env;
  // Its `node` is the one that runs this test, which need not be the first on the path.
  const PATH = [path.dirname(process.execPath), process.env.PATH].join(path.delimiter);
  // A process group of its own is what a Ctrl-C goes to.
  const shell = spawn("bash", ["-c", script], { cwd, env: { PATH, HOME, ...env }, detached: true });
  const closed = new Promise<number | null>((resolve) => shell.on("close", resolve));
  left.push(() => {
    signalGroup(shell, "SIGKILL");
  });
  let screen = "";
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      screen += text;
    });
  }
  return {
    async shows(pattern: RegExp): Promise<RegExpExecArray> {
      const giveUpAt = Date.now() + PATIENCE_MS;
      for (;;) {
        const match = pattern.exec(screen);
        if (match !== null) return match;
        if (Date.now() > giveUpAt || shell.exitCode !== null) throw new Error(`no ${String(pattern)} in:\n${screen}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    interrupt(): Promise<number | null> {
      signalGroup(shell, "SIGINT");
      return closed;
    },
  };
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid!, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it has ended
  }
}
