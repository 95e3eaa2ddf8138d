import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const repositoryRoot = fileURLToPath(new URL("../../..", import.meta.url));

/** Enough for an installation over a slow network. */
const COMMAND_TIMEOUT_MS = 240_000;

/** What `npm publish` would upload, installed in a folder that knows nothing of this repository. */
export interface PackedPackage {
  readonly tarball: string;
  readonly bytes: number;
  /** A package of nobody's, with the tarball as its only dependency. */
  readonly app: string;
  /** How many packages the installation brought, ours included. */
  readonly installedPackages: number;
  remove(): void;
}

/** Packs the build as it stands and installs it. */
export async function installPacked(): Promise<PackedPackage> {
  const root = mkdtempSync(path.join(tmpdir(), "ostinato-packed-"));
  try {
    // The build is there already; making it again would take it from under the tests that run beside us.
    await run("npm", ["pack", "--ignore-scripts", "--pack-destination", root], repositoryRoot);
    const { version } = JSON.parse(readFileSync(path.join(repositoryRoot, "package.json"), "utf8"));
    const tarball = path.join(root, `ostinato-${String(version)}.tgz`);
    const app = path.join(root, "app");
    mkdirSync(app);
    writeFileSync(path.join(app, "package.json"), JSON.stringify({ name: "app", private: true }));
    await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", tarball], app);
    const lock: { packages: object } = JSON.parse(
      readFileSync(path.join(app, "node_modules", ".package-lock.json"), "utf8"),
    );
    return {
      tarball,
      bytes: statSync(tarball).size,
      app,
      installedPackages: Object.keys(lock.packages).length,
      remove() {
        rmSync(root, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(root, { recursive: true, force: true });
    throw error;
  }
}

/** Runs a command to its end and resolves with all it said; rejects with that when it fails. */
export function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const [file, ...before] = executable(command);
  return new Promise((resolve, reject) => {
    execFile(
      file,
      [...before, ...args],
      { cwd, env: withoutNpm(process.env), timeout: COMMAND_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout + stderr);
        else reject(new Error(`${command} ${args.join(" ")} failed (${String(error.code)}):\n${stdout}${stderr}`));
      },
    );
  });
}

/** On Windows `npm` and `npx` are batch files, which only a shell starts; they start these, which lie beside Node. */
function executable(command: string): readonly [string, ...string[]] {
  if (process.platform !== "win32" || (command !== "npm" && command !== "npx")) return [command];
  return [
    process.execPath,
    path.join(path.dirname(process.execPath), "node_modules", "npm", "bin", `${command}-cli.js`),
  ];
}

/** Runs a program of the repository's dependencies: `typescript/bin/tsc`. */
export function runTool(bin: string, args: readonly string[], cwd: string): Promise<string> {
  return run(process.execPath, [createRequire(import.meta.url).resolve(bin), ...args], cwd);
}

/** An npm script's environment speaks of this repository, which an npm that runs elsewhere must not hear. */
function withoutNpm(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const speaks = /^(npm_(package|lifecycle|command|execpath|config_local_prefix)|INIT_CWD$|NODE_OPTIONS$|VITEST)/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !speaks.test(name)));
}
