import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";

/** The text of each file by its path below the root, with `/` between folders: `runner/gate/backoff.ts`. */
export type SourceTree = ReadonlyMap<string, string>;

export function sourceTree(files: Readonly<Record<string, string>>): SourceTree {
  return new Map(Object.entries(files));
}

/** All TypeScript files below `root`, in the order of their paths. */
export function readSourceTree(root: URL): SourceTree {
  const names = readdirSync(root, { recursive: true, encoding: "utf8" }).map((name) => name.split(path.sep).join("/"));
  const files = names.filter((name) => name.endsWith(".ts")).sort();
  return new Map(files.map((name) => [name, readFileSync(new URL(name, root), "utf8")]));
}

const parsed = new Map<string, ts.SourceFile>();

/** The file's syntax, read once for all who ask. Its name is its path with `/` before it. */
export function syntaxOf(file: string, text: string): ts.SourceFile {
  const known = parsed.get(file);
  if (known?.text === text) return known;
  const source = ts.createSourceFile(`/${file}`, text, ts.ScriptTarget.ESNext, true);
  parsed.set(file, source);
  return source;
}
