import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { WORKER_PROPS } from "../../../src/config/env-names.js";
import { WORKER_EVENT_NAMES } from "../../../src/events/emitter.js";
import { WORKER_OPTION_NAMES } from "../../../src/worker/define-worker.js";
import { repositoryRoot } from "./consumer.js";
import { markdownIn, type Page, page, pages, README, textOf } from "./pages.js";

/** What a newcomer reads at a sitting. */
const README_MAX_BYTES = 12_288;

const manifest = JSON.parse(textOf("package.json")) as { scripts: Record<string, string>; version: string };
const all = pages.map(({ text }) => text).join("\n");

/** The names in the first column of the tables of a text. */
function rowsOf(text: string): string[] {
  const rows = [...text.matchAll(/^\| `(\w+)`(?: or `(\w+)`)? +\|/gm)];
  return rows.flatMap(([, a, b]) => (b === undefined ? [a!] : [a!, b]));
}

describe("README.md", () => {
  test(`is a front door: ${README_MAX_BYTES} bytes at most`, () => {
    expect(Buffer.byteLength(page(README).text)).toBeLessThanOrEqual(README_MAX_BYTES);
  });

  test("names the two commands, for the main job and for the tests", () => {
    const commands = page(README).blocks[0]!.code;
    expect(commands).toMatch(/^npm ci && npm start\b/m);
    expect(commands).toMatch(/^npm ci && npm test\b/m);
  });

  test("shows the worker of samples/hello as it is", () => {
    const shown = page(README).blocks.find(({ file }) => file === "greet.ts");
    expect(shown?.code).toBe(textOf("samples/hello/greet.ts"));
  });

  test("leads to every page of the guide, and so does the index of the guide", () => {
    const names = markdownIn("docs/guide").map((name) => path.posix.basename(name));
    for (const name of names) expect(page(README).text).toContain(`](docs/guide/${name})`);
    const listed = page("docs/guide/index.md").text;
    for (const name of names.filter((name) => name !== "index.md")) expect(listed).toContain(`](./${name})`);
  });
});

describe("the guide", () => {
  test("has a row for every event, in docs/guide/events.md", () => {
    expect(rowsOf(page("docs/guide/events.md").text).sort()).toEqual([...WORKER_EVENT_NAMES].sort());
  });

  test("has a row for every variable of the environment, in docs/guide/configure.md", () => {
    const properties = Object.values(WORKER_PROPS).flat();
    const ofProcess = processVariables();
    expect(ofProcess).toContain("CONDUCTOR_SERVER_URL");
    const rows = rowsOf(page("docs/guide/configure.md").text).filter((name) => /^[A-Z]/.test(name));
    expect(rows.sort()).toEqual([...properties, ...ofProcess].sort());
  });

  test("has a row for every option of a handler, in docs/guide/configure.md", () => {
    const beside = handlerOptions().filter((name) => name !== "workers");
    expect(beside).toContain("serverUrl");
    expect(rowsOf(page("docs/guide/configure.md").text)).toEqual(expect.arrayContaining(beside));
  });

  test("has a row for every option of a worker, in docs/guide/configure.md", () => {
    const beside = WORKER_OPTION_NAMES.filter((name) => name !== "taskDefName" && name !== "execute");
    expect(beside).toContain("concurrency");
    expect(rowsOf(page("docs/guide/configure.md").text)).toEqual(expect.arrayContaining(beside));
  });
});

describe("README.md and the guide", () => {
  test("name npm scripts that exist", () => {
    const scripts = [...all.matchAll(/npm run ([\w:]+)/g)].map(([, script]) => script!);
    expect(scripts.length).toBeGreaterThan(0);
    expect(scripts.filter((script) => !(script in manifest.scripts))).toEqual([]);
  });

  test("name the package by its version", () => {
    const tarballs = [...all.matchAll(/ostinato-[\d.]+\.tgz/g)].map(([tarball]) => tarball);
    expect(tarballs.length).toBeGreaterThanOrEqual(2);
    expect([...new Set(tarballs)]).toEqual([`ostinato-${manifest.version}.tgz`]);
  });
});

describe("a page", () => {
  const folders = [".", "docs", "samples", ...foldersIn("samples"), "bench", "test"];
  const others = folders.flatMap(markdownIn).filter((name) => name !== README);
  const linking = [...pages.map(titled), ...others.map((name) => [name, textOf(name)] as const)];

  test.each(linking)("%s links to what is there", (name, text) => {
    const targets = [...prose(text).matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target!);
    expect(targets.filter((target) => !/^https?:/.test(target) && !isThere(name, target))).toEqual([]);
  });

  // A site is built from the guide by a compiler that takes these for components and expressions.
  test.each(pages.map(titled))("%s has no tag and no {{ }} outside of code", (_name, text) => {
    expect(prose(text).match(/<\/?[a-zA-Z][^>]*>|\{\{/g)).toBeNull();
  });

  test.each(pages.map(titled))("%s has one title, and it comes first", (_name, text) => {
    expect(prose(text).match(/^# .+$/gm)).toHaveLength(1);
    expect(text).toMatch(/^# /);
  });
});

function titled({ name, text }: Page): readonly [name: string, text: string] {
  return [name, text];
}

function foldersIn(folder: string): string[] {
  const entries = readdirSync(path.join(repositoryRoot, folder), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => `${folder}/${entry.name}`);
}

function isThere(from: string, target: string): boolean {
  const [file = "", anchor] = target.split("#", 2);
  const name = file === "" ? from : path.posix.join(path.posix.dirname(from), file);
  // Made from the docstrings when the site is built; that build fails on a link that leads nowhere.
  if (name.startsWith("docs/reference/")) return true;
  if (!existsSync(path.join(repositoryRoot, name))) return false;
  return anchor === undefined || anchorsOf(textOf(name)).includes(anchor);
}

function anchorsOf(text: string): string[] {
  return [...withoutBlocks(text).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w -]/g, "")
      .replaceAll(" ", "-"),
  );
}

function withoutBlocks(text: string): string {
  return text.replace(/^```.*?^```$/gms, "").replace(/^<!--.*-->$/gm, "");
}

/** A text without its comments, its code blocks and what stands in backquotes. */
function prose(text: string): string {
  return withoutBlocks(text).replace(/(`+)[^`]+\1/g, "");
}

/** The variables that the process is configured by, as they stand in the code. */
function processVariables(): string[] {
  const folder = path.join(repositoryRoot, "src/config");
  const code = readdirSync(folder).map((name) => textOf(`src/config/${name}`));
  const names = code.flatMap((text) => [...text.matchAll(/(?:= |variables: \[)"(CONDUCTOR_\w*[A-Z])"/g)]);
  return [...new Set(names.map(([, name]) => name!))];
}

/** The fields of `TaskHandlerOptions`, as they stand in the code. */
function handlerOptions(): string[] {
  const declared = /^export interface TaskHandlerOptions \{$(.*?)^\}$/ms.exec(textOf("src/config/types.ts"))?.[1] ?? "";
  return [...declared.matchAll(/^ {2}(\w+)\??: /gm)].map(([, name]) => name!);
}
