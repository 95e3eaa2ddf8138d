import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { type Block, blocksOf } from "./blocks.js";
import { repositoryRoot } from "./consumer.js";

/** A page that people read to use the package. */
export interface Page {
  /** From the root of the repository, with `/` on every system. */
  readonly name: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

export const README = "README.md";

/** README.md and every page of the guide: whoever adds a page has nothing to register. */
export const pages: readonly Page[] = [README, ...markdownIn("docs/guide")].map((name) => {
  const text = textOf(name);
  return { name, text, blocks: blocksOf(text) };
});

export function page(name: string): Page {
  const found = pages.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`there is no page ${name}`);
  return found;
}

export function textOf(name: string): string {
  return readFileSync(path.join(repositoryRoot, name), "utf8");
}

export function markdownIn(folder: string): string[] {
  const names = readdirSync(path.join(repositoryRoot, folder));
  return names
    .filter((name) => name.endsWith(".md"))
    .sort()
    .map((name) => path.posix.join(folder, name));
}
