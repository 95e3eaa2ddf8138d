import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), "utf8");
const manifest = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
const contributing = read("CONTRIBUTING.md");

/** The first column of the table that follows the heading. */
function tableAfter(heading: string): string[] {
  const section = contributing.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name!);
}

describe("CONTRIBUTING.md", () => {
  test("has a row for every script of package.json, and for nothing else", () => {
    expect(tableAfter("Scripts").sort()).toEqual(Object.keys(manifest.scripts).sort());
  });

  test("says that the address of the repository is a placeholder for as long as it is one", () => {
    const hasPlaceholder = read("package.json").includes("github.com/ostinato-workers/ostinato");
    expect(contributing.includes("a placeholder")).toBe(hasPlaceholder);
  });
});

describe("the scripts that documents, workflows and .ci/run name", () => {
  test.each([
    "CONTRIBUTING.md",
    "README.md",
    "bench/README.md",
    "samples/README.md",
    "test/faults/README.md",
    "docs/faults.md",
    "docs/metrics.md",
    "CHANGELOG.md",
    ".ci/run",
    ".github/PULL_REQUEST_TEMPLATE.md",
    ".github/workflows/ci.yml",
    ".github/workflows/release.yml",
  ])("exist: %s", (file) => {
    const named = [...read(file).matchAll(/npm run (?:--silent )?([a-z][\w:-]*)/g)].map(([, script]) => script!);
    expect(named).not.toEqual([]);
    expect(named.filter((script) => !(script in manifest.scripts))).toEqual([]);
  });

  test("exist: package.json itself", () => {
    const all = Object.values(manifest.scripts).join("\n");
    const named = [...all.matchAll(/npm run --silent ([\w:-]+)/g)].map(([, script]) => script!);
    expect(named.filter((script) => !(script in manifest.scripts))).toEqual([]);
  });

  test("run in every shell: nothing in them is for POSIX alone", () => {
    const posixOnly =
      /;(?![^"]*")|'[^']*' |\$\(|\$\w|\bexport \w|^\w+=|\b(?:rm|cp|mv|mkdir|cat|sh) -|2>|\/dev\/null|\/tmp\//;
    const suspicious = Object.entries(manifest.scripts).filter(([, command]) => posixOnly.test(command));
    expect(suspicious).toEqual([]);
  });
});
