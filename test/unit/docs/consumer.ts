import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

export const repositoryRoot = fileURLToPath(new URL("../../..", import.meta.url));

/** Runs what a block exports, if that is workers; a block that runs a handler of its own is only imported. */
const SERVE = `
import { TaskHandler } from "ostinato";
import { pathToFileURL } from "node:url";
const exported = await import(pathToFileURL(process.argv[2]));
const workers = Object.values(exported).filter((value) => typeof value?.execute === "function");
if (workers.length > 0) await new TaskHandler({ workers }).run();
`;

/** A project that has installed the package, as a reader of the documentation would, with a folder for each page. */
export interface Consumer {
  /** Adds a file; its folder is made if it is not there. */
  write(name: string, content: string): void;
  /** Type-checks the `.ts` files and compiles them; returns what is wrong, one line each. */
  compile(names: readonly string[]): string[];
  /** Starts a command in a folder of the project. */
  start(folder: string, command: string, args: readonly string[], env: Env): RunningCommand;
  /** Starts Node in a folder of the project, with the workers that a module of that folder exports. */
  serve(folder: string, module: string, env: Env): RunningCommand;
  remove(): void;
}

type Env = Readonly<Record<string, string>>;

export interface RunningCommand {
  readonly output: () => string;
  readonly exit: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  kill(signal: NodeJS.Signals): void;
}

const SERVE_SCRIPT = "serve-block.js";

export function createConsumer(): Consumer {
  if (!existsSync(path.join(repositoryRoot, "dist/index.js")))
    throw new Error("build the package first: npm run build");
  const root = mkdtempSync(path.join(tmpdir(), "ostinato-docs-"));
  const app = path.join(root, "app");
  mkdirSync(path.join(app, "node_modules"), { recursive: true });
  symlinkSync(path.join(repositoryRoot, "node_modules"), path.join(root, "node_modules"), "junction");
  symlinkSync(repositoryRoot, path.join(app, "node_modules/ostinato"), "junction");
  const write = (name: string, content: string): void => {
    const file = path.join(app, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
  };
  write("package.json", JSON.stringify({ type: "module", private: true }));
  write(SERVE_SCRIPT, SERVE);
  return {
    write,
    compile: (names) => compile(app, names),
    start: (folder, command, args, env) => start(path.join(app, folder), command, args, env),
    serve: (folder, module, env) =>
      start(path.join(app, folder), process.execPath, [path.join(app, SERVE_SCRIPT), module], env),
    remove: () => {
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function compile(root: string, names: readonly string[]): string[] {
  const program = ts.createProgram({
    rootNames: names.map((name) => path.join(root, name)),
    options: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      strict: true,
      skipLibCheck: true,
      types: ["node"],
      typeRoots: [path.join(repositoryRoot, "node_modules/@types")],
    },
  });
  const { diagnostics } = program.emit();
  return [...ts.getPreEmitDiagnostics(program), ...diagnostics].map(({ file, start, messageText }) => {
    const where = file === undefined ? "" : `${path.relative(root, file.fileName)}:${lineOf(file, start)}: `;
    return `${where}${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
}

function lineOf(file: ts.SourceFile, position = 0): number {
  return file.getLineAndCharacterOfPosition(position).line + 1;
}

function start(cwd: string, command: string, args: readonly string[], env: Env): RunningCommand {
  const { PATH, HOME } = process.env;
  const child = spawn(command, args, { cwd, env: { PATH, HOME, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  }
  return {
    output: () => output,
    exit: new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => {
        resolve({ code, signal });
      });
    }),
    kill: (signal) => child.kill(signal),
  };
}
