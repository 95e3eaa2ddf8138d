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
const exported = await import(new URL(process.argv[2], import.meta.url));
const workers = Object.values(exported).filter((value) => typeof value?.execute === "function");
if (workers.length > 0) await new TaskHandler({ workers }).run();
`;

/** A project that has installed the package, as a reader of the README would. */
export interface Consumer {
  /** Adds a file. */
  write(name: string, content: string): void;
  /** Type-checks the `.ts` files and compiles them; returns what is wrong, one line each. */
  compile(names: readonly string[]): string[];
  start(command: string, args: readonly string[], env: Readonly<Record<string, string>>): RunningCommand;
  remove(): void;
}

export interface RunningCommand {
  readonly output: () => string;
  readonly exit: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  kill(signal: NodeJS.Signals): void;
}

/** The script that {@link Consumer.start} runs a block's exported workers with. */
export const SERVE_SCRIPT = "serve-block.js";

export function createConsumer(): Consumer {
  if (!existsSync(path.join(repositoryRoot, "dist/index.js")))
    throw new Error("build the package first: npm run build");
  const root = mkdtempSync(path.join(tmpdir(), "ostinato-readme-"));
  const app = path.join(root, "app");
  mkdirSync(path.join(app, "node_modules"), { recursive: true });
  symlinkSync(path.join(repositoryRoot, "node_modules"), path.join(root, "node_modules"), "junction");
  symlinkSync(repositoryRoot, path.join(app, "node_modules/ostinato"), "junction");
  const write = (name: string, content: string): void => {
    writeFileSync(path.join(app, name), content);
  };
  write("package.json", JSON.stringify({ type: "module", private: true }));
  write(SERVE_SCRIPT, SERVE);
  return {
    write,
    compile: (names) => compile(names.map((name) => path.join(app, name))),
    start: (command, args, env) => start(app, command, args, env),
    remove: () => {
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function compile(files: readonly string[]): string[] {
  const program = ts.createProgram({
    rootNames: files,
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
    const where = file === undefined ? "" : `${path.basename(file.fileName)}:${lineOf(file, start)}: `;
    return `${where}${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
}

function lineOf(file: ts.SourceFile, position = 0): number {
  return file.getLineAndCharacterOfPosition(position).line + 1;
}

function start(
  cwd: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): RunningCommand {
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
