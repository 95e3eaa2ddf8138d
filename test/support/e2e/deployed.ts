import {
  accessSync,
  constants,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { startProcess, type RunningProcess } from "../process/process-harness.js";
import { waitFor } from "../time/wait-for.js";
import { parseDockerfile, replay } from "./dockerfile.js";
import { repositoryRoot, run } from "./packed-package.js";

export const SAMPLE = path.join(repositoryRoot, "samples/deploy");

export function sampleText(...names: string[]): string {
  return readFileSync(path.join(SAMPLE, ...names), "utf8");
}

/** A program of the machine, found on the PATH; throws a sentence that says how to get it. */
export function requireProgram(name: string, howToGet: string): string {
  const folders = (process.env.PATH ?? "").split(path.delimiter).filter((folder) => folder !== "");
  for (const folder of [...folders, "/usr/bin", "/bin"]) {
    const file = path.join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this one.
    }
  }
  throw new Error(`There is no ${name} on the PATH. ${howToGet}`);
}

/** The sample's app, made as its README and then its Dockerfile say. */
export interface DeployedApp {
  /** What is `/app` in the image. */
  readonly folder: string;
  /** For files of tests. */
  readonly root: string;
  remove(): void;
}

export async function deployApp(): Promise<DeployedApp> {
  const root = mkdtempSync(path.join(tmpdir(), "ostinato-deploy-"));
  try {
    const context = path.join(root, "greeter");
    mkdirSync(context);
    // The build is there already; making it again would take it from under the tests that run beside us.
    await run("npm", ["pack", "--ignore-scripts", "--pack-destination", context], repositoryRoot);
    cpSync(path.join(SAMPLE, "worker.mjs"), path.join(context, "worker.mjs"));
    cpSync(path.join(SAMPLE, "docker"), context, { recursive: true });
    const tarball = readdirSync(context).find((name) => name.endsWith(".tgz")) ?? "";
    await run("npm", ["init", "-y"], context);
    await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", `./${tarball}`], context);
    const folder = await replay(parseDockerfile(sampleText("docker", "Dockerfile")), {
      context: ignored(context),
      root,
    });
    return {
      folder,
      root,
      remove() {
        rmSync(root, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(root, { recursive: true, force: true });
    throw error;
  }
}

/** Takes out of a context what its .dockerignore keeps from the build: everything but what it names. */
function ignored(context: string): string {
  const lines = readFileSync(path.join(context, ".dockerignore"), "utf8").split("\n");
  const rules = lines.filter((line) => !/^(#|$)/.test(line));
  if (rules[0] !== "*") throw new Error(".dockerignore: expected everything to be kept out first");
  const kept = rules.slice(1).map((rule) => rule.replace(/^!/, ""));
  const isKept = (name: string) =>
    kept.some((rule) => (rule.startsWith("*") ? name.endsWith(rule.slice(1)) : rule === name));
  for (const name of readdirSync(context)) {
    if (!isKept(name)) rmSync(path.join(context, name), { recursive: true });
  }
  return context;
}

export interface StartOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly under?: readonly string[];
}

/** Starts a command that begins with Node, as a sample has it; `/usr/bin/node` is this Node. */
export function startCommand(
  [node = "", script = "", ...args]: readonly string[],
  options: StartOptions,
): RunningProcess {
  if (path.basename(node) !== "node") throw new Error(`not a command of Node's: ${node}`);
  return startProcess({ script, args, ownGroup: true, ...options });
}

/** A process that is PID 1 of a namespace of its own, as the first one of a container is. */
export interface Init {
  /** The namespace's keeper: its output, and its exit, are those of PID 1. */
  readonly keeper: RunningProcess;
  /** PID 1, by the number it has out here. */
  readonly pid: number;
}

export async function startAsInit(command: readonly string[], options: StartOptions): Promise<Init> {
  const unshare = requireProgram("unshare", "It is in util-linux (Debian, Ubuntu: apt-get install util-linux).");
  // Only root may make a namespace of processes; everybody else needs one of users first.
  const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  const under = [unshare, ...asRoot, "--pid", "--fork", "--kill-child", "--mount-proc"];
  const keeper = startCommand(command, { ...options, under });
  const pid = await waitFor(() => childrenOf(keeper.pid)[0], {
    what: () => `PID 1 of the namespace; there is:\n${keeper.output}`,
  });
  const numbers = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]?.split(/\s+/);
  if (numbers?.at(-1) !== "1") throw new Error(`not PID 1, but ${numbers?.join(" ") ?? "unknown"}`);
  return { keeper, pid };
}

/** The direct children of a process. */
export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** NODE_OPTIONS with which any program gets stuck, in a loop that never yields, when it is sent SIGUSR2. */
export function stuckOnSignal(root: string): string {
  const file = path.join(root, "stuck-on-signal.mjs");
  writeFileSync(file, 'process.on("SIGUSR2", () => { for (;;); });\n');
  return `--import=${pathToFileURL(file).href}`;
}
